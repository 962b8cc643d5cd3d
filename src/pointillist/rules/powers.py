"""Columns that are a power of another, for example diameter = 1.128 × area^0.5 and hertz = 1 / seconds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from pointillist.rules.equation import HELD, Equation
from pointillist.rules.rule import Numbers, TrainingRows, Vector

EXPONENTS = (2.0, 3.0, 0.5, 1 / 3, -1.0, -2.0, -0.5)
"""Exponents that are looked for."""

_FEWEST_VALUES, _SLOPE_ERROR = 20, 0.01
"""Fewest values of a column, and largest error of the slope between the logarithms of two columns."""


@dataclass(frozen=True)
class Power(Equation):
    """The first column as a factor times a power of the second, one of `EXPONENTS`; all numbers are positive."""

    factor: float
    exponent: float

    kind = "power"
    has_exceptions = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.columns) != 2 or self.factor <= 0 or self.exponent not in EXPONENTS:
            raise ValueError("a power needs two columns, a factor above 0, and an exponent that is looked for")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> Iterator["Power"]:
        columns = [column for column in rows.numeric if not rows.columns[column].is_date]
        counts = {column: len(np.unique(rows.numbers([column]))) for column in columns}
        columns = [each for each in columns if counts[each] >= _FEWEST_VALUES and rows.numbers([each]).min() > 0]
        if len(columns) < 2:
            return
        logs = np.log(rows.numbers(columns))
        covariance = np.cov(logs, rowvar=False)
        units = [each.encoder.unit for each in rows.ranges(columns)]
        digits = [(counts[column], -unit) for column, unit in zip(columns, units, strict=True)]
        for i, k in permutations(range(len(columns)), 2):
            slope = covariance[i, k] / covariance[k, k] if covariance[k, k] > 0 else np.nan
            exponent = min(EXPONENTS, key=lambda each: abs(each - slope))
            # Solved for the column of more digits: the other, rounded, would not determine them.
            has_digits = digits[i] > digits[k] or (digits[i] == digits[k] and abs(exponent) >= 1)
            if abs(exponent - slope) > _SLOPE_ERROR or not has_digits:
                continue
            factor = float(np.exp(np.median(logs[:, i] - exponent * logs[:, k])))
            pair = columns[i], columns[k]
            found = cls(pair, factor, exponent)
            if factor > 0 and found.is_off(rows.numbers(pair), rows.ranges(pair)).mean() <= 1 - HELD:
                yield found

    def residual(self, values: Numbers) -> Vector:
        return np.asarray(values[:, 0] - self.factor * values[:, 1] ** self.exponent)

    def gradient(self, values: Numbers) -> Numbers:
        slopes = -self.factor * self.exponent * values[:, 1] ** (self.exponent - 1)
        return np.stack([np.ones(len(values)), slopes], axis=1)

    def reach(self, low: Numbers, high: Numbers) -> tuple[Vector, Vector]:
        ends = np.stack([self.factor * np.maximum(side[:, 1], 0.0) ** self.exponent for side in (low, high)])
        return ends.min(axis=0), ends.max(axis=0)

    def solve(self, values: Numbers, i: int) -> Vector:
        with np.errstate(all="ignore"):
            if i == 0:
                return np.asarray(self.factor * values[:, 1] ** self.exponent)
            return np.asarray((values[:, 0] / self.factor) ** (1 / self.exponent))

    def text(self, names: Sequence[Any]) -> str:
        column, base = (names[column] for column in self.columns)
        return f"{column} = {'' if self.factor == 1 else f'{self.factor:.12g} × '}{base}^{self.exponent:.3g}"
