"""Sums that rows obey, for example elapsed = air + taxi and fahrenheit = 1.8 celsius + 32."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.lazy import optimize
from pointillist.rules.declared import Declared, NamedColumns
from pointillist.rules.equation import Equation
from pointillist.rules.rule import Numbers, Rule, TrainingRows, Vector
from pointillist.tables.table import kind_of, seconds_per_unit

_NULL, _ABSENT, _DENOMINATOR = 1e-9, 1e-7, 1000
"""Largest error of a sum and largest coefficient of a column that is not in it, in standard deviations; and largest
denominator of a factor."""

_FEWEST_VALUES = 20
"""Fewest values of a column and of its multiple: any few values are a multiple of few others, rounded."""

_CORRELATION, _AS_ROUNDED = 0.9999, 0.9
"""Least correlation of a column and its multiple, and least fraction of rows whose number is the rounded multiple."""


@dataclass(frozen=True)
class Sum(Equation):
    """The first column as a constant plus the sum of the others, each times its factor."""

    factors: tuple[float, ...]
    constant: float = 0.0

    kind = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 in self.factors or len(self.factors) != len(self.others):
            raise ValueError("a sum needs one factor other than 0 for each column")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> Iterator["Sum"]:
        """Find sums to the last digit of all columns, then columns that are a rounded multiple of another."""
        values = rows.numbers(rows.numeric)
        with np.errstate(over="ignore"):
            deviation = values.std(axis=0)
            # A constant column may have a deviation by rounding.
            varies = (np.ptp(values, axis=0) > 0) & (deviation > 0) & np.isfinite(deviation)
        columns, values = np.array(rows.numeric)[varies], values[:, varies]
        if len(columns) < 2:
            return
        ranges = rows.ranges(range(len(rows.columns)))
        for each in (*_sums(columns, values), *_multiples(columns, values, rows)):
            if not each.broken(rows.columns, ranges).any():
                yield each

    def residual(self, values: Numbers) -> Vector:
        return np.asarray(values @ np.array([1.0, *(-factor for factor in self.factors)]) - self.constant)

    def gradient(self, values: Numbers) -> Numbers:
        return np.tile([1.0, *(-factor for factor in self.factors)], (len(values), 1))

    def reach(self, low: Numbers, high: Numbers) -> tuple[Vector, Vector]:
        ends = np.stack([low[:, 1:], high[:, 1:]]) * np.array(self.factors)
        return ends.min(axis=0).sum(axis=1) + self.constant, ends.max(axis=0).sum(axis=1) + self.constant

    def text(self, names: Sequence[Any]) -> str:
        column, *terms = (names[column] for column in self.columns)
        parts = [
            f"{'-' if factor < 0 else '+'} {'' if abs(factor) == 1 else f'{abs(factor):.12g} '}{term}"
            for factor, term in zip(self.factors, terms, strict=True)
        ]
        if self.constant:
            parts.append(f"{'-' if self.constant < 0 else '+'} {abs(self.constant):.12g}")
        return f"{column} = {' '.join(parts).removeprefix('+ ')}"


@dataclass(frozen=True, repr=False)
class Total(Declared):
    """A column that is the sum of others."""

    column: Any
    parts: tuple[Any, ...]

    kind = "total"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.parts, tuple) or not self.parts:
            raise ValueError(f"rules.total takes a column and a list of its parts, not {self.parts!r:.60}")
        self.check_names((self.column, *self.parts), 2)

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        indices = tuple(columns.number(name) for name in self.names)
        kinds = [columns.arrow_type(name) for name in self.names]
        if len({seconds_per_unit(kind) if kind_of(kind) == "date" else 0.0 for kind in kinds}) > 1:
            raise ValueError(
                f"rules.total: {self.column!r} and its parts hold {', '.join(map(str, kinds))}: give them one unit"
            )
        return [Sum(indices, (1.0,) * len(self.parts), is_declared=True)]


def total(column: Any, parts: Sequence[Any], *, on_violation: str = "refuse") -> Total:
    """Declare that a column is the sum of others, up to its rounding.

    Args:
        column: Name of the sum.
        parts: Names of the columns that are added.
        on_violation: "refuse", "drop" or "allow" training rows that break the rule.
    """
    return Total(column, (parts,) if isinstance(parts, str) else tuple(parts), on_violation=on_violation)


def _sums(columns: Int[np.ndarray, " d"], values: Float[np.ndarray, "m d"]) -> Iterator[Sum]:
    """Find columns that are linear combinations of linearly independent columns before them."""
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    # Least squares on the triangular factor equals least squares on all rows.
    triangle = np.linalg.qr((values - mean) / deviation, mode="r") / np.sqrt(len(values))
    independent: list[int] = []
    for i in range(len(columns)):
        slopes = np.linalg.lstsq(triangle[:, independent], triangle[:, i])[0]
        terms = [j for j, slope in zip(independent, slopes, strict=True) if abs(slope) > _ABSENT]
        if np.linalg.norm(triangle[:, i] - triangle[:, independent] @ slopes) > _NULL:
            independent.append(i)
        elif terms:
            scaled = dict(zip(independent, slopes * deviation[i] / deviation[independent], strict=True))
            factors = tuple(_simple(scaled[j]) for j in terms)
            constant = _simple(mean[i] - float(np.dot(factors, mean[terms])))
            yield Sum((int(columns[i]), *columns[terms].tolist()), factors, constant)


def _simple(number: float) -> float:
    """Return the nearest fraction with a small denominator if it is very near, otherwise the number."""
    simple = float(Fraction(float(number)).limit_denominator(_DENOMINATOR))
    return simple if abs(simple - number) <= _ABSENT * max(1.0, abs(number)) else float(number)


def _multiples(columns: Int[np.ndarray, " d"], values: Float[np.ndarray, "m d"], rows: TrainingRows) -> Iterator[Sum]:
    """Find columns that are a multiple of another plus a constant, rounded to their digits."""
    with np.errstate(all="ignore"):
        correlations = np.abs(np.corrcoef(values, rowvar=False))
    few = {i for i, column in enumerate(values.T) if len(np.unique(column)) < _FEWEST_VALUES}
    # The less rounded column is calculated: from it, the other could not be calculated to the last digit.
    coarseness = np.array([rows.encoders[column].unit for column in columns]) / values.std(axis=0)
    pairs = np.argwhere(correlations > _CORRELATION).tolist()
    for i, j in sorted(pairs, key=lambda pair: -coarseness[pair[1]]):
        encoder, cells = rows.encoders[columns[i]], [rows.columns[columns[k]] for k in (i, j)]
        if i == j or not few.isdisjoint((i, j)) or not encoder.unit or any(each.is_date for each in cells):
            continue
        is_complete = ~cells[0].is_missing & ~cells[1].is_missing
        y, x = (each.values[is_complete].astype(float) for each in cells)
        line = _line(x, y, encoder.unit)
        if line and np.mean(encoder.rounded(line[0] * x + line[1]) == y) >= _AS_ROUNDED:
            yield Sum((int(columns[i]), int(columns[j])), line[:1], line[1])


def _line(x: Vector, y: Vector, unit: float) -> tuple[float, float] | None:
    """Return the factor and constant of fewest digits that give y when rounded to a unit; None if there are none."""
    off_x, half = x - x.mean(), (0.5 + _NULL) * unit
    slope, reach = float(off_x @ (y - y.mean()) / (off_x @ off_x)), unit / float(off_x.std())
    if np.ptp(y - slope * x) > 2 * unit:
        return None
    # The line with the least maximum error is nearest to the true one.
    best = optimize.minimize_scalar(
        lambda move: np.ptp(y - (slope + move * reach) * x), bounds=(-1, 1), method="bounded"
    ).x
    for factor in _shortened(slope + float(best) * reach):
        rest = y - factor * x
        low, high = float(rest.max()) - half, float(rest.min()) + half
        if factor and low <= high:
            return factor, next(each for each in (0.0, *_shortened((low + high) / 2)) if low <= each <= high)
    return None


def _shortened(number: float) -> list[float]:
    """Return the number to one to seven digits, and with all digits."""
    return [float(f"{number:.{n}g}") for n in (*range(1, 8), 17)]
