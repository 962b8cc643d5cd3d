"""`Codec`: maps the rows of a table to the values that a network sees, and back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.encoder import Ends, Observed
from pointillist.columns.scaling import QuantileScaling
from pointillist.columns.table_encoder import MISSING, TableEncoder
from pointillist.columns.table_scaling import TableScaling
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.rules.rule import Rule
from pointillist.rules.table_rules import broken_rows, restore_rows, rule_from_json
from pointillist.tables.layout import Layout
from pointillist.tables.table import Column, Table, kind_of


@dataclass(frozen=True)
class Codec:
    """Maps rows to the values that a network sees, and drawn values to rows in the container of the training rows.

    Decoded rows are an array if the layout has no schema, and an Arrow table otherwise.

    Attributes:
        layout: Container, names and types of the rows.
        encoding: Encoders of the table's columns, and perhaps one more for labels that are not in the table.
        rules: Rules that the rows obey.
        missing: What a missing cell is, one of `table_encoder.MISSING`.
    """

    layout: Layout
    encoding: TableEncoder
    rules: tuple[Rule, ...] = ()
    missing: str = "value"

    @classmethod
    def from_scaling(cls, layout: Layout, scaling: TableScaling) -> "Codec":
        """Makes the codec of a table of numbers without tokens."""
        return cls(layout, TableEncoder.from_scaling(layout.column_names, scaling))

    @property
    def names(self) -> Any:
        """Names of the d columns; None if they have none, or for columns of several kinds their indices."""
        return self.layout.names

    @property
    def types(self) -> tuple[Any, ...]:
        """Types of the d columns, as `TableWriter` takes them."""
        return self.layout.column_types

    @property
    def n_columns(self) -> int:
        """Number of columns, d."""
        return len(self.types)

    @property
    def width(self) -> int:
        """Number of values of a row that the network sees."""
        return self.encoding.width

    @property
    def scaling(self) -> TableScaling:
        """The scaling of a table of numbers without tokens."""
        if self.encoding.scaling is None:
            raise ValueError("the columns of this table have tokens, and no common scaling")
        return self.encoding.scaling

    def encode(self, rows: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n width"]:
        """Converts training rows to what the network sees, float32: scales numbers without tokens."""
        scaling = self.encoding.scaling
        return np.asarray(rows, np.float32) if scaling is None else scaling.transform(rows)

    def decode(
        self, drawn: Float[np.ndarray, "n width"], observed: Observed, rows: slice, ends: Ends | None = None
    ) -> Any:
        """Converts drawn values to rows.

        Args:
            drawn: The values, shape (n, width).
            observed: Observed cells, which come back as they are.
            rows: Which of all requested rows these are.
            ends: Ranges that no rounding may lead out of.
        """
        return self.layout.assembled(self._cells(drawn, observed, rows, ends)[: self.n_columns])

    def broken(
        self, drawn: Float[np.ndarray, "n width"], observed: Observed, rows: slice, ends: Ends
    ) -> list[tuple[str, Bool[np.ndarray, " n"]]]:
        """Returns each rule as text, and which decoded rows break it; see `decode`."""
        masks = broken_rows(self._cells(drawn, observed, rows, ends), self.encoding.columns, self.rules)
        return [(rule.text(self.column_names), mask) for rule, mask in zip(self.rules, masks, strict=True)]

    @property
    def column_names(self) -> list[Any]:
        """Names of all columns, and of labels that are not in the table."""
        return [encoder.name for encoder in self.encoding.columns]

    def _cells(
        self, drawn: Float[np.ndarray, "n width"], observed: Observed, rows: slice, ends: Ends | None
    ) -> tuple[Column, ...]:
        """Decodes tokens and scores into cells that obey the rules, as far as the conditions allow it."""
        cells = list(self.encoding.decode(drawn.astype(np.float64)))
        is_fixed = np.zeros((len(drawn), len(cells)), bool)
        for name, column in observed.items():
            index = self.encoding.index(name)
            cells[index], is_fixed[:, index] = column.part(rows, len(drawn)), True
        bounds: dict[int, tuple[float, float]] = {}
        for name, (low, high, is_set) in (ends or {}).items():
            index = self.encoding.index(name)
            if cells[index].categories is None:
                cells[index] = replace(cells[index], values=np.clip(cells[index].values, low, high))
                bounds[index] = low, high
            is_fixed[:, index] = is_set or cells[index].categories is not None
        is_conditional = bool(observed or ends)
        return restore_rows(cells, self.encoding.columns, self.rules, is_fixed, bounds if is_conditional else None)

    def joined(self, parts: Sequence[Any]) -> Any:
        """Joins decoded rows; without parts, returns no rows."""
        # Of the schema alone, a column of categories would have none.
        return self.layout.joined([self.decode(np.empty((0, self.width)), {}, slice(0, 0)), *parts])

    def restore(self, decoded: Any, index: Any = None) -> Any:
        """Converts decoded rows to the container of the training rows, for pandas with an index."""
        return self.layout.restore(decoded, index)

    def columns(self, decoded: Any) -> list[Any]:
        """Splits decoded rows into columns, each of its type."""
        return self.layout.columns(decoded)

    def facts(self) -> dict[str, Any]:
        """Returns the JSON values that describe the codec in a file."""
        scaling = self.encoding.scaling
        is_quantile = scaling is not None and isinstance(scaling.varying, QuantileScaling)
        return {
            "layout": self.layout.to_json(),
            "encoding": self.encoding.to_json() if scaling is None else [],
            "rules": [rule.to_json() for rule in self.rules],
            "scaling": "tokens" if scaling is None else "quantile" if is_quantile else "affine",
            "missing": self.missing,
        }

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the arrays that a file holds besides."""
        scaling = self.encoding.scaling
        return {"columns": self.encoding.array()} if scaling is None else scaling.tensors()

    @classmethod
    def from_facts(cls, facts: dict[str, Any], tensors: dict[str, np.ndarray] | None) -> "Codec":
        """Rebuilds a codec from what `facts` and `tensors` returned; without tensors, one of the same sizes.

        Raises:
            ValueError: If there is no such codec.
        """
        layout = Layout.from_json(facts["layout"])
        if facts["scaling"] != "tokens":
            return cls.from_scaling(layout, TableScaling.from_tensors(tensors or {}, layout.is_whole))
        encoding = TableEncoder.from_json(facts["encoding"], None if tensors is None else tensors["columns"])
        if [encoder.name for encoder in encoding.columns[: len(layout.names)]] != list(layout.names):
            raise ValueError("its columns are not those of its layout")
        for encoder, field in zip(encoding.columns, layout.schema, strict=False):
            layout.check_code(encoder, field)
        if facts["missing"] not in MISSING:
            raise ValueError(f"missing cells are no {facts['missing']!r:.40}")
        n = len(layout.names)
        rules = tuple(rule_from_json(each, n) for each in facts["rules"])
        codec = cls(layout, encoding, rules, facts["missing"])
        if tensors is not None:
            codec._check_values()
            for rule in rules:
                rule.check(encoding.columns)
        return codec

    def _check_values(self) -> None:
        """Makes a table with every value of every token: an error if one is not of its column's type."""
        n = max(encoder.n_values for encoder in self.encoding.columns) + 2
        cells, rows = [], np.arange(n)
        for encoder in self.encoding.columns[: self.n_columns]:
            is_category = encoder.categories is not None
            values = rows % encoder.n_values if is_category else np.array(encoder.ends)[rows % 2]
            cells.append(Column(values, (rows == n - 1) & encoder.has_missing, encoder.categories))
        self.layout.table(tuple(cells))

    def labels(self, name: Any) -> np.ndarray:
        """Returns the classes of a label column, in the order of their tokens and of the column's type."""
        encoder, kind = self.encoding.encoder(name), self.layout.type_of(name)
        return encoder.values.astype(np.int64) if kind is not None and kind_of(kind) == "whole" else encoder.values

    def observed_rows(self, observed: Observed, n_rows: int) -> Float[np.ndarray, "n width"]:
        """Encodes rows of which some cells are observed: other tokens are `HIDDEN`, and other numbers NaN.

        If every observed cell is the same in all of `n_rows` rows, one row is returned for all of them.
        """
        rows = self.unobserved_rows(1 if all(len(cells.values) == 1 for cells in observed.values()) else n_rows)
        for name, cells in observed.items():
            self._fill(rows, self.encoding.index(name), cells, np.zeros(len(cells.values), bool))
        return rows

    def encode_table(self, table: Table, unread: Collection[Any] = ()) -> Float[np.ndarray, "n width"]:
        """Encodes a table; of missing cells and unread columns, tokens are `HIDDEN` and numbers NaN."""
        rows = self.unobserved_rows(len(table))
        for index, (name, cells) in enumerate(zip(self.layout.column_names, table.cells, strict=True)):
            if name not in unread:
                self._fill(rows, index, cells, cells.is_missing)
        return rows

    def unobserved_rows(self, n: int) -> Float[np.ndarray, "n width"]:
        """Returns n encoded rows of which nothing is known."""
        n_tokens = self.encoding.n_tokens
        return np.hstack([np.full((n, n_tokens), HIDDEN), np.full((n, self.width - n_tokens), np.nan)])

    def _fill(self, rows: np.ndarray, index: int, cells: Column, is_unobserved: np.ndarray) -> None:
        tokens, numbers = self.encoding.columns[index].observed(cells)
        token, numbers_slice = self.encoding.row_indices[index]
        rows[:, numbers_slice] = np.where(is_unobserved[:, None], rows[:, numbers_slice], numbers)
        if token is not None:
            rows[:, token] = np.where(is_unobserved, rows[:, token], tokens)

    @property
    def is_missing_value(self) -> Bool[np.ndarray, " slots"]:
        """Which values of all tokens stand for a missing cell."""
        masks = [np.empty(0, bool)]
        for encoder in self.encoding.columns:
            masks.append(np.arange(encoder.size) >= encoder.n_values)
        return np.concatenate(masks)

    def completed(self, table_cells: Sequence[Column], drawn_cells: Sequence[Column]) -> tuple[Column, ...]:
        """Returns new cells where given ones are missing, with which the rules hold."""
        # Without separate labels.
        merged = [_merged(cells, drawn) for cells, drawn in zip(table_cells, drawn_cells, strict=False)]
        is_observed = ~np.stack([cells.is_missing for cells in table_cells], axis=1)
        return restore_rows(merged, self.encoding.columns, self.rules, is_observed)

    def filled(self, table: Table, drawn_cells: Sequence[Column]) -> Any:
        """Returns decoded rows: a table with new cells where its cells are missing, and all others as they are."""
        return self.layout.filled(table, tuple(map(_merged, table.cells, drawn_cells)))


def _merged(original: Column, drawn: Column) -> Column:
    """New cells where the given ones are missing."""
    is_missing = drawn.is_missing & original.is_missing
    if drawn.categories is None:
        values = original.values if original.categories is None else original.numbers
        return Column(np.where(original.is_missing, drawn.values, values), is_missing)
    assert original.categories is not None
    indices = {category: i for i, category in enumerate(drawn.categories)}
    drawn_index = np.array([indices.get(category, 0) for category in original.categories] or [0])
    values = np.where(
        original.is_missing,
        drawn.values,
        drawn_index[np.where(original.is_missing, 0, original.values).astype(np.int64)],
    )
    return Column(values, is_missing, drawn.categories)
