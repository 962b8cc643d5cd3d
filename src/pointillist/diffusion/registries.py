"""Noise schedules, samplers and networks that users choose by name; their modules load JAX, on first use.

The configuration reads its choices here: a new schedule, sampler or network is one entry.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pointillist.diffusion.samplers import RowSampler
    from pointillist.diffusion.schedules import Schedule

DPM_POINTS = 20
"""Default number of points of `DPMSolver2M`, which takes as many evaluations."""

HEUN_POINTS = 11
"""Default number of points of `Heun`, which takes 21 evaluations."""


def _module(name: str) -> Any:
    return import_module(f"pointillist.diffusion.{name}")


SCHEDULES: dict[str, Callable[[int], "Schedule"]] = {
    "linear": lambda timesteps: _module("schedules").linear(timesteps),
    "cosine": lambda timesteps: _module("schedules").cosine(timesteps),
    "sigmoid": lambda timesteps: _module("schedules").sigmoid(timesteps),
}
"""Functions from the number of timesteps, at least 1, to a noise schedule, by name."""


NETWORKS: dict[str, Callable[[], Any]] = {
    "mlp": lambda: _module("networks").MLP,
    "residual": lambda: _module("networks").ResidualMLP,
}
"""Functions that return the class of a network of rows of numbers, by name."""

TOKEN_NETWORKS: dict[str, Callable[[], Any]] = {"residual": lambda: _module("tokens.token_networks").TokenNetwork}
"""Functions that return the class of a network of rows of tokens, by name.

It needs what `TokenNetwork` has: `build`, `__call__`, `folded`, `tokens` and `token_network`.
"""


class NamedSampler(NamedTuple):
    """A sampler that users choose by name.

    `build` is a function of a noise schedule, a number of steps or points, and a noise variance. `points` is the
    default number of points of a sampler that steps in log-SNR; it is 0 for samplers that step in the times of the
    schedule, by default all T of them.
    """

    build: Callable[["Schedule", int | None, str], "RowSampler"]
    points: int
    is_stochastic: bool


SAMPLERS = {
    "ancestral": NamedSampler(lambda s, n, variance: _module("samplers").Ancestral(s, variance, n), 0, True),
    "ddim": NamedSampler(lambda s, n, _: _module("samplers").DDIM(s, steps=n), 0, False),
    "dpm": NamedSampler(lambda s, n, _: _module("solvers").DPMSolver2M(s, n), DPM_POINTS, False),
    "dpm-sde": NamedSampler(lambda s, n, _: _module("solvers").DPMSolver2M(s, n, is_stochastic=True), DPM_POINTS, True),
    "heun": NamedSampler(lambda s, n, _: _module("solvers").Heun(s, n), HEUN_POINTS, False),
}
"""Samplers of rows by name."""


def sampler_named(
    name: str, schedule: "Schedule", steps: int | None = None, variance: str = "posterior"
) -> "RowSampler":
    """Build one of `SAMPLERS`; only `Ancestral` uses the variance.

    `steps` is the number of steps of samplers in the times of the schedule (T by default), or of points of the others.
    """
    sampler = SAMPLERS[name]
    return sampler.build(schedule, steps or sampler.points or None, variance)
