"""`Schema`: the keys that relate several tables, and the order of the rows that share a parent."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Self

import numpy as np
from jaxtyping import Int

from pointillist.foreign_text import listed
from pointillist.lazy import pa, pc
from pointillist.tables.frames import table_of
from pointillist.tables.table import Table, kind_of, plain_column

Columns = tuple[str, ...]

Tables = Mapping[str, Table]


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a table that hold the primary key of another table, its parent."""

    table: str
    columns: Columns
    parent: str

    @property
    def name(self) -> str:
        """The key as text, for messages and names of columns."""
        return f"{self.table}.{'+'.join(self.columns)}"

    @property
    def is_self(self) -> bool:
        """Whether the key refers to its table."""
        return self.table == self.parent


@dataclass(frozen=True)
class Schema:
    """The keys of related tables.

    Attributes:
        tables: Names of the tables, parents before their children.
        primary_keys: Columns of the primary key of each table that has one.
        foreign_keys: The foreign keys of each table. The first one that is never missing decides how many rows a parent
            has; the rows of other keys are matched.
        order: Column that orders the rows of a parent, for tables whose rows have an order.
    """

    tables: tuple[str, ...]
    primary_keys: Mapping[str, Columns]
    foreign_keys: Mapping[str, tuple[ForeignKey, ...]]
    order: Mapping[str, str]

    @classmethod
    def of(
        cls,
        tables: Sequence[str],
        primary_keys: Mapping[str, Any],
        foreign_keys: Mapping[str, Mapping[Any, str]],
        order: Mapping[str, str] | None = None,
    ) -> Self:
        """Makes a schema of plain dictionaries, as `RelationalDiffusion` takes them.

        Raises:
            ValueError: In one line, if a table does not exist, has no primary key, or tables refer to each other in a
                cycle.
        """
        order = order or {}
        for what, known in (("primary_keys", primary_keys), ("foreign_keys", foreign_keys), ("order", order)):
            for table in known:
                if table not in tables:
                    raise ValueError(f"{what} names table {table!r}: the tables are {listed([*tables])}")
        keys = {table: _columns(columns) for table, columns in primary_keys.items()}
        found: dict[str, tuple[ForeignKey, ...]] = {}
        for table, parents in foreign_keys.items():
            for columns, parent in parents.items():
                key = ForeignKey(table, _columns(columns), parent)
                if parent not in tables:
                    raise ValueError(f"foreign key {key.name} refers to table {parent!r}: there is no such table")
                if len(keys.get(parent, ())) != len(key.columns):
                    raise ValueError(
                        f"foreign key {key.name} has {len(key.columns)} columns, and the primary key of {parent!r} has "
                        f"{len(keys.get(parent, ()))}: give primary_keys={{{parent!r}: …}}"
                    )
                found[table] = (*found.get(table, ()), key)
        # All tables are known before their parents: a set of these would change their order from process to process.
        sorter = TopologicalSorter[str](dict.fromkeys(tables, ()))
        for table in tables:
            sorter.add(table, *(key.parent for key in found.get(table, ()) if not key.is_self))
        try:
            ordered = tuple(sorter.static_order())
        except CycleError as error:
            cycle = " → ".join(reversed(error.args[1]))
            raise ValueError(
                f"tables refer to each other in a cycle, {cycle}: leave one of these foreign keys out and drop it"
            ) from error
        return cls(ordered, keys, found, dict(order))

    def part(self, tables: Collection[str]) -> Self:
        """Returns the keys of some tables, which refer only to each other, without orders."""
        return replace(
            self,
            tables=tuple(table for table in self.tables if table in tables),
            primary_keys={table: columns for table, columns in self.primary_keys.items() if table in tables},
            foreign_keys={table: keys for table, keys in self.foreign_keys.items() if table in tables},
            order={},
        )

    def table_and_column(self, name: str) -> tuple[str, str]:
        """Splits "table.column"; raises a ValueError if there is no such table."""
        for table in sorted(self.tables, key=len, reverse=True):
            if name.startswith(f"{table}."):
                return table, name[len(table) + 1 :]
        raise ValueError(
            f"{name!r} is not a column of a table: give 'TABLE.COLUMN', with a table of {listed([*self.tables])}"
        )

    def keys_to(self, parent: str) -> Iterator[ForeignKey]:
        """Yields the foreign keys that refer to a table."""
        for table in self.tables:
            yield from (key for key in self.foreign_keys.get(table, ()) if key.parent == parent)

    def is_link(self, table: str) -> bool:
        """Whether the primary key of a table is two or more foreign keys."""
        keys = self.foreign_keys.get(table, ())
        columns = {column for key in keys for column in key.columns}
        return len(keys) > 1 and {*self.primary_keys.get(table, ())} == columns

    def key_columns(self, table: str) -> set[str]:
        """Names of the columns of a table that belong to a key and are not learned."""
        foreign = [key.columns for key in self.foreign_keys.get(table, ())]
        return {*self.primary_keys.get(table, ())}.union(*foreign) - {self.order.get(table, "")}

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON values that `from_json` reads."""
        return {
            "tables": self.tables,
            "primary_keys": self.primary_keys,
            "foreign_keys": [
                [key.table, key.columns, key.parent] for each in self.foreign_keys.values() for key in each
            ],
            "order": self.order,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuilds a schema; raises a ValueError if it is not valid."""
        foreign_keys: dict[str, dict[Any, str]] = {}
        for table, columns, parent in content["foreign_keys"]:
            foreign_keys.setdefault(table, {})[tuple(columns)] = parent
        keys = {table: tuple(columns) for table, columns in content["primary_keys"].items()}
        return cls.of(tuple(content["tables"]), keys, foreign_keys, content["order"])


