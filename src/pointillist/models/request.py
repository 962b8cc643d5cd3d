"""A request for rows: the arguments of `Diffusion.sample`, with their checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pointillist.arguments import RandomState
from pointillist.diffusion.registries import SAMPLERS, sampler_named
from pointillist.diffusion.samplers import RowSampler
from pointillist.diffusion.schedules import Schedule
from pointillist.models.configuration import SamplingConfig
from pointillist.models.parameters import parameter
from pointillist.tables.conditions import one_of

REWARD_FIELDS = ("reward", "reward_temperature", "candidates", "steering")
"""Fields of a request that belong to a reward."""


@dataclass(frozen=True)
class Request(SamplingConfig):
    """A request for rows; `Diffusion.sample` describes each field.

    A set in `where` becomes `one_of` its elements.
    """

    n_samples: int | None = parameter(None, "Number of rows.", low=0)
    labels: Any = None
    return_labels: bool = False
    reward: Callable[[Any], Any] | None = None
    prior: ArrayLike | None = None
    where: Mapping[Any, Any] | None = None
    shares: Mapping[Any, Mapping[Any, float]] | None = None
    exclude: Any = None
    variance: str = "posterior"
    random_state: RandomState = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.where is not None and not isinstance(self.where, Mapping):
            raise ValueError(f"where must map columns to values, as {{'column': value}}, not {self.where!r}")
        if self.shares is not None and not isinstance(self.shares, Mapping):
            raise ValueError(
                f"shares must map columns to fractions of values, as {{'column': {{'a': 0.5}}}}, not {self.shares!r}"
            )
        where: dict[Any, Any] = {
            # Sorted, because the order of a set of text differs between processes.
            name: one_of(*sorted(value, key=repr)) if isinstance(value, set | frozenset) else value
            for name, value in (self.where or {}).items()
        }
        object.__setattr__(self, "where", where or None)
        for name, value in where.items():
            is_list = not isinstance(value, str) and np.ndim(value) == 1
            if is_list and self.n_samples is not None and len(value) not in (1, self.n_samples):
                some = ", ".join(map(repr, np.asarray(value, object)[:3].tolist())) + ", …" * (len(value) > 3)
                raise ValueError(
                    f"where gives column {name!r} {len(value)} values, one per row, and n_samples is {self.n_samples}: "
                    f"use one_of({some}) for rows with any of these values, or leave n_samples out"
                )

    def first_changed(self, *names: str) -> str | None:
        """Returns the first of some fields that differs from its default; None if there is none."""
        defaults = {field.name: field.default for field in fields(self)}
        for name in names:
            value, default = getattr(self, name), defaults[name]
            is_plain = isinstance(value, bool | int | float | str)
            if value is not default and not (is_plain and value == default):
                return name
        return None


def agreed_length(n_samples: int | None, lengths: Sequence[tuple[Any, int]]) -> int:
    """Returns the number of rows that the fields of a request agree on; 1 if no field determines it.

    `lengths` has names of other fields with their lengths. Raises a ValueError if they disagree.
    """
    stated = lengths if n_samples is None else [("n_samples", n_samples), *lengths]
    for other, n in stated[1:]:
        first_name, first_n = stated[0]
        if n != first_n:
            verb = "has" if n_samples is None else "is"
            raise ValueError(f"{other} has {n} entries but {first_name} {verb} {first_n}: leave one of them out")
    return stated[0][1] if stated else 1


def check_drawn(rows: np.ndarray, *, has_reward: bool = False) -> None:
    """Raises a ValueError if drawn rows, perhaps steered by a reward, are not finite."""
    n_lost = np.count_nonzero(~np.isfinite(rows).all(axis=1))
    if n_lost and has_reward:
        raise ValueError(
            f"the reward lost {n_lost} of {len(rows)} rows: it gave NaN or +inf, or -inf for all candidates; give "
            "finite numbers, or more candidates"
        )
    if n_lost:
        raise ValueError(
            f"{n_lost:,} of {len(rows):,} rows are not finite: guidance is too strong, or the model's weights are too "
            "large"
        )


def number_sampler(request: Request, schedule: Schedule, default: str) -> RowSampler:
    """Makes the sampler of numbers, `default` if the request names none; raises a ValueError if it does not fit."""
    name, steps = request.sampler or default, request.steps
    if SAMPLERS[name].points:
        if steps is not None and steps < 2:
            raise ValueError(f"steps of {name} must be an integer of at least 2, not {steps!r}")
        if request.reward is not None:
            raise ValueError(f"rewards steer ancestral sampling, not {name}: leave sampler out")
        if SAMPLERS[name].is_stochastic and request.deterministic:
            raise ValueError(f"{name} adds noise: use sampler='dpm' for deterministic=True")
    elif steps is not None and steps > schedule.timesteps:
        raise ValueError(
            f"steps of {name} must be an integer from 1 to the model's timesteps, {schedule.timesteps}, not {steps!r}"
        )
    return sampler_named(name, schedule, steps, "zero" if request.deterministic else request.variance)
