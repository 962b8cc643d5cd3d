"""Tables from `.csv` and `.csv.gz` files, in one pass and in little memory."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pointillist.points.columns import LARGEST_INTEGER, Columns, NotNumbers, Table, check_enough, listed, shown
from pointillist.points.labels import Labels
from pointillist.points.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 2**21
_MISSING = ["", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "null", "nan", "-nan"]
_MISSING += ["1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"]
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)", re.ASCII | re.IGNORECASE)
_INTEGER = r"^[+-]?[0-9]+$"
_CODE = re.compile(r"\+|-0$|[+-]?0[0-9]")
"""How texts start that are more than the number they stand for: 02139 is not 2139."""
_TRUTHS = ("true", "false")


def read_csv(path: Path, label: str | None, min_rows: int) -> Table:
    """Reads a file with a header line and numbers below it; see `read_table`."""
    import pyarrow.compute as pc

    with _opened(path, ()) as reader:
        names = _names(reader, path)
    stripped = [name.strip() for name in names]
    _check_header(stripped, path)
    columns = Columns.of(path, stripped, label)
    labels = None if columns.label is None else Labels(columns, _label_values)
    written = [_Written(columns, position) for position in columns.kept]
    spool = Spool(len(written))
    start = 1
    with _opened(path, names) as reader:
        batches = _batches(reader, path)
        for batch in batches if len(names) > 1 else _without_blank_end(batches):
            texts = [pc.ascii_trim_whitespace(pc.fill_null(column, "")) for column in batch.columns]
            block = np.empty((batch.num_rows, len(written)))
            for place, column in enumerate(written):
                block[:, place] = column.values(texts[column.position])
            columns.check_finite(block, start, partial(_complaint, written, texts, start))
            spool.append(block)
            if labels is not None:
                labels.append(_label_texts(batch.column(labels.position)), start)
            start += batch.num_rows
    check_enough(start - 1, path, min_rows)
    types = tuple(column.type_of_all() for column in written)
    return Table(spool.rows(), columns.kept_names, types, None if labels is None else labels.column())


class _Written:
    """How the values of one column are written, over all blocks so far."""

    def __init__(self, columns: Columns, position: int) -> None:
        self.position = position
        self._columns = columns
        self._truths: bool | None = None
        self._integers = True
        self._beyond = False

    def values(self, text: "pa.StringArray") -> Float[np.ndarray, " m"]:
        """The numbers that are written; NaN for what is none."""
        import pyarrow.compute as pc

        if self._truths is None:
            self._truths = text[0].as_py().lower() in _TRUTHS
        if self._truths:
            lower = pc.ascii_lower(text)
            true, false = (pc.equal(lower, word).to_numpy(zero_copy_only=False) for word in _TRUTHS)
            return np.where(true, 1.0, np.where(false, 0.0, np.nan))
        values = _parsed(text)
        if self._integers:
            self._integers = _all_integers(text)
        if self._integers and not self._beyond:
            # The text decides: 2**53 is fine, but 2**53 + 1 becomes the same float64.
            large = np.flatnonzero(np.abs(values) >= LARGEST_INTEGER)
            self._beyond = any(abs(int(text[int(row)].as_py())) > LARGEST_INTEGER for row in large)
        return values

    def type_of_all(self) -> str:
        """The type that all values of the column have in common.

        Raises:
            ValueError: If it is integers of which float64 cannot hold some.
        """
        if self._truths:
            return "bool"
        if self._integers and self._beyond:
            raise self._columns.too_large(self.position)
        return "int64" if self._integers else "float64"

    def complaint(self, text: str, row: int) -> ValueError:
        """What is wrong with a text that `values` could not read, in a row counted from 1."""
        if text.lower() in _MISSING:
            return NotNumbers(self._columns.bad_value("has a missing value", row, self.position))
        wrong = "neither true nor false, as the rows above are" if self._truths else "not a number"
        place = f"{shown(text)} in row {row}, column {shown(self._columns.names[self.position])},"
        return NotNumbers(self._columns.error(f"{place} is {wrong}; drop or encode the column first"))


def _parsed(text: "pa.StringArray") -> Float[np.ndarray, " m"]:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(text, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        # Arrow does not say which value it could not read, and reads no plus sign.
        return np.array([float(t) if _NUMBER.fullmatch(t) else np.nan for t in text.to_pylist()])


def _all_integers(text: "pa.StringArray") -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        # Four times as fast as the pattern.
        pc.cast(text, pa.int64())
    except pa.ArrowInvalid:
        return pc.all(pc.match_substring_regex(text, _INTEGER)).as_py()
    return True


def _label_texts(column: "pa.StringArray") -> "pa.StringArray":
    """Labels without the white space around them; null where they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.ascii_trim_whitespace(column)
    # Arrow knows NA from "NA", which is text, but not if there are spaces around it.
    missing = pc.and_(pc.not_equal(text, column), pc.is_in(pc.ascii_lower(text), pa.array(_MISSING)))
    return pc.if_else(pc.or_(missing, pc.equal(text, "")), None, text)


