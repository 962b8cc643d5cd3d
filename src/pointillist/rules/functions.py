"""Columns that are a function of one other: a logarithm, a square, the same in other units."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.products import is_needed
from pointillist.tables.table import Column

FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "": (lambda x: x, lambda z, x: z),
    "log": (np.log, lambda z, x: np.exp(z)),
    "log1p": (np.log1p, lambda z, x: np.expm1(z)),
    "exp": (np.exp, lambda z, x: np.log(z)),
    "square": (np.square, lambda z, x: np.copysign(np.sqrt(z), x)),
    "sqrt": (np.sqrt, lambda z, x: np.where(z < 0, np.nan, np.square(z))),
    "reciprocal": (np.reciprocal, lambda z, x: np.reciprocal(z)),
}
"""Functions of a number by name, each with its inverse, which is given what the number was: of two roots, that sign is
kept. What no number has is not finite. Logarithms to other bases are multiples of these."""

FEWEST_VALUES = 20
"""Fewest values of each of the two columns: any few values are some function of few others."""

LARGEST_UNIT = 0.01
"""Largest part of a column's spread that may be unknown of its numbers, by their digits."""

_LIKELY = 0.9999
"""Least correlation of a column with a function of another for that to be looked at closely."""

_SINGLE, _DOUBLE, _DIGITS = 2.5e-7, 1e-12, range(6, 13)
"""How exact numbers are that were calculated in single and in double precision, in parts of themselves; and numbers of
digits that they may have been written with."""

_AS_ROUNDED = 0.9
"""Share of the rows whose number is the function's, rounded: others may be next to it, where it lies between two."""


def functions(
    columns: Sequence[Column],
    codes: Sequence[ColumnEncoder],
    places: Sequence[int],
    rows: Int[np.ndarray, " m"],
    decided: Mapping[int, Collection[int]],
) -> Iterator[tuple[int, int, str, float, float]]:
    """Finds columns that are factor · f(another) + constant in every row in which neither is missing.

    Of two that are functions of each other, the one whose numbers are rounded less is calculated: from that, the other
    could not be, to the last digit. None is calculated from itself, by way of others.

    Args:
        columns: The columns of a table.
        codes: Their codes.
        places: Positions of the columns of numbers among which functions are looked for.
        rows: Some rows in which none of those is missing.
        decided: Columns that other relations decide, each with the columns that it is calculated from.

    Yields:
        For each, the column, the one that it is calculated from, the function's name, the factor, and the constant.
    """
    own = [place for place in places if not columns[place].is_date]
    some = {place: columns[place].values[rows].astype(float) for place in own}
    spread = {place: _spread(some[place]) for place in own}
    own = [place for place in own if spread[place] > 0]
    if len(own) < 2:
        return
    of = {column: set(terms) for column, terms in decided.items()}
    values = np.stack([some[place] for place in own], axis=1)
    candidates = [
        (-codes[own[x]].unit / spread[own[x]], own[x], i, own[y], name)
        for i, (name, (function, _)) in enumerate(FUNCTIONS.items())
        for x, y in _alike(function, values)
    ]
    for _, term, _, column, name in sorted(candidates):
        code, function = codes[column], FUNCTIONS[name][0]
        if column in of or is_needed(of, {term}, column) or code.unit >= LARGEST_UNIT * spread[column]:
            continue
        found = _fitted(function, some[term], some[column], code)
        if found is None:
            continue
        there = ~columns[column].is_missing & ~columns[term].is_missing
        x, y = (columns[place].values[there].astype(float) for place in (term, column))
        if not _Precision.of(y, code).holds(function, x, *found):
            # Larger numbers may ask for more digits of the factor.
            found = _fitted(function, x, y, code)
        if found is not None:
            of[column] = {term}
            yield column, term, name, *found


def _spread(values: Float[np.ndarray, " n"]) -> float:
    """The distance of the quartiles of a column's values, each counted once; 0 if they are too few."""
    distinct = np.unique(values)
    return float(np.subtract(*np.quantile(distinct, [0.75, 0.25]))) if len(distinct) >= FEWEST_VALUES else 0.0


