"""A strict set-up: shapes checked at run time, no implicit promotion of ranks, two CPU devices."""

import os

os.environ.setdefault("POINTILLIST_DEVICES", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

install_import_hook(
    ["pointillist.points", "pointillist.diffusion", "pointillist.engine", "pointillist.metrics"], "beartype.beartype"
)

import hypothesis  # noqa: E402
import jax  # noqa: E402

from pointillist.engine.devices import configure  # noqa: E402

# The same examples in every run, so that a run says what the last one said.
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")
configure()
jax.config.update("jax_numpy_rank_promotion", "raise")
