"""Noise schedules and samplers that users choose by name. A function is loaded, and JAX with it, when it is first used.

The configuration reads its choices here: a new schedule or sampler is one entry, the module and name of a function.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pointillist.diffusion.samplers import RowSampler
    from pointillist.diffusion.schedules import Schedule

DPM_POINTS = 20
"""Default number of points of `DPMSolver2M`, which takes as many evaluations."""

HEUN_POINTS = 11
"""Default number of points of `Heun`, which takes 21 evaluations."""

SCHEDULES = {"linear": "schedules:linear", "cosine": "schedules:cosine", "sigmoid": "schedules:sigmoid"}
"""Functions from the number of timesteps to a noise schedule, by name."""


class NamedSampler(NamedTuple):
    """A sampler that users choose by name.

    Attributes:
        function: Module and name of a function of a noise schedule, a number of steps or points, and a noise variance.
        points: Default number of points of a sampler that steps in log-SNR; 0 for samplers that step in the times of
            the schedule, by default all T of them.
        is_stochastic: Whether the steps add noise.
    """

    function: str
    points: int
    is_stochastic: bool


SAMPLERS = {
    "ancestral": NamedSampler("samplers:ancestral", 0, True),
    "ddim": NamedSampler("samplers:ddim", 0, False),
    "dpm": NamedSampler("solvers:dpm", DPM_POINTS, False),
    "dpm-sde": NamedSampler("solvers:dpm_sde", DPM_POINTS, True),
    "heun": NamedSampler("solvers:heun", HEUN_POINTS, False),
}
"""Samplers of rows by name."""


def schedule_named(name: str, timesteps: int) -> "Schedule":
    """Build one of `SCHEDULES` with T timesteps, at least 1."""
    return _loaded(SCHEDULES[name])(timesteps)


def sampler_named(
    name: str, schedule: "Schedule", steps: int | None = None, variance: str = "posterior"
) -> "RowSampler":
    """Build one of `SAMPLERS`.

    Args:
        name: The name.
        schedule: The noise schedule.
        steps: Number of steps K of samplers in the times of the schedule (default T), or number of points N of the
            others (default in `SAMPLERS`).
        variance: Noise variance of "ancestral", one of `samplers.VARIANCES`; the others ignore it.
    """
    sampler = SAMPLERS[name]
    return _loaded(sampler.function)(schedule, steps or sampler.points or None, variance)


def _loaded(path: str) -> Any:
    """Import "module:name" from this package."""
    module, _, name = path.partition(":")
    return getattr(import_module(f"pointillist.diffusion.{module}"), name)
