"""The documentation agrees with the code: public names, commands and notebooks."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pointillist.models.parameters import parameters_of
from pointillist.study.settings import Settings, label

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))


PACKAGES = [
    "columns",
    "datasets",
    "estimators",
    "evaluation",
    "files",
    "metrics",
    "rules",
]


@pytest.mark.parametrize("package", ["", *(f".{name}" for name in [*PACKAGES, "tables"])])
def test_every_public_name_is_in_the_reference(package):
    module = import_module(f"pointillist{package}")
    pages = "".join(page.read_text() for page in (DOCS / "reference/api").glob("*.md"))
    shown = {line.rpartition(".")[2].strip() for line in pages.splitlines() if line.startswith((".. auto", ".. py:"))}
    assert {name for name in module.__all__ if name not in shown} == set()


def test_the_command_line_reference_matches_the_commands():
    command = [sys.executable, DOCS.parent / "tools/command_reference.py"]
    page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (DOCS / "reference/command-line.md").read_text() == page, "run make reference"
    assert page.index("**Reading the table**") < page.index("`--delimiter") < page.index("**Training**")


def test_the_reference_of_study_settings_matches_the_declarations():
    """Each row of the tables of keys that the code declares is made of the declaration."""
    rows = {}
    for name, each in parameters_of(Settings).items():
        default = str(each.default).lower() if isinstance(each.default, bool) else label(name, each.default) or "none"
        rows[name] = f"| `{name}` | {each.text} | {default} |"
    page = (DOCS / "reference/study-settings.md").read_text().splitlines()
    assert [row for row in rows.values() if row not in page] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebooks_were_run_from_top_to_bottom(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "run make notebooks"
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs and not [output for output in outputs if output["output_type"] == "error"]


def test_there_are_two_notebooks():
    assert len(NOTEBOOKS) == 2


BENCHMARKS = DOCS / "explanation/benchmarks"


def decimals(text):
    """Numbers with a decimal point, outside of code, links, versions and addresses of papers."""
    text = re.sub(r"(?s)```.*?```|`[^`]*`|\]\([^)]*\)|arXiv\s[\d.]*|\d+\.\d+\.\d+", "", text)
    return re.findall(r"(?<![\w.])\d[\d,]*\.\d+", text)


PAGES = [path for path in sorted(BENCHMARKS.glob("*.md")) if path.name != "index.md"]


@pytest.mark.parametrize("path", [*PAGES, DOCS.parent / "README.md"], ids=lambda path: path.stem)
def test_measured_numbers_of_a_page_stand_in_a_data_file(path):
    """Numbers beside the tables of a page, and in the README's comparison, agree with the tables."""
    page = path.read_text()
    tables = [BENCHMARKS / name for name in re.findall(r"```\{include\} (data/\S+)", page)]
    if path.name == "README.md":
        page, tables = "\n".join(re.findall("(?m)^[|].*", page)), sorted(BENCHMARKS.glob("data/*.md"))
    held = [float(number.replace(",", "")) for table in tables for number in decimals(table.read_text())]
    for number in decimals(page):
        half = 0.5 * 10.0 ** -len(number.partition(".")[2])
        value = float(number.replace(",", ""))
        assert any(abs(each - value) <= half * (1 + 1e-9) for each in held), number


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("data/*.md")), ids=lambda path: path.stem)
def test_data_files_say_where_their_numbers_are_from(path):
    assert re.search(r"\n\*(`python benchmarks/\w+\.py|`make bench-|Published)", path.read_text())
    assert any(path.name in page.read_text() for page in BENCHMARKS.glob("*.md"))
    rebuilt = re.findall(r'(?m)^    "(\S+)": "\w+\.py', (DOCS.parent / "benchmarks/rebuild.py").read_text())
    assert path.stem in (*rebuilt, "published")
