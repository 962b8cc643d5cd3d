"""Reads tables from `.csv` and `.csv.gz` files, in one pass and with little memory."""

import codecs
import csv as text_csv
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from pointillist.arguments import LARGEST_INTEGER
from pointillist.files import csv_format
from pointillist.files.csv_format import NOTHING_SAID, CsvForm
from pointillist.files.limits import check_expansion
from pointillist.files.texts import (
    MISSING,
    NUMBER,
    TRUTHS,
    are_codes,
    are_integers,
    label_values,
    missing_words,
    parsed,
    without_missing,
)
from pointillist.tables.labels import Labels
from pointillist.tables.number_table import Columns, NotNumbers, Table, check_enough, listed, shown
from pointillist.tables.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 2**21
_LINE_ENDS = b"\r\n"


def read_csv(path: Path, label: str | None, min_rows: int, form: CsvForm = NOTHING_SAID) -> Table:
    """Reads a file with a header line and numbers below it; see `read_table`."""
    import pyarrow.compute as pc

    file = CsvFile(path, form)
    check_header(file.names, path, form)
    columns = Columns.of(path, file.names, label)
    labels = None if columns.label is None else Labels(columns, label_values)
    written = [_Written(columns, position) for position in columns.kept]
    spool = Spool(len(written))
    start = 1
    for batch in file.batches():
        texts = [pc.ascii_trim_whitespace(pc.fill_null(column, "")) for column in batch.columns]
        block = np.empty((batch.num_rows, len(written)))
        for place, column in enumerate(written):
            block[:, place] = column.values(texts[column.position])
        columns.check_finite(block, start, partial(_complaint, written, texts, start))
        spool.append(block)
        if labels is not None:
            labels.append(without_missing(batch.column(labels.position)), start)
        start += batch.num_rows
    check_enough(start - 1, path, min_rows)
    types = tuple(column.type_of_all() for column in written)
    return Table(spool.rows(), columns.kept_names, types, None if labels is None else labels.column())


class _Written:
    """The way the values of one column are written, over all blocks so far."""

    def __init__(self, columns: Columns, position: int) -> None:
        self.position = position
        self._columns = columns
        self._truths: bool | None = None
        self._integers = True
        self._beyond = False
        self._codes = False

    def values(self, text: "pa.StringArray") -> Float[np.ndarray, " m"]:
        """Parses the numbers; NaN where a text is not a number."""
        import pyarrow.compute as pc

        if self._truths is None:
            self._truths = text[0].as_py().lower() in TRUTHS
        if self._truths:
            lower = pc.ascii_lower(text)
            true, false = (pc.equal(lower, word).to_numpy(zero_copy_only=False) for word in TRUTHS)
            return np.where(true, 1.0, np.where(false, 0.0, np.nan))
        values = parsed(text)
        if self._integers:
            self._integers = are_integers(text)
        if self._integers:
            self._codes = self._codes or are_codes(text)
        if self._integers and not self._beyond:
            # The text decides: 2**53 is fine, but 2**53 + 1 becomes the same float64.
            large = np.flatnonzero(np.abs(values) >= LARGEST_INTEGER)
            self._beyond = any(abs(int(text[int(row)].as_py())) > LARGEST_INTEGER for row in large)
        return values

    def type_of_all(self) -> str:
        """The type that all values of the column have in common.

        Raises:
            ValueError: If they are integers, and float64 cannot hold one exactly or one begins with a zero.
        """
        if self._truths:
            return "bool"
        if self._integers and self._codes:
            name = shown(self._columns.names[self.position])
            raise NotNumbers(
                self._columns.error(
                    f"column {name} holds integers that begin with a zero, such as postal codes, and is text; drop or "
                    "encode the column first"
                )
            )
        if self._integers and self._beyond:
            raise self._columns.too_large(self.position)
        return "int64" if self._integers else "float64"

    def complaint(self, text: str, row: int) -> ValueError:
        """Makes the error about a text that `values` could not read; rows are counted from 1."""
        if text.lower() in MISSING:
            return NotNumbers(self._columns.bad_value("has a missing value", row, self.position))
        wrong = "neither true nor false, as the rows above are" if self._truths else "not a number"
        place = f"{shown(text)} in row {row}, column {shown(self._columns.names[self.position])},"
        return NotNumbers(self._columns.error(f"{place} is {wrong}; drop or encode the column first"))