def _alike(function: Callable[[np.ndarray], np.ndarray], values: Float[np.ndarray, "m d"]) -> list[tuple[int, int]]:
    """Pairs of columns, of which the function of the first may be the second but for a factor and a constant."""
    with np.errstate(all="ignore"):
        of_values, standard = (_standard(side) for side in (function(values), values))
        correlations = np.abs(of_values.T @ standard) / len(values)
    return [(int(x), int(y)) for x, y in np.argwhere(correlations > _LIKELY) if x != y]


def _standard(values: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m d"]:
    spread = values.std(axis=0)
    is_usable = np.isfinite(values).all(axis=0) & np.isfinite(spread) & (spread > 0)
    return np.where(is_usable, (values - values.mean(axis=0)) / np.where(is_usable, spread, 1.0), 0.0)


@dataclass(frozen=True)
class _Precision:
    """How exactly the numbers of a column are known.

    Attributes:
        code: The column's code.
        y: The numbers.
        within: How far the number of each row may be from what it is a function of.
        is_rounded: Whether it is off by rounding to the column's digits alone.
    """

    code: ColumnEncoder
    y: Float[np.ndarray, " n"]
    within: Float[np.ndarray, " n"]
    is_rounded: bool

    @classmethod
    def of(cls, y: Float[np.ndarray, " n"], code: ColumnEncoder) -> "_Precision":
        unknown = _unknown(y, code)
        within = 0.51 * code.unit + unknown * np.maximum(np.abs(y), _spread(y))
        return cls(code, y, within, code.unit > 0 and unknown == _DOUBLE)

    @np.errstate(all="ignore")
    def holds(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        x: Float[np.ndarray, " n"],
        factor: float,
        constant: float,
    ) -> bool:
        found = factor * function(x) + constant
        if factor == 0 or not (np.abs(found - self.y) <= self.within).all():
            return False
        return not self.is_rounded or bool(np.mean(self.code.rounded(found) == self.y) >= _AS_ROUNDED)


def _unknown(y: Float[np.ndarray, " n"], code: ColumnEncoder) -> float:
    """What is unknown of numbers beyond their digits after the point, in parts of themselves."""
    if code.unit <= 1e-6 and np.allclose(code.rounded(y.astype(np.float32).astype(float)), y, rtol=1e-10, atol=0):
        return _SINGLE
    if code.unit:
        return _DOUBLE
    # What they were calculated from may have been written with as few.
    some = y[:200].tolist()
    return next((5 * 10.0 ** (1 - n) for n in _DIGITS if all(float(f"{each:.{n}g}") == each for each in some)), _DOUBLE)


@np.errstate(all="ignore")
def _fitted(
    function: Callable[[np.ndarray], np.ndarray],
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    code: ColumnEncoder,
) -> tuple[float, float] | None:
    """The factor and the constant, of few digits where such do, if all rows obey them to the precision of y."""
    from scipy.optimize import minimize_scalar

    z, precision = function(x), _Precision.of(y, code)
    of_z, of_y = z - z.mean(), y - y.mean()
    mean_square, most = np.mean(of_z**2), float(precision.within.max())
    exact = float(np.mean(of_z * of_y) / mean_square)
    # No other fit is as near on average.
    if not np.isfinite(exact) or np.sqrt(np.mean((exact * of_z - of_y) ** 2)) > most:
        return None
    # Of numbers that are rounded, the one whose largest error is least is nearer to the true one.
    reach = 4 * most / float(mean_square) ** 0.5
    step = minimize_scalar(lambda step: np.ptp(y - (exact + step * reach) * z), bounds=(-1, 1), method="bounded").x
    nearest = exact + float(step) * reach
    candidates = []
    for n, factor in (*_shortened(nearest), *_shortened(exact)):
        left = y - factor * z
        middle = float(left.max() + left.min()) / 2
        candidates += [(n + m, factor, constant) for m, constant in ((0, 0.0), *_shortened(middle))]
    for _, factor, constant in sorted(candidates, key=lambda each: each[0]):
        if precision.holds(function, x, factor, constant):
            return factor, constant
    return None


def _shortened(number: float) -> list[tuple[int, float]]:
    """The number to one to seven digits, and with all, each behind the number of digits."""
    return [(n, float(f"{number:.{n}g}")) for n in (*range(1, 8), 17)]