def _label_values(texts: list[str]) -> np.ndarray:
    if all(text.lower() in _TRUTHS for text in texts):
        return np.array([text.lower() == "true" for text in texts])
    if any(_CODE.match(text) for text in texts):
        return np.array(texts)
    if all(re.match(_INTEGER, text) for text in texts):
        values = [int(text) for text in texts]
        # Integers beyond int64 are names rather than numbers.
        return np.array(values if max(values) < 2**63 and min(values) >= -(2**63) else texts)
    if all(_NUMBER.fullmatch(text) for text in texts):
        numbers = np.array([float(text) for text in texts])
        return numbers if np.isfinite(numbers).all() else np.array(texts)
    return np.array(texts)


def _complaint(written: list[_Written], texts: "list[pa.StringArray]", start: int, row: int, place: int) -> ValueError:
    column = written[place]
    return column.complaint(texts[column.position][row].as_py(), start + row)


def _check_header(names: Sequence[str], path: Path) -> None:
    """Raises a ValueError if the first line is one of numbers, but for those that stand for names."""
    if all(_NUMBER.fullmatch(name) for name in names) and list(names) != [str(i) for i in range(len(names))]:
        raise ValueError(
            f"{path}: the first line must hold the names of the columns, and it holds numbers: {listed(names)}"
        )


@cache
def missing_words() -> list[str]:
    """`_MISSING` in all mixtures of small and capital letters."""
    return ["".join(letters) for text in _MISSING for letters in product(*({c, c.upper()} for c in text))]


@contextmanager
def _opened(path: Path, names: Sequence[str]) -> "Iterator[Any]":
    """Opens a file as batches of rows, the columns with these names as text; null where it is missing.

    Of a single column only empty lines are null.
    """
    import pyarrow as pa
    from pyarrow import csv

    is_single = len(names) == 1
    with ExitStack() as stack:
        compression = "gzip" if path.name.endswith(".gz") else None
        try:
            above = _above_header(path, compression) if is_single else 0
            stream = stack.enter_context(pa.input_stream(str(path), compression=compression))
            stream.read(above)
            reader = csv.open_csv(
                stream,
                # On one thread, as only then Arrow counts the rows; converting takes most of the time anyway.
                csv.ReadOptions(block_size=_BLOCK, use_threads=False),
                csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=not is_single),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[""] if is_single else missing_words(),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except (pa.ArrowException, OSError) as error:
            raise unreadable(error, path) from error
        yield stack.enter_context(reader)


def _above_header(path: Path, compression: str | None) -> int:
    """Bytes of a byte-order mark and of empty lines above the header."""
    import pyarrow as pa

    with pa.input_stream(str(path), compression=compression) as stream:
        start = stream.read(_BLOCK)
    return len(start) - len(start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"))


def _names(reader: Any, path: Path) -> list[str]:
    try:
        return reader.schema.names
    except UnicodeDecodeError as error:
        raise unreadable(error, path) from error


def _batches(reader: Any, path: Path) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise unreadable(error, path) from error
        if batch.num_rows:
            yield batch


def _without_blank_end(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """Batches of one column, without the empty lines that the file ends with."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        filled = np.flatnonzero(batch.column(0).is_valid().to_numpy(zero_copy_only=False))
        if not len(filled):
            held.append(batch)
            continue
        end = int(filled[-1]) + 1
        yield from held
        yield batch[:end]
        held = [batch[end:]] if end < batch.num_rows else []


def unreadable(error: Exception, path: Path) -> ValueError:
    """What is wrong with a file that Arrow cannot read, in one line."""
    reason = str(error)
    if "Empty CSV" in reason:
        return ValueError(f"{path}: has 0 rows; at least 2 are needed")
    if ragged := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", reason):
        row, expected, got = (int(number) for number in ragged.groups())
        return ValueError(f"{path}: row {row - 1} has {got} values, but the header names {expected} columns")
    if "straddling" in reason:
        return ValueError(f"{path}: has a row of more than {_BLOCK >> 20} MiB, or a quote that is not closed")
    if isinstance(error, UnicodeDecodeError) or "UTF8" in reason:
        return ValueError(f"{path}: is not UTF-8 text; save it as such")
    if path.name.endswith(".gz") and isinstance(error, OSError):
        return ValueError(f"{path}: is not a whole gzip file ({shown(reason)})")
    return ValueError(f"{path}: cannot be read as CSV: {shown(reason)}")
