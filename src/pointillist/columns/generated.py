"""Columns that are generated in new rows rather than learned, and their positions among the learned columns."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Int

from pointillist.lazy import pa
from pointillist.tables.layout import Layout, with_pandas_types
from pointillist.tables.names import name_from_json, name_to_json
from pointillist.tables.table import Table


@dataclass(frozen=True, kw_only=True)
class GeneratedColumn(ABC):
    """A column whose values are functions of their index, and perhaps of a seed.

    Attributes:
        name: Name of the column.
        within: Names of columns whose combinations group the rows: keys are numbered in each group, and other values
            are the same for all its rows.
    """

    name: Any
    within: tuple[Any, ...] = ()

    kind: ClassVar[str]
    """Name of the kind in files."""

    is_key: ClassVar[bool] = True
    """Whether values with different indices differ."""

    @property
    @abstractmethod
    def text(self) -> str:
        """Description of the values."""

    @abstractmethod
    def count(self, kind: "pa.DataType") -> int | None:
        """Returns the number of values in a column of an Arrow type; None if nothing limits it.

        Raises:
            ValueError: If a column of this type cannot hold the values.
        """

    @abstractmethod
    def values(self, indices: Int[np.ndarray, " n"], seed: int) -> np.ndarray:
        """Returns the values with some indices."""

    def prepare(self) -> None:
        """Raises a ValueError, with the way out, if what makes the values is not installed."""
        return

    @property
    def salt(self) -> int:
        """A number that differs between columns with different names."""
        return int.from_bytes(blake2b(repr(self.name).encode(), digest_size=4).digest(), "little")

    def refused(self, kind: "pa.DataType") -> ValueError:
        """Returns the error that a column of an Arrow type cannot hold the values."""
        return ValueError(f"column {self.name!r} holds {kind}, which cannot be {self.text}: declare it otherwise")

    def to_json(self) -> dict[str, Any]:
        """Converts to JSON values: the kind, and all attributes."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        within = [name_to_json(name) for name in self.within]
        return {**values, "kind": self.kind, "name": name_to_json(self.name), "within": within}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Rebuilds a column from the result of `to_json`; raises a ValueError if the content is not valid."""
        values = {each.name: content[each.name] for each in fields(cls)}
        within = tuple(name_from_json(each) for each in values["within"])
        return cls(**{**values, "name": name_from_json(values["name"]), "within": within})


@dataclass(frozen=True)
class GeneratedColumns:
    """The generated columns of a table, and their positions among its learned columns.

    Attributes:
        layout: Layout of all columns, except labels that are kept apart.
        columns: The generated columns, each after the columns that it depends on.
        label_index: Index among all columns at which labels that are kept apart are inserted; None without them.
    """

    layout: Layout
    columns: tuple[GeneratedColumn, ...]
    label_index: int | None = None

    def __post_init__(self) -> None:
        known = {*self.layout.column_names} - {*self.names}
        for each in self.columns:
            kind = self.layout.type_of(each.name)
            if kind is None or not {*each.within} <= known:
                raise ValueError(f"the generated column {each.name!r:.60} is not in its layout")
            each.count(kind)
            known.add(each.name)

    @classmethod
    def of(
        cls, source: Table, headings: tuple[Any, ...] | None, columns: Sequence[GeneratedColumn], learned: Layout
    ) -> "GeneratedColumns":
        """Places generated columns among the learned columns of a table with all columns."""
        n, generated = len(learned.schema), {each.name for each in columns}
        described = zip(learned.schema, learned.categories or [None] * n, learned.is_nan or [False] * n, strict=True)
        known = dict(zip(learned.column_names, described, strict=True))
        placed: dict[Any, tuple[Any, Any, bool]] = {}
        plain: dict[str, None] = {}
        for name, field in zip(source.names, source.schema, strict=True):
            if name in generated:
                if pa.types.is_dictionary(field.type):
                    # A list of all keys would be as long as the table.
                    field, plain[field.name] = pa.field(field.name, field.type.value_type), None
                placed[name] = field, None, False
            elif name in known:
                placed[name] = known[name][0].with_name(field.name), *known[name][1:]
        placed_fields, categories, is_nan = zip(*placed.values(), strict=True)
        schema = pa.schema(placed_fields, None if learned.schema.metadata is None else source.schema.metadata)
        if plain and schema.pandas_metadata:
            schema = with_pandas_types(schema.empty_table(), plain).schema
        kind = "file" if learned.schema_bytes is None else learned.kind
        headings = None if headings is None else tuple(placed)
        is_apart = source.label is not None and source.label not in learned.column_names
        label_index = source.names.index(source.label) if is_apart else None
        return cls(Layout.from_schema(kind, schema, headings, categories, is_nan), tuple(columns), label_index)

    @property
    def names(self) -> tuple[Any, ...]:
        """Names of the generated columns."""
        return tuple(each.name for each in self.columns)

    @property
    def learned_names(self) -> list[Any]:
        """Names of the learned columns, in order."""
        return [name for name in self.layout.column_names if name not in self.names]

    def to_json(self) -> dict[str, Any]:
        """Converts to JSON values."""
        columns = [each.to_json() for each in self.columns]
        return {"layout": self.layout.to_json(), "columns": columns, "label_index": self.label_index}
