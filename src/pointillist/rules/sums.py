"""Sums that rows obey: elapsed = air + taxi, fahrenheit = 1.8 celsius + 32."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.rules.equation import Equation, are_finite
from pointillist.rules.rule import TrainingRows

_NULL, _ABSENT, _DENOMINATOR = 1e-9, 1e-7, 1000
"""Largest error of a sum and largest coefficient of a column that is not in it, in standard deviations; and largest
denominator of a factor."""

_FEWEST_VALUES = 20
"""Fewest values of a column and of its multiple: any few values are a multiple of few others, rounded."""

_CORRELATION, _AS_ROUNDED = 0.9999, 0.9
"""Least correlation of a column and its multiple, and least fraction of rows whose number is the rounded multiple."""


@dataclass(frozen=True)
class Sum(Equation):
    """The first column as a sum of multiples of the others.

    Attributes:
        factors: Factor of each other column.
        constant: What is added to the sum.
    """

    factors: tuple[float, ...]
    constant: float = 0.0

    kind = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not are_finite([*self.factors, self.constant]) or len(self.factors) != len(self.others):
            raise ValueError("a sum has no factor for a column, or one that is no number")
        if 0 in self.factors:
            raise ValueError("a sum has the factor 0")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> Iterator["Sum"]:
        """Finds sums to the last digit of all columns, then columns that are a rounded multiple of another."""
        values = rows.numbers(rows.numeric)
        with np.errstate(over="ignore"):
            deviation = values.std(axis=0)
            # A constant column may have a deviation by rounding.
            varies = (np.ptp(values, axis=0) > 0) & (deviation > 0) & np.isfinite(deviation)
        own, values = np.array(rows.numeric)[varies], values[:, varies]
        if len(own) < 2:
            return
        ranges = rows.ranges(range(len(rows.columns)))
        for each in (*_sums(own, values), *_multiples(own, values, rows)):
            if not each.broken(rows.columns, ranges).any():
                yield each

    def residual(self, values: Float[np.ndarray, "m k"]) -> Float[np.ndarray, " m"]:
        """Returns the first column minus what the others make of it."""
        return np.asarray(values @ np.array([1.0, *(-factor for factor in self.factors)]) - self.constant)

    def gradient(self, values: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m k"]:
        """Returns the derivatives of the residual."""
        return np.tile([1.0, *(-factor for factor in self.factors)], (len(values), 1))

    def reach(
        self, low: Float[np.ndarray, "n k"], high: Float[np.ndarray, "n k"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Returns the lowest and highest number of the first column."""
        factors = np.array(self.factors)
        ends = np.stack([low[:, 1:] * factors, high[:, 1:] * factors])
        return ends.min(axis=0).sum(axis=1) + self.constant, ends.max(axis=0).sum(axis=1) + self.constant

    def text(self, names: Sequence[Any]) -> str:
        """Returns the equation, with the columns' names."""
        column, *terms = (names[column] for column in self.columns)
        parts = [
            f"{'-' if factor < 0 else '+'} {'' if abs(factor) == 1 else f'{abs(factor):.12g} '}{term}"
            for factor, term in zip(self.factors, terms, strict=True)
        ]
        if self.constant:
            parts.append(f"{'-' if self.constant < 0 else '+'} {abs(self.constant):.12g}")
        return f"{column} = {' '.join(parts).removeprefix('+ ')}"


def _sums(own: np.ndarray, values: Float[np.ndarray, "m d"]) -> Iterator[Sum]:
    """Columns that are linear combinations of the columns before them, which are not."""
    middle, deviation = values.mean(axis=0), values.std(axis=0)
    # Least squares on the triangular factor are those on all rows.
    triangle = np.linalg.qr((values - middle) / deviation, mode="r") / np.sqrt(len(values))
    free: list[int] = []
    for i in range(len(own)):
        slopes = np.linalg.lstsq(triangle[:, free], triangle[:, i])[0]
        terms = [j for j, slope in zip(free, slopes, strict=True) if abs(slope) > _ABSENT]
        if np.linalg.norm(triangle[:, i] - triangle[:, free] @ slopes) > _NULL:
            free.append(i)
        elif terms:
            scaled = dict(zip(free, slopes * deviation[i] / deviation[free], strict=True))
            factors = tuple(_simple(scaled[j]) for j in terms)
            constant = _simple(middle[i] - float(np.dot(factors, middle[terms])))
            yield Sum((int(own[i]), *own[terms].tolist()), factors, constant)


def _simple(number: float) -> float:
    """The nearest fraction of a small denominator, if it is very near."""
    simple = float(Fraction(float(number)).limit_denominator(_DENOMINATOR))
    return simple if abs(simple - number) <= _ABSENT * max(1.0, abs(number)) else float(number)


def _multiples(own: np.ndarray, values: Float[np.ndarray, "m d"], rows: TrainingRows) -> Iterator[Sum]:
    """Columns that are a multiple of another plus a constant, rounded to their digits."""
    with np.errstate(all="ignore"):
        correlations = np.abs(np.corrcoef(values, rowvar=False))
    few = {i for i, column in enumerate(values.T) if len(np.unique(column)) < _FEWEST_VALUES}
    # The column whose numbers are rounded less is calculated: from that, the other could not be, to the last digit.
    coarseness = np.array([rows.encoders[column].unit for column in own]) / values.std(axis=0)
    pairs = np.argwhere(correlations > _CORRELATION).tolist()
    for i, j in sorted(pairs, key=lambda pair: -coarseness[pair[1]]):
        unit = rows.encoders[own[i]].unit
        if i == j or not few.isdisjoint((i, j)) or not unit or any(rows.columns[own[k]].is_date for k in (i, j)):
            continue
        there = ~rows.columns[own[i]].is_missing & ~rows.columns[own[j]].is_missing
        y, x = (rows.columns[own[k]].values[there].astype(float) for k in (i, j))
        found = _line(x, y, unit)
        if found and np.mean(rows.encoders[own[i]].rounded(found[0] * x + found[1]) == y) >= _AS_ROUNDED:
            yield Sum((int(own[i]), int(own[j])), found[:1], found[1])


def _line(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], unit: float) -> tuple[float, float] | None:
    """The factor and constant of the fewest digits with which y is rounded to a unit; None if there are none."""
    from scipy.optimize import minimize_scalar

    off_x, half = x - x.mean(), (0.5 + _NULL) * unit
    slope, reach = float(off_x @ (y - y.mean()) / (off_x @ off_x)), unit / float(off_x.std())
    if np.ptp(y - slope * x) > 2 * unit:
        return None
    # Of all lines, the one whose largest error is least is nearest to the true one.
    best = minimize_scalar(lambda move: np.ptp(y - (slope + move * reach) * x), bounds=(-1, 1), method="bounded").x
    for factor in _shortened(slope + float(best) * reach):
        rest = y - factor * x
        low, high = float(rest.max()) - half, float(rest.min()) + half
        if factor and low <= high:
            return factor, next(each for each in (0.0, *_shortened((low + high) / 2)) if low <= each <= high)
    return None


def _shortened(number: float) -> list[float]:
    """The number to one to seven digits, and with all."""
    return [float(f"{number:.{n}g}") for n in (*range(1, 8), 17)]
