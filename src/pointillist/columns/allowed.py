"""What a condition allows in a column: pieces of its token's values, and ranges of its normal scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.arguments import is_missing
from pointillist.columns.codec import Span
from pointillist.columns.encoder import ColumnEncoder
from pointillist.foreign_text import listed
from pointillist.tables.conditions import Between, Condition, Missing, OneOf, Present
from pointillist.tables.table import Column, cells_of, kind_of, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE = (-np.inf, np.inf)


@dataclass(frozen=True)
class Allowed:
    """What is allowed of a column.

    A piece is a value of the token, or for an interval a part of it.

    Attributes:
        name: Name of the column.
        text: The condition, for messages.
        slots: The value of each piece, shape (p,).
        low: Where in the interval each piece begins, shape (p,); 0 for other values.
        high: Where it ends, at most 1, shape (p,); 1 for other values.
        ranges: Ranges of the normal score beside the token, shape (r, 2), increasing; none if it has no number.
        ends: Lowest and highest value in the table's units, or index of a category; infinite where all are allowed.
    """

    name: Any
    text: str
    slots: Int[np.ndarray, " p"]
    low: Float[np.ndarray, " p"]
    high: Float[np.ndarray, " p"]
    ranges: Float[np.ndarray, "r 2"]
    ends: Span

    @property
    def is_whole_score(self) -> bool:
        """Whether every normal score is allowed."""
        return len(self.ranges) == 1 and tuple(self.ranges[0]) == _WHOLE


def allowed(
    code: ColumnEncoder, kind: "pa.DataType | None", condition: Condition, order: tuple[Any, ...] | None = None
) -> Allowed:
    """Returns what a condition allows in a column.

    Args:
        code: The column's code.
        kind: Arrow's type of the column; None for labels that have no column in the table.
        condition: The condition.
        order: All categories of the column, in their order; None if they have none.

    Raises:
        ValueError: In one line, if the condition cannot be put to the column, or allows nothing.
    """
    own = (np.empty(0, int), np.empty((0, 2)), _WHOLE)
    is_missing_allowed = isinstance(condition, Missing)
    if isinstance(condition, Present):
        own = np.arange(code.n_values), np.array([_WHOLE]), _WHOLE
    elif isinstance(condition, OneOf):
        given = [value for value in condition.values if not is_missing(value)]
        is_missing_allowed = len(given) < len(condition.values)
        if given:
            own = _of_values(code, _cells(code.name, given, kind), condition)
    elif isinstance(condition, Between):
        if code.categories is not None:
            slots = _of_order(code, condition, order)
            own = slots, own[1], _outermost(slots)
        else:
            low, high = (
                default if value is None else _end(code.name, value, kind)
                for value, default in zip((condition.low, condition.high), _WHOLE, strict=True)
            )
            own = _of_ends(code, low, high)
    slots, ranges, limits = own
    if is_missing_allowed:
        if not code.has_missing:
            raise ValueError(f"column {code.name!r} has no missing cells in the model: give a value")
        slots = np.append(slots, code.n_values)
    if not len(slots):
        raise ValueError(f"column {code.name!r}: no training row is {condition}{_span(code, kind)}")
    return _in_pieces(code, str(condition), slots, ranges, Span(*limits, isinstance(condition, OneOf)))


def _end(name: Any, value: Any, kind: "pa.DataType | None") -> float:
    """An end of a range, which need not be a number that the column can hold."""
    if kind is not None and kind_of(kind) == "number" and isinstance(value, int | float | np.number | Decimal):
        return float(value)
    return float(_cells(name, [value], kind).values[0])


def _cells(name: Any, values: Sequence[Any], kind: "pa.DataType | None") -> Column:
    if kind is not None:
        # An end of a range of integers may be a fraction.
        if kind_of(kind) == "whole" and all(isinstance(v, int | float | np.number) for v in values):
            return Column(np.asarray(values, np.float64), np.zeros(len(values), bool))
        return cells_of(name, values, kind)
    known = tuple(dict.fromkeys(values))
    return Column(np.array([known.index(value) for value in values]), np.zeros(len(values), bool), known)


def _of_values(
    code: ColumnEncoder, cells: Column, condition: OneOf
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Values of the token, and ranges of scores, that hold given values."""
    if code.categories is not None:
        slots = np.unique(code.encode(cells)[0].astype(int))
        return slots, np.empty((0, 2)), _outermost(slots)
    found = [_of_ends(code, float(value), float(value)) for value in np.unique(cells.values)]
    slots = np.unique(np.concatenate([slots for slots, _, _ in found]))
    ranges = np.concatenate([ranges for _, ranges, _ in found])
    if code.scores is not None and not code.scores.is_discrete and not code.unit and len(ranges):
        raise ValueError(
            f"column {code.name!r} holds continuous numbers, of which {condition} has mass 0: take between"
        )
    return slots, ranges, (float(cells.values.min()), float(cells.values.max()))


