"""Encodes the columns of a table, which may be of any kind, as the numbers that a regressor sees."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.lazy import pa
from pointillist.tables.frames import aligned
from pointillist.tables.layout import Layout
from pointillist.tables.table import Column, Table, kind_of, to_arrow

MOST_CATEGORIES = 64
"""Largest number of inputs of a column of categories; rarer categories share one."""

FEWEST_ROWS = 2
"""Fewest training rows of a category with an input."""


@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """Encodes the columns of a table as numbers, by scikit-learn's fitted `ColumnTransformer`.

    Numbers and dates come first. The mean replaces missing cells, and an indicator of missing cells follows for each
    column that had some in `fit`. Each category has an indicator too, and so have missing cells among categories. The
    categories of a single row share one indicator, which categories that no training row had set as well.
    """

    layout: Layout
    is_category: tuple[bool, ...]
    transformer: Any

    @classmethod
    def fit(
        cls, table: Table, kind: str, headings: tuple[Any, ...] | None
    ) -> tuple["FeatureEncoder", Float[np.ndarray, "n k"]]:
        """Learns the encoding of a table in a kind of container; also encodes its rows."""
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder

        for name, column in zip(table.names, table.arrow.columns, strict=True):
            if pa.types.is_null(column.type):
                table = table.with_column(name, column.cast(pa.float64()))
        layout = Layout.of(table, kind, headings)
        is_category = tuple(kind_of(each) in ("category", "boolean") for each in layout.schema.types)
        numbers = SimpleImputer(add_indicator=True, keep_empty_features=True)
        categories = OneHotEncoder(
            min_frequency=FEWEST_ROWS,
            max_categories=MOST_CATEGORIES,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
        )
        indices = np.flatnonzero(~np.array(is_category)), np.flatnonzero(is_category)
        transformer = ColumnTransformer([("numbers", numbers, indices[0]), ("categories", categories, indices[1])])
        rows = transformer.fit_transform(np.column_stack([*table.arrays().values()]))
        return cls(layout, is_category, transformer), np.asarray(rows, np.float64)

    def encode(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Encodes the rows of a table with the columns of `fit`; raises a ValueError if it lacks one."""
        cells = np.column_stack([*aligned(X, self.layout).arrays().values()])
        return np.asarray(self.transformer.transform(cells), np.float64)

    @property
    def number_names(self) -> list[Any]:
        """Names of the columns of the first encoded numbers."""
        pairs = zip(self.layout.column_names, self.is_category, strict=True)
        return [name for name, is_category in pairs if not is_category]

    def format_value(self, name: Any, value: float) -> str:
        """Formats a number of a column, or a date in the column's type."""
        kind = self.layout.type_of(name)
        if kind is None or kind_of(kind) != "date":
            return f"{value:g}"
        return str(to_arrow([Column(np.array([value]), np.zeros(1, bool))], pa.schema([("", kind)]))[0][0])