def _columns(columns: Any) -> Columns:
    return (columns,) if isinstance(columns, str) else tuple(columns)


@dataclass(frozen=True)
class Positions:
    """The row of a parent to which each row of a table refers.

    Attributes:
        schema: The schema, with the key that is never missing first among the keys of each table.
        rows: Index of the parent's row, by name of the foreign key; -1 where the key is missing.
    """

    schema: Schema
    rows: Mapping[str, Int[np.ndarray, " n"]]

    @classmethod
    def of(cls, schema: Schema, tables: Tables) -> Self:
        """Checks keys against the rows, and looks them up.

        Raises:
            ValueError: In one line, if a key has no column, repeats, or refers to no row; or if an order is missing.
        """
        for table, columns in schema.primary_keys.items():
            _check_columns(table, columns, tables[table])
            _check_unique(table, columns, tables[table])
            _check_numbered(schema, table, tables[table])
        rows, found = {}, {}
        for table in schema.tables:
            for key in schema.foreign_keys.get(table, ()):
                _check_columns(table, key.columns, tables[table])
                rows[key.name] = _positions(key, tables[table], tables[key.parent], schema.primary_keys[key.parent])
            keys = schema.foreign_keys.get(table, ())
            found[table] = tuple(sorted(keys, key=lambda key: bool(key.is_self or (rows[key.name] < 0).any())))
            if table in schema.order:
                _check_order(table, schema.order[table], tables[table])
                if not keys or found[table][0].is_self or (rows[found[table][0].name] < 0).any():
                    raise ValueError(f"order of table {table!r} needs a foreign key that is never missing: give one")
        return cls(Schema(schema.tables, schema.primary_keys, found, schema.order), rows)

    def first(self, table: str) -> ForeignKey | None:
        """The key of the parent whose rows decide how many rows there are; None if a table has no parent."""
        keys = self.schema.foreign_keys.get(table, ())
        return keys[0] if keys and not keys[0].is_self and (self.rows[keys[0].name] >= 0).all() else None


def _check_columns(table: str, columns: Columns, data: Table) -> None:
    for column in columns:
        if column not in data.names:
            raise ValueError(f"table {table!r} has no column {column!r}: its columns are {data.listed()}")


def _check_unique(table: str, columns: Columns, data: Table) -> None:
    codes = np.zeros(len(data), np.int64)
    for column in columns:
        values = plain_column(data.arrow.column(column))
        if values.null_count:
            raise ValueError(f"primary key {table}.{column} has missing cells: drop these rows, or fill them")
        distinct = values.unique()
        codes = codes * len(distinct) + np.asarray(pc.index_in(values, distinct), np.int64)
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    if (counts > 1).any():
        row = first[counts.argmax()]
        value = ", ".join(str(data.arrow.column(column)[row]) for column in columns)
        raise ValueError(f"primary key {table}.{'+'.join(columns)} repeats {value}: drop the duplicates")


def _check_numbered(schema: Schema, table: str, data: Table) -> None:
    """Checks that the type of the key columns that new rows number can hold numbers."""
    known = {schema.order.get(table), *(name for key in schema.foreign_keys.get(table, ()) for name in key.columns)}
    for column in schema.primary_keys[table]:
        if column not in known and kind_of(data.arrow.schema.field(column).type) == "date":
            raise ValueError(
                f"primary key {table}.{column} holds dates, and new rows are numbered: make them text or integers"
            )


def _check_order(table: str, column: str, data: Table) -> None:
    _check_columns(table, (column,), data)
    cells = data.arrow.column(column)
    if kind_of(cells.type) not in ("integer", "number", "date"):
        raise ValueError(
            f"order column {table}.{column} holds {cells.type}: convert it to dates or numbers (pandas.to_datetime)"
        )
    if data.column(column).is_missing.any():
        raise ValueError(f"order column {table}.{column} has missing cells: drop these rows, or fill them")