def _outermost(slots: Int[np.ndarray, " p"]) -> tuple[float, float]:
    """The lowest and the highest of some categories."""
    return (float(slots.min()), float(slots.max())) if len(slots) else _WHOLE


def _of_order(code: ColumnEncoder, condition: Between, order: tuple[Any, ...] | None) -> np.ndarray:
    """Values of the token that stand for categories from one to another."""
    if order is None:
        raise ValueError(
            f"column {code.name!r} holds categories, which have no order: take one_of in place of {condition}"
        )
    known = f"its categories in order are {listed([str(each) for each in order])}"
    for end in (condition.low, condition.high):
        if end is not None and end not in order:
            raise ValueError(f"column {code.name!r} has no {end!r}: {known}")
    low = 0 if condition.low is None else order.index(condition.low)
    high = len(order) if condition.high is None else order.index(condition.high)
    if low > high:
        raise ValueError(f"column {code.name!r}: {condition} is empty: {known}")
    assert code.categories is not None
    return np.array([i for i, each in enumerate(code.categories) if low <= order.index(each) <= high], int)


def _of_ends(code: ColumnEncoder, low: float, high: float) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Values of the token, and a range of scores, from a lowest to a highest number."""
    low, high = (code.bounded(np.array([end]), sign).item() for end, sign in ((low, 1.0), (high, -1.0)))
    slots = np.flatnonzero((code.atoms >= low) & (code.atoms <= high))
    span = None if code.scores is None else code.scores.span(low, high, code.unit)
    if span is None:
        return slots, np.empty((0, 2)), (low, high)
    return np.append(slots, np.arange(len(code.atoms), code.n_values)), np.array([span]), (low, high)


def _in_pieces(code: ColumnEncoder, text: str, slots: np.ndarray, ranges: np.ndarray, ends: Span) -> Allowed:
    first = len(code.atoms)
    if not code.has_intervals:
        return Allowed(code.name, text, slots, np.zeros(len(slots)), np.ones(len(slots)), ranges, ends)
    assert code.scores is not None
    from scipy.special import ndtr

    is_interval = (slots >= first) & (slots < code.n_values)
    pieces = [(slot, 0.0, 1.0) for slot in slots[~is_interval]]
    edges = code.scores.edges
    for low, high in ndtr(ranges):
        for i in range(code.n_intervals):
            begin, end = np.clip((np.array([low, high]) - edges[i]) / (edges[i + 1] - edges[i]), 0, 1)
            if end > begin:
                pieces.append((first + i, begin, end))
    if not pieces:
        raise ValueError(f"column {code.name!r}: no training row is {text}")
    parts = np.array(pieces)
    return Allowed(code.name, text, parts[:, 0].astype(int), parts[:, 1], parts[:, 2], np.empty((0, 2)), ends)


def _span(code: ColumnEncoder, kind: Any) -> str:
    if code.categories is not None or kind is None:
        return ""
    low, high = (text_of(code, kind, end) for end in code.ends)
    return f"; its values go from {low} to {high}"


def check_given(code: ColumnEncoder, kind: "pa.DataType | None", cells: Column) -> None:
    """Raises a ValueError if a given number lies beyond the range of the training rows."""
    if code.categories is not None:
        return
    low, high = code.rounded(np.array(code.ends))
    beyond = ~cells.is_missing & ((cells.values < low) | (cells.values > high))
    if beyond.any():
        value = text_of(code, kind, float(cells.values[beyond][0]))
        raise ValueError(f"column {code.name!r}: no training row is {value}{_span(code, kind)}")


def text_of(code: ColumnEncoder, kind: "pa.DataType | None", value: float) -> str:
    """Returns a column's number, or the category with that index, as text for a message."""
    if code.categories is not None:
        return str(code.categories[int(value)])
    rounded = float(code.rounded(np.array([value]))[0])
    if kind is None or kind_of(kind) != "date":
        return f"{rounded:.6g}" if code.decimals is None else f"{rounded:.15g}"
    import pyarrow as pa

    return str(to_arrow([Column(np.array([rounded]), np.zeros(1, bool))], pa.schema([("", kind)]))[0][0])