def _complaint(written: list[_Written], texts: "list[pa.StringArray]", start: int, row: int, place: int) -> ValueError:
    column = written[place]
    return column.complaint(texts[column.position][row].as_py(), start + row)


def has_number(name: str) -> bool:
    """Whether a number stands where a name should, with a decimal point or comma."""
    return NUMBER.fullmatch(name.replace(",", ".")) is not None


def check_header(names: Sequence[str], path: Path, form: CsvForm) -> None:
    """Raises a ValueError if the first line holds numbers rather than names; 0, 1, 2, … are names."""
    are_places = list(names) == [str(i) for i in range(len(names))]
    are_numbers = [has_number(name) for name in names]
    if form.has_names is not None or are_places or not any(are_numbers):
        return
    if all(is_number or name.lower() in TRUTHS for is_number, name in zip(are_numbers, names, strict=True)):
        raise without_names(names, path, "holds numbers")
    if len({*names}) < len(names):
        raise without_names(names, path, "holds numbers, and fields that repeat")


def without_names(names: Sequence[str], path: Path, what: str) -> ValueError:
    """Returns an error about a file whose first line does not hold the names of the columns."""
    return ValueError(
        f"{path}: the first line must hold the names of the columns, but it {what}: {listed(names)}; give --no-header "
        "if it is a row"
    )


class CsvFile:
    """Batches of rows of text from a CSV file, null where a cell is missing.

    Attributes:
        names: Names of the columns, without white space around them; 0, 1, 2, … if the file has no names.

    Raises:
        ValueError: If the file is not CSV; the message is one line.
    """

    def __init__(self, path: Path, form: CsvForm = NOTHING_SAID) -> None:
        self._path = path
        self._encoding = csv_format.encoding_of(path, form)
        names, n_blank, n_lines, self._delimiter = _header(path, self._encoding, form.delimiter)
        has_names = form.has_names is not False
        self._lines_above = n_lines if has_names else n_blank
        self.names = [name.strip() if has_names else str(place) for place, name in enumerate(names)]

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yields the rows in batches, none of them empty."""
        rows = self._batches()
        return rows if len(self.names) > 1 else self._without_blank_end(rows)

    def _batches(self) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa
        from pyarrow import csv

        # By number, as names may be the same.
        names = [str(place) for place in range(len(self.names))]
        reader, size, packed = None, 0, self._path.stat().st_size
        while True:
            try:
                # Arrow opens the file and closes it after the last read, which a thread of its own may still be at when
                # the rows are refused: a handle that we closed could give another file's first rows to that thread.
                reader = reader or csv.open_csv(
                    str(self._path),
                    # On one thread, as only then Arrow counts the rows; converting takes most of the time anyway.
                    csv.ReadOptions(
                        block_size=_BLOCK,
                        use_threads=False,
                        column_names=names,
                        skip_rows=self._lines_above,
                        encoding=self._encoding,
                    ),
                    csv.ParseOptions(
                        delimiter=self._delimiter, newlines_in_values=True, ignore_empty_lines=len(names) > 1
                    ),
                    csv.ConvertOptions(
                        column_types=dict.fromkeys(names, pa.string()),
                        null_values=missing_words(),
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                )
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except (pa.ArrowException, UnicodeError, OSError) as error:
                # Nothing stands below the header.
                if "Empty CSV" in str(error) or "Could not skip initial" in str(error):
                    return
                raise _unreadable(error, self._path, self._encoding, self._lines_above) from error
            size += batch.nbytes
            check_expansion(self._path, size, packed, "unpack it first if it is one")
            if batch.num_rows:
                yield batch

    def _without_blank_end(self, batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Yields batches of one column without the empty lines at the file's end, each of which would be a null."""
        held: list[pa.RecordBatch] = []
        for batch in batches:
            filled = np.flatnonzero(batch.column(0).is_valid().to_numpy(zero_copy_only=False))
            if len(filled):
                yield from held
                end = int(filled[-1]) + 1
                yield batch[:end]
                held, batch = [], batch[end:]
            held.extend([batch] if batch.num_rows else [])
        left = sum(batch.num_rows for batch in held)
        left -= _blank_lines_at_end(self._path, self._encoding) if held else 0
        for batch in held:
            if left > 0:
                yield batch[:left]
            left -= batch.num_rows


