"""Checks of arguments that users pass: integers, numbers, seeds."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from numbers import Real
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import numpy as np

LARGEST_INTEGER = 2**53
"""Up to this, float64 holds all integers."""

RandomState = int | np.random.RandomState | None

P = ParamSpec("P")
R = TypeVar("R")


def naming_unknown(
    function: Callable[P, R], name: str = "", inner: Mapping[str, str] = MappingProxyType({})
) -> Callable[P, R]:
    """Make the TypeError about an unknown parameter of a function suggest a similar one.

    The function has the `name` in the message; `inner` says how to write the parameters of one of its arguments.
    """
    parameters = inspect.signature(function).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return function
    known = [each for each in parameters if each != "self"]

    @functools.wraps(function)
    def checked(*arguments: P.args, **keywords: P.kwargs) -> R:
        for unknown in [each for each in keywords if each not in known]:
            from difflib import get_close_matches

            similar = get_close_matches(unknown, [*known, *inner], 1, 0.7)
            hint = f"it has {', '.join(sorted(known))}"
            if similar:
                hint = f"did you mean {inner.get(similar[0], repr(similar[0]))}?"
            raise TypeError(f"{name or function.__qualname__} has no parameter {unknown!r}: {hint}")
        return function(*arguments, **keywords)

    return checked


def is_integer(value: Any, low: int) -> bool:
    """Return whether a value is an integer of at least `low`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= low


def check_integer(name: str, value: Any) -> None:
    """Raise a ValueError unless a value is an integer of at least 1."""
    if not is_integer(value, 1):
        raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")


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


def seeds_of(random_state: RandomState) -> Iterator[int]:
    """Yield the seed of `seed_of`, and then other seeds that follow from it."""
    seed = seed_of(random_state)
    yield seed
    for i in count(1):
        yield derived_seed(seed, i)


def derived_seed(*numbers: int) -> int:
    """Return a 32-bit seed that follows from integers of at least 0, by NumPy's SeedSequence."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


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
