"""Conditions on a column's cells: `between`, `one_of`, `present` and `missing`, as `Diffusion.sample` takes them."""

from dataclasses import dataclass
from typing import Any

from pointillist.arguments import is_missing


@dataclass(frozen=True)
class Between:
    """A closed range of values, as made by `between`; None for an end without a limit."""

    low: Any = None
    high: Any = None

    def __str__(self) -> str:
        return f"between({self.low!r}, {self.high!r})"


@dataclass(frozen=True)
class OneOf:
    """A set of values, as made by `one_of`; None for a missing cell."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"one_of({', '.join(map(repr, self.values))})"


@dataclass(frozen=True)
class Present:
    """Cells that are not missing."""

    def __str__(self) -> str:
        return "present"


@dataclass(frozen=True)
class Missing:
    """Cells that are missing."""

    def __str__(self) -> str:
        return "missing"


Condition = Between | OneOf | Present | Missing
"""A condition on a cell other than a single value."""

present = Present()
"""A cell that is not missing."""

missing = Missing()
"""A cell that is missing, like None."""


def between(low: Any = None, high: Any = None) -> Between:
    """Returns the condition that a cell lies from `low` to `high`, both included, in the units of the table.

    Args:
        low: Lowest value: a number, a date, or a category of an ordered column; None for no lower end.
        high: Highest value; None for no upper end.

    Raises:
        ValueError: If no value lies between the two, or neither is given.

    Example:
        >>> from pointillist import between
        >>> str(between(30, 40)), str(between(high=18))
        ('between(30, 40)', 'between(None, 18)')
    """
    if low is None and high is None:
        raise ValueError("between needs a low or a high end: give one of them")
    if any(end is not None and is_missing(end) for end in (low, high)):
        raise ValueError("an end of between is missing: give a value, or None for no end")
    try:
        # Texts have the order of their column's categories.
        is_empty = None not in (low, high) and not (isinstance(low, str) and isinstance(high, str)) and low > high
    except TypeError as error:
        raise ValueError(f"the ends of between must be of one kind, not {low!r} and {high!r}") from error
    if is_empty:
        raise ValueError(f"between({low!r}, {high!r}) is empty: its low end is above its high one")
    return Between(low, high)


def one_of(*values: Any) -> OneOf:
    """Returns the condition that a cell holds one of some values; None means a missing cell.

    Raises:
        ValueError: If no value is given, or a list of them.

    Example:
        >>> from pointillist import one_of
        >>> str(one_of("Paris", "Lyon"))
        "one_of('Paris', 'Lyon')"
    """
    if not values:
        raise ValueError("one_of needs at least one value")
    try:
        return OneOf(tuple(dict.fromkeys(values)))
    except TypeError as error:
        raise ValueError(f"one_of takes values one by one, as in one_of('Paris', 'Lyon'), not {values[0]!r}") from error
