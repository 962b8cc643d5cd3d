"""`evaluate`: compares generated rows with real ones, as arrays or data frames with columns of any kind."""

from typing import Any

from pointillist.evaluation.evaluation import Evaluation, evaluate_tables
from pointillist.evaluation.inputs import columns_of


def evaluate(data: Any, rows: Any, holdout: Any = None, target: Any = None, *, random_state: int = 0) -> Evaluation:
    """Measure how similar generated rows are to real ones, and test whether they can be distinguished.

    Real rows and independent columns are measured too, as baselines. Columns of numbers have further tests.

    Args:
        data: Real rows, at least 10: an array of shape (n, d), or a data frame of pandas, Polars or PyArrow.
        rows: Generated rows, at least 10, with the same columns; those of frames in any order.
        holdout: Real rows that the generator of `rows` did not see.
        target: A column to predict in the held-out rows, if there are any; of arrays its position. Text, and integers
            of at most 20 different values, are predicted as classes, and other numbers as numbers.
        random_state: Seed of subsamples, folds and permutations.

    Returns:
        All measures, with `verdict`, `is_distinguishable`, `looks_copied` and `to_json()`.

    Raises:
        ValueError: In one line, if the tables have different columns, too few rows, or values that cannot be compared.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> evaluate(rng.normal(size=(300, 2)), rng.normal(size=(200, 2))).is_distinguishable
        False
    """
    given = {"data": data, "rows": rows} | ({} if holdout is None else {"holdout": holdout})
    tables = columns_of(given, target)
    return evaluate_tables(
        tables["data"],
        tables["rows"],
        holdout=tables.get("holdout"),
        target=None if target is None else str(target),
        random_state=random_state,
    )
