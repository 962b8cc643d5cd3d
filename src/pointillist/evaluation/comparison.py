"""`evaluate`: generated rows beside real ones, whatever they come as and whatever their columns hold."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.estimators.layout import is_frame
from pointillist.evaluation.evaluation import Evaluation, evaluate_numbers
from pointillist.evaluation.mixed import MixedEvaluation, evaluate_mixed
from pointillist.points import MixedTable, Table

if TYPE_CHECKING:
    import pyarrow as pa


def evaluate(
    data: Any, rows: Any, *, holdout: Any = None, target: Any = None, random_state: int = 0
) -> Evaluation | MixedEvaluation:
    """Measure how like real rows generated ones are, and whether they can be told from them.

    Tables of numbers alone have tests with p-values; if one of the tables has a column of anything else, or a missing
    cell, all are compared as tables of mixed columns, beside real rows and independent columns.

    Args:
        data: Real rows, at least 10: an array of shape (n, d), or a data frame of pandas, Polars or PyArrow.
        rows: Generated rows, at least 10, with the same columns; those of frames in any order.
        holdout: Real rows that the maker of `rows` did not see.
        target: A column of frames that holds labels, compared by the shares of its classes; of mixed tables, predicted
            in the held-out rows.
        random_state: Seed of subsamples and permutations.

    Returns:
        What was measured; both kinds have `verdict`, `can_be_told_apart` and `to_json()`.

    Raises:
        ValueError: In one line, if the tables have other columns, too few rows, or values that cannot be compared.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> evaluate(rng.normal(size=(300, 2)), rng.normal(size=(200, 2))).can_be_told_apart
        False
    """
    sides = {"data": data, "rows": rows} | ({} if holdout is None else {"holdout": holdout})
    tables = {name: _table(side, target) for name, side in sides.items()}
    if any(table is not None for table in tables.values()):
        lacking = [name for name, table in tables.items() if table is None]
        if lacking:
            raise ValueError(f"{lacking[0]} is an array and another side is a data frame: give frames, or arrays alone")
        known = {name: table for name, table in tables.items() if table is not None}
        if not all(table.is_plain for table in known.values()):
            arrays = {name: table.arrays() for name, table in known.items()}
            return evaluate_mixed(
                arrays["rows"],
                arrays["data"],
                holdout=arrays.get("holdout"),
                target=None if target is None else str(target),
                random_state=random_state,
            )
        plain = {name: table.plain() for name, table in known.items()}
        aligned = {name: _aligned(table, plain["data"], name) for name, table in plain.items()}
        labels = {name: None if table.label is None else table.label.values for name, table in plain.items()}
        return evaluate_numbers(
            aligned["rows"],
            aligned["data"],
            names=plain["data"].names,
            label_name=None if target is None else str(target),
            rows_labels=labels["rows"],
            data_labels=labels["data"],
            holdout=aligned.get("holdout"),
            random_state=random_state,
        )
    if target is not None:
        raise ValueError("target names a column of data frames, and these are arrays: leave it out, or give frames")
    return evaluate_numbers(rows, data, holdout=holdout, random_state=random_state)


def _table(side: Any, target: Any) -> MixedTable | None:
    """A frame as a table whose columns have text as names; None of an array."""
    if not is_frame(side):
        return None
    from pointillist.estimators.mixed.frames import table_of

    found = table_of(side)
    if found is None:
        raise ValueError("a data frame is of a kind that is not known, or two of its columns have the same name")
    table, _, headings = found
    texts = list(map(str, table.names if headings is None else headings.names))
    if target is not None and str(target) not in texts:
        raise ValueError(f"target={target!r} is no column of every table")
    arrow: pa.Table = table.arrow.rename_columns(texts)
    return MixedTable(arrow, None if target is None else str(target))


def _aligned(table: Table, to: Table, name: str) -> np.ndarray:
    """A table's rows with its columns in the order of those of the data."""
    assert table.names is not None and to.names is not None
    differing = sorted({*table.names} ^ {*to.names})
    if differing:
        raise ValueError(f"{name} has other columns than data: {differing[0]!r} is in one of them alone")
    return table.rows[:, [table.names.index(each) for each in to.names]]
