"""Declared rules between the columns of a table and of the rows to which it refers."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from jaxtyping import Int

from pointillist.columns.kinds import fit_encoder
from pointillist.columns.table_encoder import TableEncoder
from pointillist.lazy import pa
from pointillist.rules.declarations import bind, obeying
from pointillist.rules.declared import OF_NAMES, Declared, NamedColumns
from pointillist.rules.equation import Equation
from pointillist.rules.expressions import DeclaredExpression
from pointillist.rules.inequalities import Inequality
from pointillist.rules.rule import Rule
from pointillist.rules.table_rules import broken_rows, restore_rows, rule_from_json
from pointillist.tables.schema import Schema
from pointillist.tables.table import Column, Table

Rows = Mapping[str, Int[np.ndarray, " _"]]


def renamed(declared: Declared, rename: Callable[[Any], Any]) -> Declared:
    """Returns a rule with other names of columns."""
    changes: dict[str, Any] = {
        field: tuple(map(rename, value)) if isinstance(value, tuple) else rename(value)
        for field in OF_NAMES
        if (value := getattr(declared, field, None)) is not None
    }
    return replace(declared, **changes)


@dataclass(frozen=True, eq=False)
class RelatedRules:
    """The rules that the rows of a table obey, together with the rows to which they refer.

    Attributes:
        columns: Table and name of each column.
        encoding: Encoders of the columns.
        rules: The rules, about the indices of the columns.
    """

    table: str
    columns: tuple[tuple[str, str], ...]
    encoding: TableEncoder
    rules: tuple[Rule, ...]

    @classmethod
    def of(
        cls, declared: Sequence[Declared], table: str, tables: Mapping[str, Table], rows: Rows, schema: Schema
    ) -> Self:
        """Makes the rules of a table; raises a ValueError in one line if a training row breaks one."""
        names = [*dict.fromkeys(name for each in declared for name in each.names)]
        columns = tuple(schema.table_and_column(name) for name in names)
        rows_of = related_rows(table, len(tables[table]), rows, schema)
        cells = []
        for other, name in columns:
            if name not in tables[other].names:
                raise ValueError(f"rules: table {other!r} has no column {name!r}: it has {tables[other].listed()}")
            if other not in rows_of:
                raise ValueError(f"rules: no foreign key leads from {table!r} to {other!r}: leave {other}.{name} out")
            indices = pa.array(np.maximum(rows_of[other], 0), mask=rows_of[other] < 0)
            cells.append(tables[other].arrow.column(name).take(indices))
        joined = Table(pa.table(cells, names=names))
        obeying(declared, joined)
        encoders = tuple(fit_encoder(*each) for each in zip(names, joined.cells, strict=True))
        return cls(table, columns, TableEncoder(encoders), tuple(bind(declared, NamedColumns(joined, encoders))))

    def restore(
        self, tables: Mapping[str, dict[str, Column]], rows: Rows, schema: Schema, fixed: Mapping[str, Any]
    ) -> None:
        """Moves numbers of the table so that its rows obey the rules, except those that `fixed` marks.

        `fixed` has True, or a mask of cells, by column. Drawn rows are in the order of their parents, and a drawn order
        of the rows of a parent stays. Warns of rows that still break a rule.
        """
        n = len(next(iter(tables[self.table].values())).values)
        rows_of = related_rows(self.table, n, rows, schema)
        cells = [tables[table][name].looked_up(rows_of[table]) for table, name in self.columns]
        marks = [table != self.table or fixed.get(name, False) for table, name in self.columns]
        is_fixed = np.stack([np.broadcast_to(mark, n) for mark in marks], axis=1)
        cells = [*restore_rows(cells, self.encoding.columns, self.rules, is_fixed)]
        order = self.table, schema.order.get(self.table, "")
        if order in self.columns and order[1] not in fixed:
            i, parents = self.columns.index(order), rows[schema.foreign_keys[self.table][0].name]
            cells[i], is_fixed[:, i] = cells[i].take(np.lexsort((cells[i].values, parents))), True
            cells = [*restore_rows(cells, self.encoding.columns, self.rules, is_fixed)]
        for (table, name), each in zip(self.columns, cells, strict=True):
            if table == self.table:
                tables[table][name] = each
        is_broken = np.any(broken_rows(cells, self.encoding.columns, self.rules), axis=0)
        if is_broken.any():
            warnings.warn(
                f"{is_broken.sum():,} of {n:,} rows of {self.table!r} break a rule", UserWarning, stacklevel=6
            )

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON values that `from_json` reads."""
        encoders, rules = self.encoding.to_json(), [rule.to_json() for rule in self.rules]
        return {"table": self.table, "columns": self.columns, "encoders": encoders, "rules": rules}

    @classmethod
    def from_json(cls, content: dict[str, Any], array: np.ndarray) -> Self:
        """Rebuilds the rules of a table; raises a ValueError if they are not valid."""
        columns = tuple((str(table), str(name)) for table, name in content["columns"])
        rules = tuple(rule_from_json(each, len(columns)) for each in content["rules"])
        return cls(str(content["table"]), columns, TableEncoder.from_json(content["encoders"], array), rules)


def related_rows(table: str, n: int, rows: Rows, schema: Schema) -> dict[str, Int[np.ndarray, " n"]]:
    """Returns the row of each table to which each of n rows refers, directly or through others; -1 for none.

    `rows` has the index of the parent's row, by name of the foreign key; -1 where the key is missing. If several
    foreign keys lead to a table, the first one counts.
    """
    found = {table: np.arange(n)}
    for key in schema.foreign_keys.get(table, ()):
        if key.is_self:
            continue
        there = rows[key.name]
        for other, far in related_rows(key.parent, there.max(initial=-1) + 1, rows, schema).items():
            found.setdefault(other, np.where(there < 0, -1, far[there] if len(far) else -1))
    return found


def rules_by_table(
    declared: Sequence[Declared], tables: Mapping[str, Table], rows: Rows, schema: Schema
) -> dict[str, RelatedRules]:
    """Checks rules whose columns are named "table.column", and groups them by the table that refers to the rest.

    Raises a ValueError in one line if a rule is of another kind, or if rows break it.
    """
    by_table: dict[str, list[Declared]] = {}
    for each in declared:
        if not each.names or isinstance(each, DeclaredExpression) or each.on_violation == "drop":
            raise ValueError(
                f"{each} is not for related tables, whose rules compare, add or multiply columns, "
                "with on_violation='refuse' or 'allow'"
            )
        of = [schema.table_and_column(name)[0] for name in each.names]
        by_table.setdefault(max(of, key=schema.tables.index), []).append(each)
    found = {
        table: RelatedRules.of(by_table[table], table, tables, rows, schema)
        for table in schema.tables
        if table in by_table
    }
    for related in found.values():
        for rule in related.rules:
            if not isinstance(rule, Equation | Inequality):
                raise ValueError(f"{rule.text(['.'.join(c) for c in related.columns])} is not a rule about numbers")
    return found
