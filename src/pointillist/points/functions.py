"""Columns that are a function of one other: a logarithm, a square, the same in other units."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from pointillist.points.column_code import ColumnCode
from pointillist.points.mixed import Cells
from pointillist.points.products import is_needed

FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "": (lambda x: x, lambda z, x: z),
    "log": (np.log, lambda z, x: np.exp(z)),
    "log1p": (np.log1p, lambda z, x: np.expm1(z)),
    "exp": (np.exp, lambda z, x: np.log(z)),
    "square": (np.square, lambda z, x: np.copysign(np.sqrt(z), x)),
    "sqrt": (np.sqrt, lambda z, x: np.square(z)),
    "reciprocal": (np.reciprocal, lambda z, x: np.reciprocal(z)),
}
"""Functions of a number by name, each with its inverse, which is given what the number was: of two roots, that sign is
kept. Logarithms to other bases are multiples of these."""

FEWEST_VALUES = 20
"""Fewest values of each of the two columns: any few values are some function of few others."""

_LIKELY = 0.9999
"""Least correlation of a column with a function of another for that to be looked at closely."""

_RELATIVE, _LARGEST = 1e-6, 0.01
"""How exactly numbers are known at best, and must be at least, in standard deviations."""


def functions(
    columns: Sequence[Cells],
    codes: Sequence[ColumnCode],
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
    own = [place for place in own if len(np.unique(some[place])) >= FEWEST_VALUES]
    if len(own) < 2:
        return
    values = np.stack([some[place] for place in own], axis=1)
    of = {column: set(terms) for column, terms in decided.items()}
    coarseness = [codes[place].unit / spread for place, spread in zip(own, values.std(axis=0), strict=True)]
    candidates = [
        (-coarseness[x], x, i, y)
        for i, (function, _) in enumerate(FUNCTIONS.values())
        for x, y in _alike(function, values)
    ]
    for _, x, i, y in sorted(candidates):
        column, term, name = own[y], own[x], list(FUNCTIONS)[i]
        if column in of or is_needed(of, {term}, column):
            continue
        there = ~columns[column].is_missing & ~columns[term].is_missing
        values_x, values_y = (columns[place].values[there].astype(float) for place in (term, column))
        found = _fitted(FUNCTIONS[name][0], values_x, values_y, codes[column].unit)
        if found is not None:
            of[column] = {term}
            yield column, term, name, *found


def _alike(function: Callable[[np.ndarray], np.ndarray], values: Float[np.ndarray, "m d"]) -> Iterator[tuple[int, int]]:
    """Pairs of columns, of which the function of the first may be the second but for a factor and a constant."""
    with np.errstate(all="ignore"):
        of_values, standard = (_standard(side) for side in (function(values), values))
        correlations = np.abs(of_values.T @ standard) / len(values)
    for x, y in np.argwhere(correlations > _LIKELY):
        if x != y:
            yield int(x), int(y)


def _standard(values: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m d"]:
    spread = values.std(axis=0)
    is_usable = np.isfinite(values).all(axis=0) & np.isfinite(spread) & (spread > 0)
    return np.where(is_usable, (values - values.mean(axis=0)) / np.where(is_usable, spread, 1.0), 0.0)


def _fitted(
    function: Callable[[np.ndarray], np.ndarray], x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], unit: float
) -> tuple[float, float] | None:
    """The factor and the constant, of few digits where such do, if all rows obey them to the precision of y."""
    with np.errstate(all="ignore"):
        z = function(x)
    if not np.isfinite(z).all() or z.std() == 0:
        return None
    within = max(0.51 * unit, _RELATIVE * y.std(), 0.2 * _RELATIVE * np.abs(y).max())
    if within > _LARGEST * y.std():
        return None

    def holds(factor: float, constant: float) -> bool:
        return factor != 0 and bool((np.abs(factor * z + constant - y) <= within).all())

    exact = float(np.mean((z - z.mean()) * (y - y.mean())) / z.var())
    for factor in [*_shortened(exact), exact]:
        constant = float((y - factor * z).mean())
        for each in [0.0, *_shortened(constant), constant]:
            if holds(factor, each):
                return factor, each
    return None


def _shortened(number: float) -> list[float]:
    """The number to one to seven digits."""
    return [float(f"{number:.{n}g}") for n in range(1, 8)]
