"""Adds generated columns to new rows, and reads them from model files."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from jaxtyping import Int

from pointillist.columns.generated import GeneratedColumn, GeneratedColumns
from pointillist.columns.keys import Codes, Numbering, Uuids
from pointillist.columns.personal import Personal
from pointillist.lazy import pa, pc
from pointillist.tables.frames import table_of
from pointillist.tables.layout import Layout

KINDS: dict[str, type[GeneratedColumn]] = {kind.kind: kind for kind in (Numbering, Uuids, Codes, Personal)}
"""All kinds of generated columns, by their names in files."""

_BLOCK = 1024
"""Number of values of a composite key that are generated at once."""


def generated_from_json(content: Mapping[str, Any]) -> GeneratedColumns:
    """Rebuilds generated columns from the result of `to_json`; raises a ValueError if the content is not valid."""
    columns = []
    for each in content["columns"]:
        if each["kind"] not in KINDS:
            raise ValueError(f"{each['kind']!r:.40} is not a kind of generated column")
        columns.append(KINDS[each["kind"]].from_json(each))
    layout, label_index = Layout.from_json(content["layout"]), content["label_index"]
    if label_index is not None and (type(label_index) is not int or not 0 <= label_index <= len(layout.column_names)):
        raise ValueError("the labels have no position among its columns")
    return GeneratedColumns(layout, tuple(columns), label_index)


class GeneratedRows:
    """Adds generated columns to rows, part by part.

    Args:
        generated: The generated columns.
        n_rows: Number of rows in all.
        start: Index of the first value of each column, or in each group of a composite key.
        exclude: A table in any container with keys that are left out; None for none.
        seed: Seed of values that are not keys, and of UUIDs.

    Raises:
        ValueError: In one line, if there are too few keys, or if `exclude` lacks a column.
    """

    def __init__(self, generated: GeneratedColumns, n_rows: int, start: int, exclude: Any, seed: int) -> None:
        self._generated = generated
        excluded = {} if exclude is None else _keys_in(exclude, generated)
        self._sources: list[_Source] = []
        for column in generated.columns:
            if n_rows:
                column.prepare()
            kind = generated.layout.type_of(column.name)
            grouped = _Grouped if column.is_key else _Equal
            source = (grouped if column.within else _Single)(column, kind, start, excluded.get(column.name, ()), seed)
            if isinstance(source, _Single):
                source.check(start + n_rows)
            self._sources.append(source)

    def added(self, learned: Sequence[Any]) -> "pa.Table":
        """Returns the next rows with all columns, from the learned ones in the order of the layout."""
        layout = self._generated.layout
        cells = {
            name: pa.array(column) if isinstance(column, np.ndarray) else column
            for name, column in zip(self._generated.learned_names, learned, strict=True)
        }
        for source in self._sources:
            cells[source.column.name] = source.take(len(learned[0]), cells)
        return pa.Table.from_arrays([cells[name] for name in layout.column_names], schema=layout.schema)


class _Source(ABC):
    """The values of a column for consecutive rows."""

    def __init__(
        self, column: GeneratedColumn, kind: Any, start: int, excluded: "Sequence[pa.ChunkedArray]", seed: int
    ) -> None:
        self.column, self._kind, self._start, self._excluded, self._seed = column, kind, start, excluded, seed
        self._count = column.count(kind)

    @abstractmethod
    def take(self, n: int, cells: Mapping[Any, Any]) -> "pa.Array":
        """Returns the next n values, given the other cells of the rows."""

    def _groups(self, cells: Mapping[Any, Any]) -> Iterator[tuple[Any, ...]]:
        return zip(*(cells[name].to_pylist() for name in self.column.within), strict=True)

    def _array(self, indices: Int[np.ndarray, " n"]) -> "pa.Array":
        return pa.array(self.column.values(indices, self._seed)).cast(self._kind)


class _Single(_Source):
    """One value for each row, in order."""

    def check(self, end: int) -> None:
        """Raises a ValueError if there are fewer values than `end`."""
        if self._count is not None and end > self._count:
            raise _too_few(self.column, self._count, end)

    def take(self, n: int, cells: Mapping[Any, Any]) -> "pa.Array":
        parts: list[Any] = [self._array(np.arange(0))]
        while missing := n - sum(map(len, parts)):
            self.check(self._start + missing)
            values = self._array(np.arange(self._start, self._start + missing))
            self._start += missing
            if self._excluded:
                values = values.filter(pc.invert(pc.is_in(values, self._excluded[0])))
            parts.append(values)
        return pa.concat_arrays(parts)


class _Equal(_Source):
    """Values that rows of one group share, in every table and part."""

    def take(self, n: int, cells: Mapping[Any, Any]) -> "pa.Array":
        hashes = [blake2b(repr(group).encode(), digest_size=8).digest() for group in self._groups(cells)]
        return self._array(np.frombuffer(b"".join(hashes), "<i8") & (2**63 - 1))


class _Grouped(_Source):
    """Values of the last column of a composite key, whose indices count the rows of a group."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._next: dict[tuple[Any, ...], int] = {}
        self._values: list[Any] = []
        self._taken = {*zip(*(column.to_pylist() for column in self._excluded), strict=True)}

    def take(self, n: int, cells: Mapping[Any, Any]) -> "pa.Array":
        values = []
        for group in self._groups(cells):
            index = self._next.get(group, 0)
            while (*group, self._value(index)) in self._taken:
                index += 1
            values.append(self._value(index))
            self._next[group] = index + 1
        return pa.array(values, self._kind)

    def _value(self, index: int) -> Any:
        while index >= len(self._values):
            first = self._start + len(self._values)
            n = _BLOCK if self._count is None else min(_BLOCK, self._count - first)
            if n <= 0:
                raise _too_few(self.column, first, first + 1)
            self._values += self._array(np.arange(first, first + n)).to_pylist()
        return self._values[index]


def _too_few(column: GeneratedColumn, count: int, needed: int) -> ValueError:
    where = f" for each {', '.join(map(repr, column.within))}" if column.within else ""
    return ValueError(
        f"column {column.name!r} has {count:,} {column.text}{where}, and {needed:,} are needed: draw fewer rows, or "
        f"declare more keys with rules.unique({column.name!r}, pattern=…)"
    )


def _keys_in(exclude: Any, generated: GeneratedColumns) -> "dict[Any, list[pa.ChunkedArray]]":
    """Returns the cells of the columns that each key is numbered in, and of the key, by the name of the key."""
    found = table_of(exclude)
    if found is None:
        raise ValueError("exclude cannot be read: give a data frame with the keys to leave out")
    columns = dict(zip(map(str, found[0].names), found[0].arrow.columns, strict=True))
    excluded = {}
    for key in [each for each in generated.columns if each.is_key]:
        names = (*key.within, key.name)
        for name in names:
            if str(name) not in columns:
                raise ValueError(f"exclude has no column {name!r}, whose keys it leaves out: add it")
        cells = [columns[str(name)] for name in names]
        kind = generated.layout.type_of(key.name)
        try:
            cells[-1] = cells[-1].cast(kind)
        except pa.ArrowException as error:
            raise ValueError(
                f"column {key.name!r} of exclude holds {cells[-1].type}, and its keys are {kind}"
            ) from error
        excluded[key.name] = cells
    return excluded