def _positions(key: ForeignKey, child: Table, parent: Table, primary_key: Columns) -> Int[np.ndarray, " n"]:
    """Index of the parent's row of each row; -1 where the key is missing."""
    child_codes, parent_codes = np.zeros(len(child), np.int64), np.zeros(len(parent), np.int64)
    is_missing, is_dangling = np.zeros(len(child), bool), np.zeros(len(child), bool)
    for name, primary in zip(key.columns, primary_key, strict=True):
        values, known = plain_column(child.arrow.column(name)), plain_column(parent.arrow.column(primary))
        try:
            if (kind_of(values.type) == "category") != (kind_of(known.type) == "category"):
                raise pa.ArrowTypeError
            values = values.cast(known.type)
        except pa.ArrowException as error:
            raise ValueError(
                f"foreign key {key.name} holds {values.type}, and {key.parent}.{primary} {known.type}: convert one"
            ) from error
        distinct = known.unique()
        found = pc.index_in(values, distinct)
        is_missing |= np.asarray(values.is_null())
        is_dangling |= np.asarray(found.is_null())
        child_codes = child_codes * len(distinct) + np.asarray(pc.fill_null(found, 0), np.int64)
        parent_codes = parent_codes * len(distinct) + np.asarray(pc.index_in(known, distinct), np.int64)
    order = np.argsort(parent_codes, kind="stable")
    at = np.minimum(np.searchsorted(parent_codes[order], child_codes), len(order) - 1)
    rows = order[at] if len(order) else np.zeros(len(child), np.int64)
    is_dangling |= parent_codes[rows] != child_codes if len(order) else True
    is_dangling &= ~is_missing
    if is_dangling.any():
        value = ", ".join(str(child.arrow.column(name)[int(is_dangling.argmax())]) for name in key.columns)
        raise ValueError(
            f"foreign key {key.name} holds {value}, which no row of {key.parent!r} has ({is_dangling.sum():,} of "
            f"{len(child):,} rows): drop these rows, or make the key missing"
        )
    return np.where(is_missing, -1, rows)


def read_frame(name: str, X: Any) -> Table:
    """Reads a table in any container; raises a ValueError in one line if it cannot be read."""
    found = table_of(X)
    if found is None or found[1] == "array":
        raise ValueError(f"table {name!r} is not a data frame: give a frame of pandas, Polars or Arrow")
    if not all(isinstance(column, str) for column in found[0].names):
        raise ValueError(f"table {name!r} has column names that are not text: rename them")
    return found[0]


def propose_keys(tables: Tables) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Proposes primary and foreign keys, by names and contents.

    A primary key is an integer or text column without repeated or missing cells whose name is "id", or the name of the
    table, with or without "id". If there is none, it is the first column, if its name also stands in another table. A
    foreign key is a column of another table that holds only values of the primary key, and whose name is that of the
    key or of its table, with or without "id".
    """
    primary: dict[str, str] = {}
    for table, data in tables.items():
        others = {name for other, each in tables.items() if other != table for name in each.names}
        named = [name for name in data.names if _short(name) in ("", _short(table))]
        first = [name for name in data.names[:1] if name in others]
        unique = [name for name in [*named, *first] if _is_unique(data, name)]
        if unique:
            primary[table] = unique[0]
    foreign: dict[str, dict[str, str]] = {}
    for table, data in tables.items():
        for name in data.names:
            for parent, key in primary.items():
                is_named = _short(name) == _short(parent) or (_short(key) != "" and _short(name) == _short(key))
                if is_named and parent != table and _is_contained(data, name, tables[parent], key):
                    foreign.setdefault(table, {})[name] = parent
    return primary, foreign


def _short(name: str) -> str:
    """A name in lower case, without "id" at its end and the ending of a plural."""
    short = "".join(each for each in name.lower() if each.isalnum())
    return short.removesuffix("id").removesuffix("s")


def _is_unique(data: Table, name: str) -> bool:
    values = plain_column(data.arrow.column(name))
    is_key = kind_of(values.type) in ("integer", "category")
    return is_key and not values.null_count and pc.count_distinct(values).as_py() == len(values)


def _is_contained(data: Table, name: str, parent: Table, key: str) -> bool:
    values, known = plain_column(data.arrow.column(name)), plain_column(parent.arrow.column(key))
    if kind_of(values.type) not in ("integer", "category", "number"):
        return False
    try:
        found = pc.index_in(values.cast(known.type), known)
    except pa.ArrowException:
        return False
    return found.null_count == values.null_count < len(values)
