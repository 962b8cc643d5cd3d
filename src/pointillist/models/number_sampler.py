"""The sampler of numbers that a request for rows names."""

from pointillist.diffusion.samplers import RowSampler
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.solvers import SAMPLERS, sampler_named
from pointillist.models.request import Request


def number_sampler(request: Request, schedule: Schedule, default: str) -> RowSampler:
    """Makes the sampler of numbers.

    Args:
        request: The request, with a sampler, steps and a variance or without.
        schedule: The noise schedule.
        default: Name of the sampler if the request names none.

    Raises:
        ValueError: In one line, if it cannot do what is asked.
    """
    name, steps, timesteps = request.sampler or default, request.steps, int(schedule.timesteps)
    if SAMPLERS[name].points:
        if steps is not None and steps < 2:
            raise ValueError(f"steps of {name} must be an integer of at least 2, not {steps!r}")
        if timesteps < 2:
            raise ValueError(f"{name} needs a model of at least 2 timesteps: take sampler='ancestral'")
        if request.reward is not None:
            raise ValueError(f"rewards steer ancestral sampling, not {name}: leave sampler out")
        if SAMPLERS[name].is_stochastic and request.deterministic:
            raise ValueError(f"{name} adds noise: take sampler='dpm' for deterministic=True")
    elif steps is not None and steps > timesteps:
        raise ValueError(
            f"steps of {name} must be an integer from 1 to the model's timesteps, {timesteps}, not {steps!r}"
        )
    return sampler_named(name, schedule, steps, "zero" if request.deterministic else request.variance)
