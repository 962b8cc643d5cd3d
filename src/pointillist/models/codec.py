"""`Codec`: converts the rows of a table to the values that a network sees, and back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.encoder import Ends, Observed
from pointillist.columns.scaling import TableScaling
from pointillist.columns.table_encoder import MISSING, TableEncoder
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.rules.rule import Rule
from pointillist.rules.table_rules import broken_rows, restore_rows, rule_from_json
from pointillist.tables.layout import Layout
from pointillist.tables.table import Column, Table, kind_of, with_common_categories


@dataclass(frozen=True)
class Codec:
    """Encodes rows as values for a network, and decodes drawn values to rows in the container of the training rows.

    Decoded rows are an array if the layout has no schema, and an Arrow table otherwise.

    Attributes:
        encoding: Encoders of the table's columns, followed by one for labels that are not in the table.
        missing: Interpretation of missing cells, one of `table_encoder.MISSING`.
    """

    layout: Layout
    encoding: TableEncoder
    rules: tuple[Rule, ...] = ()
    missing: str = "value"

    @classmethod
    def from_scaling(cls, layout: Layout, scaling: TableScaling) -> "Codec":
        """Makes the codec of a numeric table without tokens."""
        return cls(layout, TableEncoder.from_scaling(layout.column_names, scaling))

    @property
    def names(self) -> Any:
        """Names of the d columns. Unnamed columns have indices if their types differ, and None otherwise."""
        return self.layout.names

    @property
    def n_columns(self) -> int:
        """Number of columns, d."""
        return len(self.layout.column_types)

    @property
    def width(self) -> int:
        """Number of encoded values per row."""
        return self.encoding.width

    @property
    def scaling(self) -> TableScaling:
        """The scaling of a numeric table without tokens."""
        if self.encoding.scaling is None:
            raise ValueError("the columns of this table have tokens and no common scaling")
        return self.encoding.scaling

    def encode(self, rows: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n width"]:
        """Converts training rows to float32 values for the network; scales numbers without tokens."""
        scaling = self.encoding.scaling
        return np.asarray(rows, np.float32) if scaling is None else scaling.transform(rows)

    def decode(
        self, drawn: Float[np.ndarray, "n width"], observed: Observed, rows: slice, ends: Ends | None = None
    ) -> Any:
        """Converts drawn values, shape (n, width), to rows; observed cells are returned unchanged.

        `rows` is the slice of all requested rows to which these belong, and `ends` are ranges within which rounding
        keeps values.
        """
        return self.assembled(self.cells(drawn, observed, rows, ends))

    def assembled(self, cells: Sequence[Column]) -> Any:
        """Returns the cells of all columns as rows, without labels that are not in the table."""
        return self.layout.assembled(tuple(cells[: self.n_columns]))

    @property
    def has_declared_rules(self) -> bool:
        """Whether the user declared a rule."""
        return any(rule.is_declared for rule in self.rules)

    def broken_in(
        self, cells: Sequence[Column], *, only_declared: bool = False
    ) -> list[tuple[str, Bool[np.ndarray, " n"]]]:
        """Returns each rule as text, with a mask of the rows that break it."""
        rules = [rule for rule in self.rules if rule.is_declared or not only_declared]
        masks = broken_rows(cells, self.encoding.columns, rules)
        return [(rule.text(self.column_names), mask) for rule, mask in zip(rules, masks, strict=True)]

    @property
    def column_names(self) -> list[Any]:
        """Names of all columns, including labels that are not in the table."""
        return [encoder.name for encoder in self.encoding.columns]

    def cells(
        self, drawn: Float[np.ndarray, "n width"], observed: Observed, rows: slice, ends: Ends | None
    ) -> tuple[Column, ...]:
        """Decodes values to cells that obey the rules as far as the conditions allow."""
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
        """Concatenates decoded rows; returns no rows without parts."""
        # Decoding no rows keeps the categories of categorical columns, unlike an empty table of the schema.
        return self.layout.joined([self.decode(np.empty((0, self.width)), {}, slice(0, 0)), *parts])

    def facts(self) -> dict[str, Any]:
        """Returns the JSON values of a model file that describe the codec."""
        scaling = self.encoding.scaling
        return {
            "layout": self.layout.to_json(),
            "encoding": self.encoding.to_json() if scaling is None else [],
            "rules": [rule.to_json() for rule in self.rules],
            "scaling": "tokens" if scaling is None else "affine",
            "missing": self.missing,
        }

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the tensors of a model file that belong to the codec."""
        scaling = self.encoding.scaling
        return {"columns": self.encoding.array()} if scaling is None else scaling.tensors()

    @classmethod
    def from_facts(cls, facts: dict[str, Any], tensors: dict[str, np.ndarray]) -> "Codec":
        """Rebuilds a codec from `facts` and `tensors`; raises a ValueError if they are not valid."""
        layout = Layout.from_json(facts["layout"])
        if facts["scaling"] not in ("affine", "tokens"):
            raise ValueError("its scaling is unknown")
        if facts["scaling"] == "affine":
            return cls.from_scaling(layout, TableScaling.from_tensors(tensors, layout.is_whole))
        encoding = TableEncoder.from_json(facts["encoding"], tensors["columns"])
        if [encoder.name for encoder in encoding.columns[: len(layout.names)]] != list(layout.names):
            raise ValueError("its columns do not match its layout")
        for encoder, field in zip(encoding.columns, layout.schema, strict=False):
            if (kind_of(field.type) in ("category", "boolean")) != (encoder.categories is not None):
                raise ValueError(f"column {encoder.name!r} holds {field.type}, but its encoder is for another type")
        if facts["missing"] not in MISSING:
            raise ValueError(f"unknown interpretation of missing cells: {facts['missing']!r:.40}")
        rules = tuple(rule_from_json(each, len(layout.names)) for each in facts["rules"])
        codec = cls(layout, encoding, rules, facts["missing"])
        codec._check_values()
        for rule in rules:
            rule.check(encoding.columns)
        return codec

    def _check_values(self) -> None:
        """Builds a table with every token value; raises an error if a value does not fit its column's type."""
        n = max(encoder.n_values for encoder in self.encoding.columns) + 2
        cells, rows = [], np.arange(n)
        for encoder in self.encoding.columns[: self.n_columns]:
            is_category = encoder.categories is not None
            values = rows % encoder.n_values if is_category else np.array(encoder.ends)[rows % 2]
            cells.append(Column(values, (rows == n - 1) & encoder.has_missing, encoder.categories))
        self.layout.table(tuple(cells))

    def labels(self, name: Any) -> np.ndarray:
        """Returns the classes of a label column in token order, in the column's type."""
        encoder, kind = self.encoding.encoder(name), self.layout.type_of(name)
        cells = encoder.value_cells()
        if cells.categories is not None:
            return np.array(cells.categories)
        return cells.values.astype(np.int64) if kind is not None and kind_of(kind) == "integer" else cells.values

    def observed_rows(self, observed: Observed, n_rows: int) -> Float[np.ndarray, "n width"]:
        """Encodes observed cells as rows; other tokens are `HIDDEN`, and other numbers NaN.

        Returns one row if every observed cell is the same in all of `n_rows` rows.
        """
        rows = self.unobserved_rows(1 if all(len(cells.values) == 1 for cells in observed.values()) else n_rows)
        for name, cells in observed.items():
            self._fill(rows, self.encoding.index(name), cells, np.zeros(len(cells.values), bool))
        return rows

    def encode_table(
        self, table: Table, unread: Collection[Any] = (), *, are_missing_observed: bool = False
    ) -> Float[np.ndarray, "n width"]:
        """Encodes a table; missing cells and unread columns have the token `HIDDEN` and the number NaN.

        With `are_missing_observed`, missing cells have their token value, in columns with one, and unknown categories
        are hidden rather than refused.
        """
        rows = self.unobserved_rows(len(table))
        for index, (name, cells) in enumerate(zip(self.layout.column_names, table.cells, strict=True)):
            if name in unread:
                continue
            is_hidden, encoder = cells.is_missing, self.encoding.columns[index]
            if are_missing_observed:
                cells, is_unknown = encoder.without_unknown(cells)
                is_hidden = is_unknown | (is_hidden & (not encoder.has_missing))
            self._fill(rows, index, cells, is_hidden)
        return rows

    def unobserved_rows(self, n: int) -> Float[np.ndarray, "n width"]:
        """Returns n encoded rows without observed values."""
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
        """Which of all token values, over all columns, mean that a cell is missing."""
        encoders = self.encoding.columns
        return np.concatenate([np.arange(encoder.size) >= encoder.n_values for encoder in encoders])

    def completed(self, table_cells: Sequence[Column], drawn_cells: Sequence[Column]) -> tuple[Column, ...]:
        """Fills missing cells with drawn cells, and restores the rules."""
        # The drawn cells may end with labels that are not in the table.
        merged = [_merged(cells, drawn) for cells, drawn in zip(table_cells, drawn_cells, strict=False)]
        is_observed = ~np.stack([cells.is_missing for cells in table_cells], axis=1)
        return restore_rows(merged, self.encoding.columns, self.rules, is_observed)

    def cells_of(self, rows: Float[np.ndarray, "n width"]) -> tuple[Column, ...]:
        """Decodes rows with tokens from `encode_table`; their hidden cells are missing."""
        is_hidden = rows == HIDDEN
        decoded = self.encoding.decode(np.where(is_hidden, 0.0, np.nan_to_num(rows)))
        return tuple(
            replace(cells, is_missing=cells.is_missing | is_hidden[:, token])
            for cells, (token, _) in zip(decoded, self.encoding.row_indices, strict=True)
        )

    def filled(self, table: Table, drawn_cells: Sequence[Column]) -> Any:
        """Returns a table as decoded rows, with drawn cells for its missing cells and all others unchanged."""
        return self.layout.filled(table, tuple(map(_merged, table.cells, drawn_cells)))


def _merged(original: Column, drawn: Column) -> Column:
    is_missing = drawn.is_missing & original.is_missing
    if drawn.categories is None:
        values = original.values if original.categories is None else original.numbers
        return Column(np.where(original.is_missing, drawn.values, values), is_missing)
    assert original.categories is not None
    drawn, original = with_common_categories([drawn, original])
    return replace(drawn, values=np.where(original.is_missing, drawn.values, original.values), is_missing=is_missing)
