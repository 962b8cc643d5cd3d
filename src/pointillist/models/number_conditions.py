"""What conditions ask of models of numbers: ranges of scaled numbers, and which columns need none."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import is_missing, is_number
from pointillist.columns.codec import Span
from pointillist.diffusion.conditioning.ranged_sampling import POINTS, RangedSampler
from pointillist.diffusion.schedules import Schedule
from pointillist.models.conditioning import ranges_of, sizes
from pointillist.models.number_codec import NumberCodec
from pointillist.models.process import SamplingPlan
from pointillist.models.request import OF_REWARD, Request
from pointillist.tables.conditions import Between, Condition, OneOf, Present


def in_ranges(
    plan: SamplingPlan,
    codec: NumberCodec,
    schedule: Schedule,
    sigma_data: Float[np.ndarray, " k"],
    conditions: Mapping[Any, Condition],
    request: Request,
) -> SamplingPlan:
    """Returns a drawing of rows that meet conditions.

    Args:
        plan: The sampling plan without them.
        codec: The codec.
        schedule: The noise schedule.
        sigma_data: Root mean square of each column.
        conditions: The conditions, by column.
        request: The request.

    Raises:
        ValueError: In one line, if a condition cannot be put to its column, allows nothing, or does not go with another
            part of the request.
    """
    for name in (*OF_REWARD, "prior", "deterministic"):
        if request.first_changed((name,)) is not None:
            raise ValueError(f"{name} does not go with ranges of numbers: leave one of them out")
    if request.sampler not in (None, "dpm-sde"):
        raise ValueError(f"ranges of numbers are drawn by sampler='dpm-sde', not {request.sampler!r}: leave it out")
    if int(schedule.timesteps) < 2:
        raise ValueError("ranges of numbers need a model of at least 2 timesteps")
    if plan.labels is not None and request.labels is None:
        raise ValueError("classes are not known before the ranges: give labels (--class)")
    asked: list[tuple[int, Float[np.ndarray, "r 2"]]] = []
    ends: dict[Any, Span] = {}
    indices = np.cumsum(codec.scaling.varies) - 1
    for name, condition in conditions.items():
        index = codec.place(name)
        found = _ranges(codec, name, index, condition)
        if found is not None and codec.scaling.varies[index]:
            asked.append((int(indices[index]), _scaled(codec, index, found)))
            ends[name] = Span(float(found.min()), float(found.max()))
    if not asked:
        return plan
    # A population has one class.
    of_classes = plan.labels is not None and len(np.unique(plan.labels)) > 1
    has_own_rows = plan.has_own_rows or of_classes
    ranges = replace(ranges_of(asked), scale=np.asarray(sigma_data, np.float32))
    sampler = RangedSampler(*sizes(False, has_own_rows), ranges, schedule, request.steps or POINTS)
    text = " and ".join(f"{name!r} {conditions[name]}" for name in ends)
    return replace(plan, sampler=sampler, ends=ends, conditions=text, has_own_rows=has_own_rows)


def _ranges(codec: NumberCodec, name: Any, index: int, condition: Condition) -> Float[np.ndarray, "r 2"] | None:
    """Ranges of a column in the units of the table, which some training row lies between; None for all numbers."""
    low, high = float(codec.scaling.minimum[index]), float(codec.scaling.maximum[index])
    if isinstance(condition, Present):
        return None
    if isinstance(condition, Between):
        ends = (condition.low, condition.high)
        if not all(end is None or is_number(end) or isinstance(end, float | np.floating) for end in ends):
            raise ValueError(f"column {name!r} holds numbers, and {condition} does not")
        asked = [(-np.inf if ends[0] is None else float(ends[0]), np.inf if ends[1] is None else float(ends[1]))]
    elif isinstance(condition, OneOf):
        if any(is_missing(value) for value in condition.values):
            raise ValueError(f"column {name!r} has no missing cells in the model: give a value")
        if not all(is_number(value) or isinstance(value, np.bool_) for value in condition.values):
            raise ValueError(f"column {name!r} holds numbers, and {condition} does not")
        if not codec.scaling.steps[index] and low < high:
            raise ValueError(f"column {name!r} holds continuous numbers, of which {condition} has mass 0: take between")
        asked = [(float(value), float(value)) for value in sorted(condition.values)]
    else:
        raise ValueError(f"column {name!r} has no missing cells in the model: give a value")
    asked = [(_on_grid(codec, index, first, 1), _on_grid(codec, index, last, -1)) for first, last in asked]
    kept = [(first, last) for first, last in asked if first <= last and first <= high and last >= low]
    if not kept or (not codec.scaling.steps[index] and low < high and all(first == last for first, last in kept)):
        span = f"its values go from {low:g} to {high:g}"
        raise ValueError(f"column {name!r}: no training row is {condition}; {span}")
    return np.array(kept)


def _on_grid(codec: NumberCodec, index: int, bound: float, sign: int) -> float:
    """Returns the nearest number on a column's grid that is not below a bound or, with sign -1, not above it."""
    nearest = float(codec.scaling.rounded(np.array(bound), index))
    if sign * nearest >= sign * bound:
        return nearest
    return float(codec.scaling.rounded(np.array(nearest + sign * codec.scaling.units[index]), index))


def _scaled(codec: NumberCodec, index: int, ranges: Float[np.ndarray, "r 2"]) -> Float[np.ndarray, "r 2"]:
    """Ranges as the network sees them."""
    low, high = float(codec.scaling.minimum[index]), float(codec.scaling.maximum[index])
    # A number on a grid represents all numbers that are rounded to it.
    half = 0.499 * codec.scaling.units[index]
    wide = ranges + np.array([-half, half])
    if not half:
        # A value that repeats has many quantiles, and all of them are inside.
        wide = np.nextafter(wide, [-np.inf, np.inf])
    rows = np.repeat(codec.scaling.minimum[None], wide.size, axis=0)
    rows[:, index] = np.clip(wide, low - 0.5, high + 0.5).ravel()
    own = int(np.cumsum(codec.scaling.varies)[index] - 1)
    scaled = np.asarray(codec.encode(rows)[:, own], np.float64).reshape(wide.shape)
    return np.stack(
        [np.where(ranges[:, 0] <= low, -np.inf, scaled[:, 0]), np.where(ranges[:, 1] >= high, np.inf, scaled[:, 1])],
        axis=1,
    )
