"""Reasons why no model learns a column: names and keys, integers that number the rows, and empty columns."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pointillist.arguments import LARGEST_INTEGER
from pointillist.foreign_text import is_numeral
from pointillist.lazy import pa, pc
from pointillist.tables.table import Table, kind_of, plain_column

MAX_CATEGORIES, MOST_CATEGORIES = 10_000, 1_000_000
"""Largest number of categories of a column that have a token value each, and largest number of all categories."""

MANY = 50
"""Largest number of different values that always count as categories rather than names or keys."""

FEW = 10
"""Largest number of different texts that are read as categories even if hardly any text repeats."""

_IDENTIFIER = re.compile(r"(?i:(?:.*[\W_])?(?:id|key|uuid|guid))|.*[a-z]I[Dd]")
"""Pattern of the names of keys, like id, customer_id and orderId."""

UNNAMED = ("", "Unnamed: 0")
"""Names of an unnamed pandas index: in a CSV file, and after pandas has read the file."""


def hardly_repeat(distinct: int, n_given: int) -> bool:
    """Whether texts, most of them numbers, repeat too rarely to be categories."""
    return distinct > FEW and (2 * distinct > n_given or distinct > MAX_CATEGORIES)


def too_many(distinct: int, n_given: int, most: int = MAX_CATEGORIES) -> bool:
    """Whether values are names or keys rather than categories, because too many of them differ, or more than `most`."""
    return distinct > most or (distinct > MANY and 2 * distinct > n_given)


def few_words(texts: Sequence[str]) -> list[str]:
    """Returns the texts that are not numbers, if most texts are numbers."""
    words = [text for text in texts if not is_numeral(text)]
    return words if 2 * len(words) < len(texts) else []


def stray_words(texts: Sequence[str]) -> list[str]:
    """Returns the texts that are not numbers, if most are; none if these texts are codes like 207a and V57.1."""
    words = few_words(texts)
    return [] if all(map(_is_code, words)) else words


def _is_code(text: str) -> bool:
    """Whether a text consists of letters and digits, with points and hyphens between them."""
    return bool(re.fullmatch(r"[\w.-]+", text) and re.search(r"\d", text) and re.search(r"[^\W\d_]", text))


def learnable_columns(table: Table) -> Iterator[tuple[Any, "pa.ChunkedArray"]]:
    """Yields the columns of a table with their names; of rows of numbers, only columns of integers."""
    if not table.is_rows:
        yield from zip(table.names, table.arrow.columns, strict=True)
        return
    numbers = table.numbers
    for name, kind, cells in zip(numbers.names or (), numbers.types, numbers.rows.T, strict=False):
        if np.dtype(kind).kind in "iu":
            yield name, pa.chunked_array([cells.astype(np.int64)])


def reason_not_to_learn(name: Any, column: "pa.ChunkedArray") -> str | None:
    """Returns why no model learns a column; None if models learn it."""
    n_given = len(column) - column.null_count
    if not n_given:
        return f"column {name!r} has no value at all"
    kind = kind_of(column.type)
    if kind == "category":
        return _category_reason(name, column, n_given)
    if kind != "integer":
        return None
    low, high = pc.min_max(column).as_py().values()
    if n_given == len(column) and (reason := _numbering_reason(name, column, low, high)):
        return reason
    distinct = pc.count_distinct(column).as_py() if max(-low, high) > LARGEST_INTEGER else 0
    return f"column {name!r} has {distinct:,} different integers beyond 2**53" if too_many(distinct, n_given) else None


def is_numbering(n: int, low: int, high: int) -> bool:
    """Whether n different integers are at least half of those from the lowest to the highest."""
    return high - low < 2 * n


def _numbering_reason(name: Any, integers: "pa.ChunkedArray", low: int, high: int) -> str | None:
    """Returns that a column numbers the rows, as a reason to drop it; None if it does not.

    The integers of this column all differ, and they are at least half of the integers from the lowest to the highest,
    because a split of a table lacks some rows. n random integers from so short a range all differ with a probability
    below exp(-n / 4). An index that pandas wrote without a name, and a column that is named as a key, may be sparser.
    """
    n, is_index = len(integers), name in UNNAMED
    is_dense, is_key = is_numbering(n, low, high), isinstance(name, str) and _IDENTIFIER.fullmatch(name) is not None
    if n <= MANY or not (is_dense or is_index or is_key) or pc.count_distinct(integers).as_py() < n:
        return None
    what = "numbers the rows" if is_dense else "is an index without a name" if is_index else "is a key"
    return f"column {name!r} {what} ({low} to {high}, each at most once)"


def _category_reason(name: Any, column: Any, n_given: int) -> str | None:
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
        used = np.concatenate([np.asarray(pc.unique(chunk.indices.drop_null())) for chunk in column.chunks])
        texts = column.chunk(0).dictionary.take(pa.array(np.unique(used)))
    else:
        texts = plain_column(column).unique().drop_null()
    if not too_many(len(texts), n_given, MOST_CATEGORIES):
        return None
    if kind_of(texts.type) == "category" and stray_words(texts.to_pylist()):
        return None
    return f"column {name!r} has {len(texts):,} different values in {len(column):,} rows, too many to learn"
