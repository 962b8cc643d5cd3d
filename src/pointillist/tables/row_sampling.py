"""Uniform samples of the rows of tables that may be larger than memory."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from pointillist.lazy import pa

ROWS_IN_MEMORY = 1_000_000
"""Largest number of rows of mixed columns that a fit or an evaluation holds. A fit sees some four million rows, so each
of them is then seen four times."""

_SEED = 0


def in_memory(X: Any, name: str = "X") -> Any:
    """Returns an Arrow table of what yields batches of rows, at most `ROWS_IN_MEMORY`, and anything else unchanged.

    Batches come from a dataset of PyArrow, a reader of record batches, or a relation of DuckDB. The warning names X.
    """
    if hasattr(X, "scanner"):
        X = X.scanner().to_reader()
    is_relation = type(X).__module__.partition(".")[0] in ("duckdb", "_duckdb")
    if not is_relation and type(X).__name__ != "RecordBatchReader":
        return X
    reader = pa.RecordBatchReader.from_stream(X)
    return sample_rows(reader, name) or reader.schema.empty_table()


def sample_rows(
    batches: "Iterable[pa.RecordBatch]", what: object, most_rows: int | None = ROWS_IN_MEMORY
) -> "pa.Table | None":
    """Returns all rows, or a uniform sample without replacement if there are more than `most_rows`; None for no batch.

    The sample depends on the rows and their order, but not on their division into batches, and it keeps their order.
    Memory holds at most twice as many rows, and a batch.

    Args:
        batches: The rows.
        what: Name of the table, for the warning.
        most_rows: Largest number of rows; None to return all.

    Warns:
        UserWarning: If rows are left out.
    """
    rng, n, limit = np.random.default_rng(_SEED), 0, 1.0
    kept: list[pa.Table] = []
    draws: list[np.ndarray] = []
    for batch in batches:
        # Each row has a uniform number, and those with the lowest numbers form the sample.
        drawn = rng.random(batch.num_rows)
        is_kept = drawn < limit
        n += batch.num_rows
        rows = pa.Table.from_batches([batch])
        kept.append(rows if is_kept.all() else rows.filter(is_kept))
        draws.append(drawn[is_kept])
        if most_rows is not None and sum(map(len, draws)) > 2 * most_rows:
            limit, kept, draws = _lowest(kept, draws, most_rows)
    if most_rows is None or n <= most_rows:
        return pa.concat_tables(kept) if kept else None
    warnings.warn(
        f"{what}: only a random sample of {most_rows:,} of {n:,} rows is used; rare values may be absent",
        UserWarning,
        stacklevel=4,
    )
    return _lowest(kept, draws, most_rows)[1][0]


def _lowest(
    kept: "list[pa.Table]", draws: list[np.ndarray], most_rows: int
) -> "tuple[float, list[pa.Table], list[np.ndarray]]":
    """Keeps the rows with the lowest numbers; returns the lowest number that is left out too."""
    numbers = np.concatenate(draws)
    limit = np.partition(numbers, most_rows)[most_rows] if len(numbers) > most_rows else np.inf
    return limit, [pa.concat_tables(kept).filter(numbers < limit)], [numbers[numbers < limit]]
