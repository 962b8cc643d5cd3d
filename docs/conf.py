"""How Sphinx builds these pages: `make docs`, with warnings as errors and without a request to the network."""

import sys
from pathlib import Path

import pointillist

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "Pointillist"
copyright = "the Pointillist authors"
version = release = pointillist.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    # In _ext:
    "docstrings",
    "mathml",
    "module_text",
]
# Data files of benchmarks are included by pages.
exclude_patterns = ["_build", "_ext", "explanation/benchmarks/data"]
nitpicky = True

html_theme = "furo"
html_title = f"Pointillist {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# The notebooks are shown as `make notebooks` left them.
nb_execution_mode = "off"
# Progress bars are written to the standard error.
nb_output_stderr = "remove"

autodoc_member_order = "bysource"
napoleon_custom_sections = [("Attributes", "params_style")]

# A name in single backticks in a docstring becomes a link where there is such a name, and else is code.
default_role = "name"
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    # Types of others, whose references are not looked up: that would need the network.
    ("py:class", r"(collections|equinox|jax|jaxlib|jaxtyping|matplotlib|numpy|pa|pathlib|pyarrow|rich)\..*"),
    ("py:class", "Array|ArrayLike|Console|PRNGKeyArray|ndarray"),
    # Parts of models, and classes of declared rules, that the reference does not show.
    ("py:class", r"pointillist\.(columns\.generated|engine\.recipes|evaluation\.comparison)\..*"),
    ("py:class", r"pointillist\.(models\.plan|models\.time_limits|rules\.\w+|tables\.(layout|schema))\..*"),
]
