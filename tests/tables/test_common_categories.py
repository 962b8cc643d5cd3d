"""Tests of columns whose parts have different categories."""

import numpy as np

from pointillist.tables.table import Column, modes


def _column(*cells: str | None) -> Column:
    categories = tuple(dict.fromkeys(cell for cell in cells if cell is not None))
    values = np.array([0 if cell is None else categories.index(cell) for cell in cells])
    return Column(values, np.array([cell is None for cell in cells]), categories)


def _cells(column: Column) -> list[str | None]:
    assert column.categories is not None
    pairs = zip(column.values, column.is_missing, strict=True)
    return [None if is_missing else column.categories[value] for value, is_missing in pairs]


def test_joined_parts_keep_their_cells() -> None:
    joined = Column.joined([_column("b", "a"), _column("a", None, "c"), _column(None)])
    assert _cells(joined) == ["b", "a", "a", None, "c", None]
    assert joined.categories == ("b", "a", "c")


def test_the_most_frequent_cell_is_found_whatever_the_categories_order() -> None:
    draws = [_column("x", "y"), _column("y", "z"), _column("y", "y")]
    assert _cells(modes(draws)) == ["y", "y"]
