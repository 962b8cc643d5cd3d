"""Columns that no model learns: names and keys, integers that number the rows, and empty columns."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from pointillist.arguments import LARGEST_INTEGER
from pointillist.foreign_text import is_numeral
from pointillist.lazy import pa, pc
from pointillist.tables.headings import Headings
from pointillist.tables.table import Table, kind_of

MAX_CATEGORIES = 10_000
"""Most categories of a column."""

MANY = 50
"""Values of a column that are no names or keys, however few the rows."""


FEW = 10
"""Most different texts that are read as categories even if hardly any text repeats."""


UNNAMED = ("", "Unnamed: 0")
"""Names of the index of a pandas frame: in a CSV file, and after pandas has read the file."""


def hardly_repeat(distinct: int, n_given: int) -> bool:
    """Returns whether texts, most of which are numbers, repeat too rarely to be categories."""
    return distinct > FEW and (2 * distinct > n_given or distinct > MAX_CATEGORIES)


def too_many(distinct: int, n_given: int) -> bool:
    """Whether so many different values of so many cells are names or keys rather than categories."""
    return distinct > MAX_CATEGORIES or (distinct > MANY and 2 * distinct > n_given)


def few_words(texts: Sequence[str]) -> list[str]:
    """Returns the texts that are not numbers, if most texts are numbers."""
    words = [text for text in texts if not is_numeral(text)]
    return words if 2 * len(words) < len(texts) else []


def stray_words(texts: Sequence[str]) -> list[str]:
    """Returns the few texts that are not numbers; none if they are codes, such as 207a and V57.1."""
    words = few_words(texts)
    return [] if all(map(_is_code, words)) else words


def _is_code(text: str) -> bool:
    """Returns whether a text consists of letters and digits, with points and hyphens between them."""
    return bool(re.fullmatch(r"[\w.-]+", text) and re.search(r"\d", text) and re.search(r"[^\W\d_]", text))


def without_keys(X: Any, kept: Collection[Any] = ()) -> tuple[Any, list[str]]:
    """Returns a data frame, or the table of a file, without columns that no model learns; and why each is left out.

    Other containers, whose columns have no names of their own, come back as they are; so does X if no column would be
    left.

    Args:
        X: The table.
        kept: Names of columns that are not left out.
    """
    if isinstance(X, Table):
        found = _complaints(_columns_of(X), {*kept, X.label})
        rest = [name for name in X.names if name not in found]
        return (X.select(rest), [*found.values()]) if found and {*rest} - {X.label} else (X, [])
    given, headings = Headings.of(X)
    try:
        frame = nw.from_native(given, eager_only=True, pass_through=True)
    except nw.exceptions.DuplicateError:
        return X, []
    if not isinstance(frame, nw.DataFrame):
        return X, []
    names = frame.columns if headings is None else headings.names
    found = _complaints(zip(names, frame.iter_columns(), strict=True), kept)
    if not found or len(found) == len(names):
        return X, []
    rest = [i for i, name in enumerate(names) if name not in found]
    left = X.iloc[:, rest] if headings is not None else frame.select([names[i] for i in rest]).to_native()
    return left, [*found.values()]


def _complaints(columns: Iterable[tuple[Any, nw.Series]], kept: Collection[Any]) -> dict[Any, str]:
    """Why columns are left out, by name."""
    return {name: why for name, column in columns if name not in kept and (why := complaint(name, column))}


def _columns_of(table: Table) -> Iterator[tuple[Any, nw.Series]]:
    """The columns of the table of a file, with their names; of rows of numbers those of integers, one by one."""
    if not table.is_rows:
        yield from zip(table.names, nw.from_native(table.arrow, eager_only=True).iter_columns(), strict=True)
        return
    numbers = table.numbers
    for name, kind, cells in zip(numbers.names or (), numbers.types, numbers.rows.T, strict=False):
        if np.dtype(kind).kind in "iu":
            yield name, nw.from_dict({"": cells}, backend="pyarrow")[""].cast(nw.Int64)


def _numbering(name: Any, integers: nw.Series) -> str | None:
    """Says that a column numbers the rows; None if it does not.

    The integers of such a column all differ, and they are at least half of the integers from the lowest to the highest,
    because a split of a table lacks some rows. n random integers from so short a range all differ with a probability
    below exp(-n / 4). An index that pandas wrote without a name may be sparser.
    """
    n = len(integers)
    if n <= MANY:
        return None
    low, high = int(integers.min()), int(integers.max())
    is_dense = high - low < 2 * n
    if not (is_dense or name in UNNAMED) or integers.n_unique() < n:
        return None
    what = "numbers the rows" if is_dense else "is an index without a name"
    return f"column {name!r} {what} ({low} to {high}, each at most once)"


def complaint(name: Any, column: nw.Series) -> str | None:
    """Says why a column is left out; None if it is not."""
    n_given = len(column) - int(column.null_count())
    if not n_given:
        return f"column {name!r} has no value at all"
    if column.dtype.is_integer() and n_given == len(column) and (reason := _numbering(name, column)):
        return reason
    if column.dtype.is_integer() and max(-int(column.min()), int(column.max())) > LARGEST_INTEGER:
        distinct = column.n_unique() - (n_given < len(column))
        return (
            f"column {name!r} has {distinct:,} different integers beyond 2**53" if too_many(distinct, n_given) else None
        )
    if not (column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == nw.Boolean):
        try:
            array = column.to_arrow()
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            # Of which reading all columns complains.
            return None
        if kind_of(array.type) == "category":
            return _of_categories(name, pa.chunked_array([array]) if isinstance(array, pa.Array) else array, n_given)
    return None


def _of_categories(name: Any, column: Any, n_given: int) -> str | None:
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
        used = np.concatenate([np.asarray(pc.unique(chunk.indices.drop_null())) for chunk in column.chunks])
        texts = column.chunk(0).dictionary.take(pa.array(np.unique(used)))
    else:
        column = column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column
        texts = column.unique().drop_null()
    if not too_many(len(texts), n_given):
        return None
    if kind_of(texts.type) == "category" and stray_words(texts.to_pylist()):
        return None
    return f"column {name!r} has {len(texts):,} different values in {len(column):,} rows, too many to learn"
