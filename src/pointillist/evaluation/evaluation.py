"""Measures rows against data, with real rows and independent columns as baselines."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich.console import Console

from pointillist.arguments import naming_unknown
from pointillist.evaluation.comparison import Comparison
from pointillist.evaluation.figure import histograms
from pointillist.evaluation.html import html_of
from pointillist.evaluation.report import Reported, json_value
from pointillist.evaluation.scores import measure_all, measure_numbers
from pointillist.evaluation.tables import HEADS, print_evaluation
from pointillist.evaluation.verdict import copy_signs, verdict_of
from pointillist.metrics import column_differences, copies, residual_spreads
from pointillist.metrics.mixed_tables import check_tables, count_rows

MIN_ROWS = 10
"""Fewest rows of each table; fewer would show nothing."""

MAX_CLASSES = 20
"""Most distinct integers of a target that is predicted as classes and not as numbers."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Comparison, Reported):
    """Measures of generated rows against data, with a verdict."""

    @property
    def looks_copied(self) -> bool:
        """Whether any sign of copying is beyond chance, at the level 0.01 over all signs together."""
        return bool(copy_signs(self))

    @cached_property
    def verdict(self) -> str:
        """Paragraph on whether rows look copied or are distinguishable from the data, and how they score."""
        return verdict_of(self)

    def print_on(self, console: Console) -> None:
        print_evaluation(self, console)

    def to_frame(self) -> Any:
        """Return a pandas frame with one row per line of the report, indexed by its title."""
        import pandas

        lines = [line for line in self.lines if line.title]
        values = [(*line.values, *[""] * (len(HEADS) - len(line.values)), line.p_value) for line in lines]
        return pandas.DataFrame(values, [line.title.strip() for line in lines], [*HEADS, "p"])

    def summary(self) -> dict[str, Any]:
        """Return the verdict, and the conclusions and p-values behind it, as JSON values."""
        names = ("verdict", "is_distinguishable", "looks_copied", "p_values", "adjusted_p_values", "copies_p_value")
        return json_value({name: getattr(self, name) for name in names})

    def to_json(self) -> dict[str, Any]:
        """Convert numbers, standard errors and p-values to JSON values, the verdict first; unknown ones are None."""
        found = json_value(self)
        del found["histograms"]
        return {**self.summary(), **found}

    def to_html(self) -> str:
        """Return the report as one HTML page without scripts, with the distribution of each column.

        Write it to a file, for example with `pathlib.Path.write_text`. It shows ranges, categories and counts of the
        data.
        """
        return html_of(self)


@naming_unknown
def evaluate(data: Any, rows: Any, holdout: Any = None, target: Any = None, *, random_state: int = 0) -> Evaluation:
    """Measure how similar generated rows are to real ones, and test whether they can be distinguished.

    Real rows and independent columns are measured too, as baselines. Numeric columns have further tests.

    Columns, pairs of columns and copies use all rows. The other measures use subsamples: boosted trees see the same
    number of rows of each table, at most 16,000 per side and 256,000 cells; the residuals of 5,000 rows per side are
    compared, by a regression fitted to 5,000 more data rows; manifold scores see 2,000 rows per side; the
    nearest records are those of 5,000 rows among 15,000 of each side; and a target is learned from at most 50,000 rows.
    In numeric columns, the random forest sees 2,000 rows per side (1,000 beyond 16 columns), and the test of the
    correlations 5,000.

    Args:
        data: Real rows, at least 10: an array of shape (n, d), a data frame of pandas, Polars or PyArrow, or columns of
            one length by name, float64 for numbers (NaN where missing) and object for categories (str, or None).
        rows: Generated rows, at least 10, with the same columns; frames may have them in any order.
        holdout: Real rows that the generator of `rows` did not see, at least 10.
        target: A column to predict in the held-out rows, if there are any; for arrays, its index. Text, and integers
            with at most 20 distinct values, are predicted as classes, and other numbers as numbers.
        random_state: Seed of subsamples, folds and permutations.

    Returns:
        All measures, with `verdict`, `is_distinguishable`, `looks_copied` and `to_json()`.

    Raises:
        ValueError: In one line, if the tables have different columns, too few rows, or values that cannot be compared,
            or if the target is not a column or has only one value in the held-out rows.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> evaluate(rng.normal(size=(300, 2)), rng.normal(size=(200, 2))).is_distinguishable
        False
    """
    start = time.perf_counter()
    if hasattr(data, "fit"):
        raise ValueError(f"data is a {type(data).__name__}: real rows come first, evaluate(data, rows)")
    sides = {"data": data, "rows": rows} | ({} if holdout is None else {"holdout": holdout})
    checked = dict(zip(sides, check_tables(MIN_ROWS, **sides), strict=True))
    # Random draws must not depend on the order of columns.
    tables = {side: {name: table[name] for name in checked["data"]} for side, table in checked.items()}
    data, target = tables["data"], None if target is None else str(target)
    if target is not None and target not in data:
        raise ValueError(f"target={target!r} is not a column of data: use one of {', '.join(map(repr, data))}")
    if target is not None and data[target].dtype != object and not is_of_numbers(data[target]):
        for table in tables.values():
            texts = [None if value != value else f"{value:.16g}" for value in table[target].tolist()]
            table[target] = np.array(texts, object)
    rows, holdout = tables["rows"], tables.get("holdout")
    scores = measure_all(data, rows, holdout, target, random_state)
    columns = column_differences(data, rows, random_state=random_state)
    return Evaluation(
        m=count_rows(rows),
        n=count_rows(data),
        names=tuple(data),
        holdout_rows=None if holdout is None else count_rows(holdout),
        target=target,
        rows=scores[0],
        real=scores[1],
        independent=scores[2],
        columns=columns,
        residuals=residual_spreads(data, rows, random_state=random_state),
        copies=copies(data, rows),
        holdout_copies=None if holdout is None else copies(data, holdout),
        numbers=measure_numbers(data, rows, random_state),
        histograms=histograms(data, rows, columns),
        seconds=time.perf_counter() - start,
    )


def is_of_numbers(column: np.ndarray) -> bool:
    """Whether a column is predicted as numbers, and not as classes."""
    if column.dtype == object:
        return False
    values = np.unique(column[~np.isnan(column)])
    return len(values) > MAX_CLASSES or not np.all(values == np.round(values))
