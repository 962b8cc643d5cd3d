"""The codec of tables of any columns: each cell is a token, and perhaps a normal score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.codec import Codec, Ends, Observed
from pointillist.columns.table_encoder import MISSING, TableEncoder
from pointillist.rules.rule import Rule
from pointillist.rules.table_rules import broken_rows, restore_rows, rule_from_json
from pointillist.tables.layout import Layout
from pointillist.tables.table import Column, Table, kind_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TokenCodec(Codec):
    """Turns cells into tokens and back; decoded rows are Arrow tables.

    Attributes:
        encoding: Tokens of each column: those of the table, and perhaps one more for labels that are not in the table.
        rules: Rules that the rows obey.
        missing: What a missing cell is, one of `encoding.MISSING`.
    """

    encoding: TableEncoder
    rules: tuple[Rule, ...] = ()
    missing: str = "value"

    @property
    def types(self) -> tuple["pa.DataType", ...]:
        """Arrow's types of the columns."""
        return tuple(self.layout.schema.types)

    @property
    def width(self) -> int:
        """Number of tokens and scores of a row."""
        return self.encoding.width

    def encode(self, rows: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n width"]:
        """Converts tokens and scores to float32, which holds every token."""
        return np.asarray(rows, np.float32)

    def decode(
        self, drawn: Float[np.ndarray, "n width"], given: Observed, rows: slice, ends: Ends | None = None
    ) -> "pa.Table":
        """Returns the table of some tokens and scores."""
        return self.layout.table(self._cells(drawn, given, rows, ends)[: self.n_columns])

    def broken(
        self, drawn: Float[np.ndarray, "n width"], given: Observed, rows: slice, ends: Ends
    ) -> list[tuple[str, Bool[np.ndarray, " n"]]]:
        """Returns each rule as text, and which decoded rows break it; see `decode`."""
        codes, found = self.encoding.columns, self.rules
        masks = broken_rows(self._cells(drawn, given, rows, ends), codes, found)
        return [(each.text(self.column_names), mask) for each, mask in zip(found, masks, strict=True)]

    @property
    def column_names(self) -> list[Any]:
        """Names of all columns, and of labels that are not in the table."""
        return [code.name for code in self.encoding.columns]

    def _cells(
        self, drawn: Float[np.ndarray, "n width"], given: Observed, rows: slice, ends: Ends | None
    ) -> tuple[Column, ...]:
        """Decodes tokens and scores into cells that obey the rules, as far as the conditions allow it."""
        cells = list(self.encoding.decode(drawn.astype(np.float64)))
        is_fixed = np.zeros((len(drawn), len(cells)), bool)
        for name, own in given.items():
            place = self.encoding.place(name)
            cells[place], is_fixed[:, place] = own.part(rows, len(drawn)), True
        bounds: dict[int, tuple[float, float]] = {}
        for name, (low, high, is_set) in (ends or {}).items():
            place = self.encoding.place(name)
            if cells[place].categories is None:
                cells[place] = replace(cells[place], values=np.clip(cells[place].values, low, high))
                bounds[place] = low, high
            is_fixed[:, place] = is_set or cells[place].categories is not None
        is_asked = bool(given or ends)
        return restore_rows(cells, self.encoding.columns, self.rules, is_fixed, bounds if is_asked else None)

    def joined(self, parts: Sequence["pa.Table"]) -> "pa.Table":
        """Joins decoded rows."""
        import pyarrow as pa

        # Of the schema alone, a column of categories would have none.
        empty = self.decode(np.empty((0, self.width)), {}, slice(0, 0))
        return pa.concat_tables([empty, *parts]).unify_dictionaries()

    def columns(self, decoded: "pa.Table") -> list["pa.ChunkedArray"]:
        """Splits decoded rows into columns."""
        return decoded.columns

    def facts(self) -> dict[str, Any]:
        """Returns the layout, the encoding, the rules and what a missing cell is."""
        return {
            "layout": self.layout.to_json(),
            "encoding": self.encoding.to_json(),
            "rules": [rule.to_json() for rule in self.rules],
            "scaling": "tokens",
            "missing": self.missing,
        }

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the arrays of all columns."""
        return {"columns": self.encoding.array()}

    @classmethod
    def from_facts(cls, facts: dict[str, Any], tensors: dict[str, np.ndarray] | None) -> "TokenCodec":
        """Rebuilds a codec from what `facts` and `tensors` returned; without tensors, one of the same sizes.

        Raises:
            ValueError: If there is no such codec.
        """
        layout, content = Layout.from_json(facts["layout"]), facts["encoding"]
        encoding = TableEncoder.from_json(content, None if tensors is None else tensors["columns"])
        if [code.name for code in encoding.columns[: len(layout.names)]] != list(layout.names):
            raise ValueError("its columns are not those of its layout")
        for code, field in zip(encoding.columns, layout.schema, strict=False):
            layout.check_code(code, field)
        if facts["missing"] not in MISSING:
            raise ValueError(f"missing cells are no {facts['missing']!r:.40}")
        n = len(layout.names)
        found = tuple(rule_from_json(each, n) for each in facts["rules"])
        codec = cls(layout, encoding, found, facts["missing"])
        if tensors is not None:
            codec._check_values()
            for rule in found:
                rule.check(encoding.columns)
        return codec

    def _check_values(self) -> None:
        """Makes a table with every value of every token: an error if one is not of its column's type."""
        n = max(code.n_values for code in self.encoding.columns) + 2
        cells = []
        for code in self.encoding.columns[: self.n_columns]:
            places = np.arange(n)
            values = places % code.n_values if code.categories is not None else np.array(code.ends)[places % 2]
            cells.append(Column(values, (places == n - 1) & code.has_missing, code.categories))
        self.layout.table(tuple(cells))

    def labels(self, name: Any) -> np.ndarray:
        """Returns the classes of a label column, in the order of their tokens and of the column's type."""
        code, kind = self.encoding.code(name), self.layout.type_of(name)
        return code.values.astype(np.int64) if kind is not None and kind_of(kind) == "whole" else code.values

    def given_tokens(self, given: Observed, n_rows: int, hidden: float) -> Float[np.ndarray, "n width"]:
        """Returns what is known of rows with given cells.

        Tokens of other cells are `hidden`, and their scores NaN. One row stands for `n_rows` equal ones.
        """
        n = 1 if all(len(cells.values) == 1 for cells in given.values()) else n_rows
        rows = self.unknown_rows(n, hidden)
        for name, cells in given.items():
            self._fill(rows, name, cells, np.zeros(len(cells.values), bool))
        return rows

    def known_tokens(self, table: Table, hidden: float) -> Float[np.ndarray, "n width"]:
        """Returns what is known of a table's rows; where cells are missing, `hidden`, and NaN for the score."""
        rows = self.unknown_rows(len(table), hidden)
        for code, cells in zip(self.encoding.columns, table.cells, strict=False):
            self._fill(rows, code.name, cells, cells.is_missing)
        return rows

    def unknown_rows(self, n: int, hidden: float) -> Float[np.ndarray, "n width"]:
        """Returns n rows of which nothing is known: their tokens are `hidden`, and their scores NaN."""
        n_tokens = len(self.encoding.columns)
        return np.hstack([np.full((n, n_tokens), hidden), np.full((n, self.width - n_tokens), np.nan)])

    def _fill(self, rows: np.ndarray, name: Any, cells: Column, is_unknown: np.ndarray) -> None:
        places = self.encoding.place(name), self.encoding.score_place(name)
        for place, own in zip(places, self.encoding.code(name).encode(cells), strict=True):
            if place is not None:
                rows[:, place] = np.where(is_unknown, rows[:, place], own)

    @property
    def stands_for_missing(self) -> Bool[np.ndarray, " slots"]:
        """Which values of all tokens stand for a missing cell."""
        slots = []
        for code in self.encoding.columns:
            own = np.zeros(code.size, bool)
            own[code.n_values : code.n_values + code.has_missing] = True
            slots.append(own)
        return np.concatenate(slots)

    def completed(self, given: Sequence[Column], new: Sequence[Column]) -> tuple[Column, ...]:
        """Returns new cells where given ones are missing, with which the rules hold."""
        # Without separate labels.
        merged = [_merged(cells, own) for cells, own in zip(given, new, strict=False)]
        is_known = ~np.stack([cells.is_missing for cells in given], axis=1)
        return restore_rows(merged, self.encoding.columns, self.rules, is_known)

    def filled(self, table: Table, new: Sequence[Column]) -> "pa.Table":
        """Returns a table with new cells where its own are missing, and all others as they are."""
        import pyarrow as pa

        whole = self.layout.table(tuple(map(_merged, table.cells, new)))
        columns = [_kept(*column) for column in zip(table.arrow.columns, whole.columns, table.cells, strict=True)]
        return pa.Table.from_arrays(columns, schema=whole.schema)


def _merged(given: Column, new: Column) -> Column:
    """New cells where the given ones are missing."""
    if new.categories is None:
        return Column(np.where(given.is_missing, new.values, given.values), new.is_missing & given.is_missing)
    assert given.categories is not None
    places = {category: i for i, category in enumerate(new.categories)}
    own = np.array([places.get(category, 0) for category in given.categories] or [0])
    values = np.where(given.is_missing, new.values, own[np.where(given.is_missing, 0, given.values).astype(np.int64)])
    return Column(values, new.is_missing & given.is_missing, new.categories)


def _kept(given: "pa.ChunkedArray", filled: "pa.ChunkedArray", cells: Column) -> "pa.ChunkedArray":
    """Filled cells, and the given ones as they came: a number may not hold every digit of a date."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if cells.categories is not None or given.type != filled.type:
        return filled
    return pc.if_else(pa.array(cells.is_missing), filled, given)