def _blank_lines_at_end(path: Path, encoding: str) -> int:
    tail = b""
    file, read = csv_format.reading(path, encoding)
    with file:
        while block := read(_BLOCK):
            end = block[len(block.rstrip(_LINE_ENDS)) :]
            tail = end if len(end) < len(block) else tail + end
    return max(0, len(tail.replace(b"\r\n", b"\n")) - 1)


def _header(path: Path, encoding: str, delimiter: str | None) -> tuple[list[str], int, int, str]:
    """Reads the first line that is not empty.

    Returns:
        The fields of this line, the number of lines above it, the number of lines to its end, and the delimiter.
    """
    size, start = 2**14, b""
    file, read = csv_format.reading(path, encoding)
    with file:
        while True:
            try:
                start += read(size - len(start))
            except (OSError, EOFError, zlib.error, UnicodeError) as error:
                raise _unreadable(error, path, encoding) from error
            is_all = len(start) < size
            lines = start.removeprefix(codecs.BOM_UTF8).splitlines(keepends=True)
            # The last one may go on, and a carriage return may have a line feed behind it.
            lines = lines if is_all else lines[:-1]
            text = [line.decode("utf-8", "surrogateescape") for line in lines]
            blank = next((i for i, line in enumerate(lines) if line.strip(_LINE_ENDS)), len(lines))
            found = delimiter or csv_format.delimiter_of(text[blank:], is_all=is_all)
            reader = text_csv.reader(iter(text[blank:]), delimiter=found)
            try:
                names = next(reader, None)
            except text_csv.Error as error:
                raise _unreadable(error, path, encoding) from error
            n_lines = blank + reader.line_num
            # A quote that is open at the end of what was looked at may be closed behind it.
            if names is not None and (is_all or n_lines < len(lines) or "".join(text[blank:]).count('"') % 2 == 0):
                break
            if is_all:
                raise ValueError(f"{path}: has 0 rows; at least 2 are needed")
            if size > _BLOCK:
                raise _too_long(path)
            size = max(size * 4, len(start) + 1)
    if encoding == "utf8" and csv_format.has_alternate_zeros(start):
        raise ValueError(
            f"{path}: looks like UTF-16 text: give --encoding utf-16-le (or utf-16-be), or save it as UTF-8"
        )
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise _not_in(path, encoding) from error
    return names, blank, n_lines, found


def _too_long(path: Path) -> ValueError:
    return ValueError(f"{path}: has a row of more than {_BLOCK >> 20} MiB, or a quote that is not closed")


def _not_in(path: Path, encoding: str) -> ValueError:
    if encoding == "utf8":
        return ValueError(
            f"{path}: is not UTF-8 text: give its encoding (--encoding cp1252, latin-1, …), or save it as UTF-8"
        )
    return ValueError(f"{path}: is not {encoding} text: give another --encoding")


def _unreadable(error: Exception, path: Path, encoding: str, lines_above: int = 0) -> ValueError:
    """Makes the one-line error about a file that cannot be read."""
    reason = str(error)
    if ragged := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", reason):
        row, expected, got = (int(number) for number in ragged.groups())
        return ValueError(f"{path}: row {row - lines_above} has {got} values, but the header names {expected} columns")
    if "straddling" in reason:
        return _too_long(path)
    if isinstance(error, UnicodeError) or "UTF8" in reason:
        return _not_in(path, encoding)
    if path.name.endswith(".gz") and isinstance(error, OSError | EOFError | zlib.error):
        return ValueError(f"{path}: is not a whole gzip file ({shown(reason)})")
    return ValueError(f"{path}: cannot be read as CSV: {shown(reason)}")
