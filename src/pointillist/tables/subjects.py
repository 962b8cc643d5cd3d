"""Splits one table with several rows per subject into a table of subjects and a table of their rows, and joins them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from pointillist.lazy import pa, pc
from pointillist.tables.frames import table_of, with_columns
from pointillist.tables.layout import Layout
from pointillist.tables.schema import Schema
from pointillist.tables.table import Table, plain_column

SUBJECTS, ROWS = "subjects", "rows"


@dataclass(frozen=True, eq=False)
class Subjects:
    """A table with several rows per subject.

    Attributes:
        constant: Columns that have one value per subject.
    """

    column: str
    constant: tuple[str, ...]
    layout: Layout

    @classmethod
    def of(cls, X: Any, table: Table, column: str, order: str | None) -> Self:
        """Finds the columns that have one value per subject.

        Raises:
            ValueError: In one line, if there is no such column, or a subject is missing.
        """
        for name in (column, *([order] if order is not None else [])):
            if name not in table.names:
                raise ValueError(f"there is no column {name!r}: the columns are {table.listed()}")
        subjects = plain_column(table.arrow.column(column))
        if subjects.null_count:
            raise ValueError(f"subject column {column!r} has missing cells: drop these rows, or fill them")
        n = pc.count_distinct(subjects).as_py()
        constant = []
        for name in table.names:
            if name in (column, order):
                continue
            pairs = pa.table([subjects, plain_column(table.arrow.column(name))], names=["subject", "value"])
            if pairs.group_by(["subject", "value"]).aggregate([]).num_rows == n < len(table):
                constant.append(name)
        return cls(column, tuple(constant), _layout(X, table.names))

    def keeping(self, X: Any, names: Collection[str]) -> Self:
        """Returns the split without columns that were not learned."""
        return replace(self, layout=_layout(X, names))

    def split(self, table: Table) -> dict[str, Any]:
        """Returns Arrow tables of the subjects and of their rows."""
        values = plain_column(table.arrow.column(self.column))
        table = table.with_column(self.column, values)
        _, first = np.unique(np.asarray(pc.index_in(values, values.unique())), return_index=True)
        rows = [name for name in table.names if name not in self.constant]
        return {SUBJECTS: table.arrow.select([self.column, *self.constant]).take(first), ROWS: table.arrow.select(rows)}

    def schema(self, order: str | None) -> Schema:
        """Returns the schema of the two tables."""
        keys, foreign = {SUBJECTS: self.column}, {ROWS: {self.column: SUBJECTS}}
        return Schema.of((SUBJECTS, ROWS), keys, foreign, {} if order is None else {ROWS: order})

    def join(self, tables: dict[str, Any]) -> "pa.Table":
        """Joins Arrow tables of subjects and of their rows."""
        subjects, rows = tables[SUBJECTS], tables[ROWS]
        found = pc.index_in(rows.column(self.column), subjects.column(self.column))
        for name in subjects.column_names:
            if name != self.column:
                rows = rows.append_column(name, subjects.column(name).take(found))
        columns = [rows.column(field.name).cast(field.type) for field in self.layout.schema]
        return pa.Table.from_arrays(columns, schema=self.layout.schema)

    def where(self, name: str) -> str:
        """Returns the name of a column as "table.column"."""
        return f"{SUBJECTS if name in self.constant else ROWS}.{name}"

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON values that `from_json` reads."""
        return {"column": self.column, "constant": self.constant, "layout": self.layout.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuilds the result of `of`."""
        return cls(str(content["column"]), tuple(map(str, content["constant"])), Layout.from_json(content["layout"]))


def _layout(X: Any, names: Collection[str]) -> Layout:
    found = table_of(with_columns(X, [*names]))
    assert found is not None
    return Layout.of(*found)
