"""Samples and parts of tables that may be larger than memory."""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointillist.lazy import pa, pc

ROWS_IN_MEMORY = 1_000_000
"""Largest number of rows of mixed columns that a fit or an evaluation holds. A fit sees some four million rows, so each
of them is then seen four times."""

ROWS_PER_PART = 100_000
"""Number of rows that are answered together."""

_SEED = 0


@dataclass(frozen=True)
class RowLimit:
    """How many rows of a table are held.

    Attributes:
        most_rows: Largest number of rows of the uniform sample of a larger table.
        is_uniform: Whether to leave out the rows that are added for values that the sample lacks. They depend on single
            rows of the table.
    """

    most_rows: int = ROWS_IN_MEMORY
    is_uniform: bool = False


IN_MEMORY = RowLimit()

_MOST_CATEGORIES = 1000
"""A column with more values than this is not searched for rows with a category that a sample lacks."""

_NUMBER = r"^[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?$"


def in_memory(X: Any, name: str = "X", limit: RowLimit = IN_MEMORY) -> Any:
    """Returns an Arrow table of what yields batches of rows, as `sample_rows` does, and anything else unchanged.

    Batches come from a dataset of PyArrow, a reader of record batches, or a relation of DuckDB. The warning names X.
    """
    reader = _reader_of(X)
    return X if reader is None else sample_rows(reader, name, limit) or reader.schema.empty_table()


def parts_of_rows(X: Any) -> "Iterator[pa.Table] | None":
    """Returns tables of `ROWS_PER_PART` rows of what yields batches (see `in_memory`); None for anything else."""
    reader = _reader_of(X)
    return None if reader is None else _equal_parts(reader)


def _equal_parts(reader: "pa.RecordBatchReader") -> "Iterator[pa.Table]":
    held = reader.schema.empty_table()
    for batch in reader:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while len(held) > ROWS_PER_PART:
            yield held.slice(0, ROWS_PER_PART)
            held = held.slice(ROWS_PER_PART)
    yield held


