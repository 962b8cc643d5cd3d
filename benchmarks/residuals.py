"""Standard deviations of residuals in drawn rows and filled cells of simulated tables, compared with the truth.

Twenty tables of 500 to 20,000 rows have 2 to 12 columns of numbers. Each column is a function of one or two earlier
ones plus normal noise: linear, curved, or with a standard deviation that depends on another column. Every table also
has a category, a date and a count, which other columns hardly depend on; half of the tables have missing cells. If f
and s are the true mean and standard deviation of a value given the earlier columns, its residual (value - f) / s is
standard normal.

The standard deviation and the interquartile range of each column's residuals are compared with 1 and 1.349 in

- "sampled": rows drawn without conditions, the same number as in the table;
- "given": the same, with the first number of each training row observed;
- "imputed": the filled cells of fresh rows in which a third of the numbers are hidden;
- "fresh": another sample of the true distribution, which shows the effect of chance alone.

A difference counts if it exceeds two standard errors of the difference between two samples of that size.
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from machine import report
from pointillist import Diffusion

IQR = 1.3489795
"""Interquartile range of the standard normal distribution."""

SIZES = 500, 1000, 2000, 5000, 20_000
COLUMNS = 2, 3, 5, 12
WAYS = "fresh", "sampled", "given", "imputed"


@dataclass(frozen=True)
class Made:
    """A made distribution of tables.

    Attributes:
        seed: Seed of the functions.
        n_numbers: Number of columns of numbers.
        has_missing: Whether cells are missing.
    """

    seed: int
    n_numbers: int
    has_missing: bool

    def _terms(self, j: int, numbers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of column j given the earlier ones."""
        rng = np.random.default_rng((self.seed, j))
        first, second = numbers[rng.integers(j)], numbers[rng.integers(j)]
        slope, other = rng.uniform(0.7, 2), rng.uniform(-1, 1)
        kind = (self.seed + j) % 3
        if kind == 0:
            return slope * first + other * second, np.full(len(first), rng.uniform(0.3, 0.8))
        if kind == 1:
            return slope * np.tanh(first) * 2 + 0.3 * second**2, np.full(len(first), rng.uniform(0.3, 0.8))
        return slope * first, 0.3 + 0.4 / (1 + np.exp(-2 * second))

    def draw(self, n: int, seed: int) -> pa.Table:
        """Draws a table of n rows."""
        rng = np.random.default_rng((self.seed, 1000, seed))
        category, count, day = rng.integers(0, 4, n), rng.poisson(3, n), rng.integers(0, 1000, n)
        numbers = [rng.normal(size=n) + 0.7 * (category == 1)]
        while len(numbers) < self.n_numbers:
            mean, deviation = self._terms(len(numbers), numbers)
            numbers.append(mean + deviation * rng.normal(size=n))
        columns: dict[str, object] = {f"v{j}": values for j, values in enumerate(numbers)}
        if self.has_missing:
            columns = {
                name: pa.array(values, mask=rng.random(n) < 0.15) if name != "v0" else values
                for name, values in columns.items()
            }
        days = np.datetime64("2020-01-01") + day.astype("timedelta64[D]")
        return pa.table({"category": np.array(list("abcd"))[category], "count": count, "day": days} | columns)

    def residuals(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Computes the residual of every column of numbers but the first, NaN where a cell that it needs is missing."""
        numbers = [np.array(table[f"v{j}"].to_pylist(), float) for j in range(self.n_numbers)]
        found = {}
        for j in range(1, self.n_numbers):
            mean, deviation = self._terms(j, numbers[:j])
            found[f"v{j}"] = (numbers[j] - mean) / deviation
        return found


def spreads(residuals: np.ndarray) -> tuple[float, float, int]:
    """Returns standard deviation and interquartile range, both 1 for standard normal residuals, and their number."""
    there = residuals[np.isfinite(residuals)]
    low, high = np.percentile(there, [25, 75])
    return float(there.std()), float((high - low) / IQR), len(there)


def z_scores(residuals: np.ndarray) -> tuple[float, float]:
    """Differences from 1, over the standard error of the difference between two samples of standard normal numbers."""
    deviation, iqr, n = spreads(residuals)
    return (deviation - 1) / (1 / n) ** 0.5, (iqr - 1) / (2**0.5 * 1.573 / IQR / n**0.5)


def hidden(table: pa.Table, n_numbers: int) -> tuple[pa.Table, np.ndarray]:
    """Hides a third of the numbers but the first column's; returns the table and what is hidden, shape (n, d)."""
    is_hidden = np.random.default_rng(2).random((len(table), n_numbers)) < 1 / 3
    is_hidden[:, 0] = False
    for j in range(1, n_numbers):
        cells = np.array(table[f"v{j}"].to_pylist(), float)
        masked = pa.array(cells, mask=is_hidden[:, j] | np.isnan(cells))
        table = table.set_column(table.column_names.index(f"v{j}"), f"v{j}", masked)
    return table, is_hidden


def measured(made: Made, n: int) -> dict[str, Any]:
    """Fits a model to a table, and compares the residuals of its rows."""
    table = made.draw(n, 0)
    start = time.perf_counter()
    model = Diffusion(random_state=0).fit(table)
    seconds = time.perf_counter() - start
    gaps, is_hidden = hidden(made.draw(n, 1), made.n_numbers)
    rows = {
        "fresh": made.draw(n, 2),
        "sampled": model.sample(n, random_state=1),
        "given": model.sample(n, where={"v0": table["v0"].to_numpy()}, random_state=1),
        "imputed": model.impute(gaps, random_state=1),
    }
    found: dict[str, Any] = {"seconds": seconds}
    for way in WAYS:
        residuals = made.residuals(rows[way])
        if way == "imputed":
            residuals = {
                name: np.where(is_hidden[:, int(name[1:])], values, np.nan) for name, values in residuals.items()
            }
        found[way] = {name: (*spreads(values), *z_scores(values)) for name, values in residuals.items()}
    return found


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, nargs="+", default=range(20), help="numbers of some tables")
    arguments = parser.parse_args()
    results, outside = {}, {way: [] for way in WAYS}
    print("| rows | numbers | missing | fit, s | " + " | ".join(f"{way}: SD, IQR / 1.349" for way in WAYS) + " |")
    print("|" + "---|" * (4 + len(WAYS)))
    for i in arguments.tables:
        n, made = SIZES[i % 5], Made(i, COLUMNS[i // 5], i % 2 == 1)
        found = measured(made, n)
        results[i] = found
        cells = []
        for way in WAYS:
            values = np.array(list(found[way].values()))
            outside[way] += (np.abs(values[:, 3:]) > 2).ravel().tolist()
            cells.append(f"{values[:, 0].mean():.3f}, {values[:, 1].mean():.3f}")
        cells = " | ".join(cells)
        gaps = "yes" if made.has_missing else "no"
        print(f"| {n:,} | {made.n_numbers} | {gaps} | {found['seconds']:.0f} | {cells} |", flush=True)
    for way in WAYS:
        share = 1 - np.mean(outside[way])
        print(f"{way}: {share:.1%} of {len(outside[way])} spreads within two standard errors")
    report("residuals", {"tables": results})


if __name__ == "__main__":
    main()
