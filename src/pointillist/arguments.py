"""Checks of arguments that users pass: integers, numbers, seeds."""

from numbers import Real
from typing import Any

import numpy as np

LARGEST_INTEGER = 2**53
"""Up to this, float64 holds all integers."""

RandomState = int | np.random.RandomState | None


def is_integer(value: Any, low: int) -> bool:
    """Return whether a value is an integer of at least `low`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= low


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number that float64 can hold."""
    try:
        return isinstance(value, Real) and bool(np.isfinite(float(value)))
    except OverflowError:
        return False


def seed_of(random_state: RandomState) -> int:
    """Return a 32-bit seed: an integer itself, or a random one drawn from a RandomState or by the system."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint32))
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer):
        raise ValueError(f"random_state must be an integer, a RandomState or None, not {random_state!r}")
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state must lie between 0 and 2**32 - 1, not {random_state}")
    return int(random_state)


def check_unmasked(**arrays: Any) -> None:
    """Raise a ValueError that names an array with masked values; scikit-learn would read the values below the mask."""
    for name, each in arrays.items():
        if np.ma.is_masked(each):
            raise ValueError(f"{name} has masked values: drop or fill such rows first")


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN or pandas' NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        # The comparison of pandas' NA with itself is NA, which is neither true nor false.
        return True