def answered_in_parts(method: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a method that returns an array of the rows X, or some by name, also take what yields batches of rows."""

    @functools.wraps(method)
    def answer(self: Any, X: Any, *arguments: Any, **keywords: Any) -> Any:
        parts = parts_of_rows(X)
        if parts is None:
            return method(self, X, *arguments, **keywords)
        found = [method(self, part, *arguments, **keywords) for part in parts]
        if not isinstance(found[0], dict):
            return np.concatenate(found)
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    return answer


def _reader_of(X: Any) -> "pa.RecordBatchReader | None":
    if hasattr(X, "scanner"):
        X = X.scanner().to_reader()
    is_relation = type(X).__module__.partition(".")[0] in ("duckdb", "_duckdb")
    return pa.RecordBatchReader.from_stream(X) if is_relation or type(X).__name__ == "RecordBatchReader" else None


def sample_rows(
    batches: "Iterable[pa.RecordBatch]", what: object, limit: RowLimit | None = IN_MEMORY
) -> "pa.Table | None":
    """Returns all rows, or a sample without replacement if there are too many; None for no batch.

    The sample is uniform. If the limit allows it, rows follow that hold what it lacks: the lowest and the highest value
    of each column, and each category of columns of at most 1,000 categories.

    The sample depends on the rows and their order, but not on their division into batches, and it keeps their order.
    Memory holds at most twice as many rows, and a batch.

    Args:
        batches: The rows.
        what: Name of the table, for the warning.
        limit: How many rows are held; None for all.

    Warns:
        UserWarning: If rows are left out.
    """
    most_rows, is_completed = (None, False) if limit is None else (limit.most_rows, not limit.is_uniform)
    rng, n, highest = np.random.default_rng(_SEED), 0, 1.0
    seen: _SeenValues | None = None
    kept: list[pa.Table] = []
    draws: list[np.ndarray] = []
    for batch in batches:
        # Each row has a uniform number, and those with the lowest numbers form the sample.
        drawn = rng.random(batch.num_rows)
        is_kept = drawn < highest
        n, schema = n + batch.num_rows, batch.schema
        batch = batch.cast(_filterable(schema))
        rows = pa.Table.from_batches([batch])
        kept.append(rows if is_kept.all() else rows.filter(is_kept))
        draws.append(drawn[is_kept])
        if seen is not None:
            seen.add(batch)
        if most_rows is not None and sum(map(len, draws)) > 2 * most_rows:
            # Up to here, all rows are held.
            seen = seen or (_SeenValues(kept) if is_completed else None)
            highest, kept, draws = _lowest(kept, draws, most_rows)
    if most_rows is None or n <= most_rows:
        return pa.concat_tables(kept).cast(schema) if kept else None
    warnings.warn(f"{what}: only a random sample of {most_rows:,} of {n:,} rows is used", UserWarning, stacklevel=4)
    sample = _lowest(kept, draws, most_rows)[1][0]
    added = (seen or _SeenValues(kept)).absent_from(sample) if is_completed else []
    return pa.concat_tables([sample, *added]).cast(schema)


def _filterable(schema: "pa.Schema") -> "pa.Schema":
    """Replaces the type string_view, which Arrow cannot filter."""
    for i, field in enumerate(schema):
        if pa.types.is_string_view(field.type):
            schema = schema.set(i, field.with_type(pa.large_string()))
    return schema


def _lowest(
    kept: "list[pa.Table]", draws: list[np.ndarray], most_rows: int
) -> "tuple[float, list[pa.Table], list[np.ndarray]]":
    """Keeps the rows with the lowest numbers; returns the lowest number that is left out too."""
    numbers = np.concatenate(draws)
    limit = np.partition(numbers, most_rows)[most_rows] if len(numbers) > most_rows else np.inf
    return limit, [pa.concat_tables(kept).filter(numbers < limit)], [numbers[numbers < limit]]


class _SeenValues:
    """The first row with each category of each column, and the first with its lowest and its highest value."""

    def __init__(self, tables: "Iterable[pa.Table]") -> None:
        # Indices of rows by column and category, without the columns of too many; by column and end, with its value.
        self._categories: dict[str, dict[Any, int]] = {}
        self._unlisted: set[str] = set()
        self._ends: dict[tuple[str, Any], dict[str, tuple[Any, int]]] = {}
        self._rows: dict[int, pa.Table] = {}
        self._n = 0
        for batch in (batch for table in tables for batch in table.to_batches()):
            self.add(batch)

    def add(self, batch: "pa.RecordBatch") -> None:
        """Looks at the next rows."""
        new: set[int] = set()
        for name, cells in zip(batch.schema.names, batch.columns, strict=True):
            if name not in self._unlisted:
                new |= self._new_categories(name, cells)
            for values in _ordered(cells):
                new |= self._new_ends(name, values)
        if new:
            indices = sorted(new)
            rows = pa.Table.from_batches([batch.take(pa.array(indices, pa.int64()))])
            self._rows |= {self._n + index: rows.slice(i, 1) for i, index in enumerate(indices)}
            used = {row for first in self._categories.values() for row in first.values()}
            used |= {row for ends in self._ends.values() for _, row in ends.values()}
            self._rows = {row: table for row, table in self._rows.items() if row in used}
        self._n += batch.num_rows

    def absent_from(self, sample: "pa.Table") -> "list[pa.Table]":
        """Returns the rows with categories and ends that a sample lacks, in order."""
        absent: set[int] = set()
        for name, first in self._categories.items():
            held = set(_categories(sample[name].combine_chunks()).to_pylist())
            absent |= {row for category, row in first.items() if category not in held}
        for name in sample.column_names:
            for values in _ordered(sample[name].combine_chunks()):
                found = pc.min_max(values).as_py()
                ends = self._ends[name, values.type]
                absent |= {row for end, (value, row) in ends.items() if found[end] != value}
        return [self._rows[row] for row in sorted(absent)]

    def _new_categories(self, name: str, cells: "pa.Array") -> set[int]:
        known, found = self._categories.setdefault(name, {}), _categories(cells)
        new = [each for each in found.to_pylist() if each not in known] if len(found) <= _MOST_CATEGORIES else []
        if len(found) > _MOST_CATEGORIES or len(known) + len(new) > _MOST_CATEGORIES:
            self._unlisted.add(name)
            del self._categories[name]
            return set()
        rows = [_first_row(cells, each) for each in new]
        known.update((category, self._n + row) for category, row in zip(new, rows, strict=True))
        return set(rows)

    def _new_ends(self, name: str, values: "pa.Array") -> set[int]:
        known, rows = self._ends.setdefault((name, values.type), {}), set()
        found = pc.min_max(values).as_py()
        for end, value in found.items() if found["min"] is not None else ():
            before = known[end][0] if end in known else value
            further = min(value, before) if end == "min" else max(value, before)
            if end not in known or further != before:
                row = _first_row(values, value)
                known[end] = value, self._n + row
                rows.add(row)
        return rows


def _categories(cells: "pa.Array") -> "pa.Array":
    """Returns the distinct values of a column that may be categories; none for fractions and times."""
    if pa.types.is_dictionary(cells.type):
        # A dictionary may have equal and null entries.
        return pc.unique(cells.dictionary.take(pc.unique(cells.indices).drop_null())).drop_null()
    tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean
    if any(test(cells.type) for test in tests):
        return pc.unique(cells).drop_null()
    return cells.slice(0, 0)


def _first_row(cells: "pa.Array", value: Any) -> int:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    row: int = pc.index(cells, pa.scalar(value, cells.type)).as_py()
    return row


def _ordered(cells: "pa.Array") -> "list[pa.Array]":
    """Returns numbers, times as integers, and texts twice: as texts, such as dates, and those that are numbers."""
    if pa.types.is_string(cells.type):
        trimmed = pc.ascii_trim_whitespace(cells)
        return [cells, pc.if_else(pc.match_substring_regex(trimmed, _NUMBER), trimmed, None).cast(pa.float64())]
    if pa.types.is_floating(cells.type):
        numbers = cells.cast(pa.float64())
        return [pc.if_else(pc.is_nan(numbers), None, numbers)]
    if pa.types.is_temporal(cells.type):
        return [cells.view(pa.int32() if cells.type.bit_width == 32 else pa.int64())]
    return [cells] if pa.types.is_integer(cells.type) else []
