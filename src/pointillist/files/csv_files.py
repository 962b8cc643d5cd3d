"""Reads `.csv` and `.csv.gz` files in one pass, as rows of numbers or as columns of any kind, and writes them."""

import codecs
import csv as text_csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import LARGEST_INTEGER
from pointillist.atomic_files import check_regular
from pointillist.files import csv_format
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import Asked, Format, Write, check_expansion
from pointillist.files.number_rows import NotNumbers, NumberRows, check_enough, read_columns
from pointillist.files.texts import (
    MISSING,
    NUMBER,
    TRUTHS,
    Notes,
    are_codes,
    are_integers,
    label_values,
    missing_words,
    parsed,
    typed,
    without_missing,
)
from pointillist.files.writing import in_schema, schema_of
from pointillist.foreign_text import listed, shown
from pointillist.lazy import pa, pc
from pointillist.tables import time_formats
from pointillist.tables.numbers import Numbers
from pointillist.tables.table import Table, kind_of

_BLOCK = 2**21
_NOTED = 5
QUOTE = '"'


class CsvFormat(Format):
    """Lines of text, which may be compressed: names, and below them cells of any kind."""

    has_types = False

    def names(self, path: Path, form: CsvForm) -> list[str]:
        """Names of the columns of a file; their numbers if it has none."""
        check_regular(path)
        return CsvFile(path, form).names

    def read(self, path: Path, asked: Asked) -> Table:
        """Reads rows of numbers as long as all columns hold them, and otherwise columns of any kind."""
        file = CsvFile(path, asked.form)
        if asked.form.has_names is None:
            check_header(file.names, path)
        return read_columns(path, file.names, asked, partial(_numbers, file, asked), partial(_mixed, file, asked))

    @contextmanager
    def writing(
        self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int
    ) -> Iterator[Write]:
        """Begins a file in UTF-8, with commas between the fields."""
        from pyarrow import csv

        schema, header = schema_of(names, types, has_categories=False), io.StringIO()
        # Arrow would put all names in quotes.
        text_csv.writer(header, lineterminator="\n").writerow(names)
        is_text, options = kind_of(schema.types[0]) == "category", csv.WriteOptions(include_header=False)
        # Neither a name nor a time, so that the same rows give the same bytes.
        packed: Any = gzip.GzipFile("", "wb", 6, file, mtime=0) if path.name.endswith(".gz") else nullcontext(file)
        with packed as out:
            out.write(header.getvalue().encode())
            with csv.CSVWriter(out, schema, write_options=options) as writer:

                def write(columns: Sequence[Any]) -> None:
                    rows = in_schema(columns, schema)
                    if rows.num_columns > 1 or not rows.column(0).null_count:
                        writer.write_table(rows)
                        return
                    # Of one column, a missing cell would be an empty line, which is no row at all.
                    for cell in rows.column(0).cast("string").to_pylist():
                        line = "NA" if cell is None else f'"{cell.replace(QUOTE, 2 * QUOTE)}"' if is_text else cell
                        out.write(f"{line}\n".encode())

                yield write


FORMAT = CsvFormat()


def _numbers(file: "CsvFile", asked: Asked) -> Numbers:
    gathered = NumberRows(file.path, file.names, asked.label)
    columns = [_NumberColumn(gathered, position) for position in gathered.kept]
    for batch in file.batches():
        block = np.empty((batch.num_rows, len(columns)))
        for i, column in enumerate(columns):
            block[:, i] = column.values(pc.ascii_trim_whitespace(pc.fill_null(batch.column(column.position), "")))
        labels = None if gathered.label is None else without_missing(batch.column(gathered.label))
        gathered.append(block, labels, nan=lambda row, i: columns[i].complaint(row))
    check_enough(gathered.n, file.path, asked.min_rows)
    return gathered.numbers([column.type_of_all() for column in columns], label_values)


class _NumberColumn:
    """One column of numbers or booleans, over all blocks so far."""

    def __init__(self, gathered: NumberRows, position: int) -> None:
        self.position = position
        self._gathered, self._name = gathered, shown(gathered.names[position])
        self._is_integer, self._is_boolean, self._is_beyond, self._is_code = True, False, False, False

    def values(self, text: "pa.StringArray") -> Float[np.ndarray, " m"]:
        """Parses the numbers; NaN where a text is not a number."""
        self._text = text
        if not self._gathered.n:
            self._is_boolean = text[0].as_py().lower() in TRUTHS
        if self._is_boolean:
            truth = pc.index_in(pc.ascii_lower(text), pa.array(["false", "true"]))
            return truth.cast(pa.float64()).to_numpy(zero_copy_only=False)
        values = parsed(text)
        self._is_integer = self._is_integer and are_integers(text)
        if self._is_integer:
            self._is_code = self._is_code or are_codes(text)
            # The text decides: 2**53 is fine, but 2**53 + 1 becomes the same float64.
            large = np.flatnonzero(np.abs(values) >= LARGEST_INTEGER)
            self._is_beyond |= any(abs(int(text[int(row)].as_py())) > LARGEST_INTEGER for row in large)
        return values

    def type_of_all(self) -> str:
        """The type that all values have in common; raises `NotNumbers` for codes, and for integers beyond 2**53."""
        if self._is_integer and self._is_code:
            raise NotNumbers(
                self._gathered.error(
                    f"column {self._name} holds integers that begin with a zero, such as postal codes, and is text; "
                    "drop or encode the column first"
                )
            )
        if self._is_integer and self._is_beyond:
            raise self._gathered.too_large(self.position)
        return "bool" if self._is_boolean else "int64" if self._is_integer else "float64"

    def complaint(self, row: int) -> ValueError:
        """Makes the error about a text that `values` could not read, by its row in the block, from 0."""
        text = self._text[row].as_py()
        if text.lower() in MISSING:
            return NotNumbers(self._gathered.bad_value("has a missing value", row, self.position))
        wrong = "neither true nor false, as the rows above are" if self._is_boolean else "not a number"
        where = f"{shown(text)} in row {self._gathered.n + row + 1}, column {self._name},"
        return NotNumbers(self._gathered.error(f"{where} is {wrong}; drop or encode the column first"))


def _mixed(file: "CsvFile", asked: Asked, kept: list[str]) -> "pa.Table":
    """Reads columns of any kind into memory, by the rules of `pointillist.files.texts`."""
    indices = [file.names.index(name) for name in kept]
    batches = [batch.select(indices) for batch in file.batches()]
    texts = [pa.chunked_array([batch.column(i) for batch in batches], pa.string()) for i in range(len(kept))]
    del batches
    repeated = [
        name
        for name, text in zip(kept, texts, strict=True)
        if pc.any(pc.equal(pc.ascii_trim_whitespace(text), name)).as_py()
    ]
    columns, forms, notes = {}, dict[str, str](), Notes()
    try:
        for name in kept:
            # The text of a column is freed before the next one is converted.
            text, wanted, is_label = texts.pop(0), asked.types.get(name), name == asked.label
            columns[name] = typed(name, text, wanted, is_label=is_label, decimal=asked.form.decimal, notes=notes)
            if kind_of(columns[name].type) == "date":
                given = pc.ascii_trim_whitespace(text).filter(columns[name].is_valid())
                forms |= {name: found} if (found := time_formats.form_of(given)) else {}
        notes.check()
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error
    if asked.form.has_names is None:
        _check_not_a_row(names=file.names, columns=columns, repeated=repeated, path=file.path)
    for (what, way_out), examples in notes.said.items():
        more = f" and {len(examples) - _NOTED} more" if len(examples) > _NOTED else ""
        text = f"{file.path}: {what}: {', '.join(examples[:_NOTED])}{more}; {way_out}"
        warnings.warn(text, UserWarning, stacklevel=5)
    return time_formats.with_forms(pa.table(columns), forms)


def check_header(names: Sequence[str], path: Path) -> None:
    """Raises a ValueError if the first line holds numbers rather than names; 0, 1, 2, … are names."""
    are_numbers = [_is_number(name) for name in names]
    if list(names) == [str(i) for i in range(len(names))] or not any(are_numbers):
        return
    if all(is_number or name.lower() in TRUTHS for is_number, name in zip(are_numbers, names, strict=True)):
        raise _without_names(names, path, "holds numbers")
    if len({*names}) < len(names):
        raise _without_names(names, path, "holds numbers, and fields that repeat")


def _check_not_a_row(names: Sequence[str], columns: Mapping[str, Any], repeated: Sequence[str], path: Path) -> None:
    """Raises a ValueError if the first line looks like a row.

    It does if it fits every column of numbers, dates or booleans (a value of that kind, or a missing cell) and it also
    holds a date or a boolean, or a text that occurs again in its column. Numbers alone, such as years, may be names.
    """
    kinds = {name: kind_of(column.type) for name, column in columns.items()}
    of_values = [name for name, kind in kinds.items() if kind != "category" and name.lower() not in MISSING]
    has_dates = any(kinds[name] in ("date", "truth") for name in of_values)
    is_repeated = any(kinds[name] == "category" for name in repeated)
    if of_values and (has_dates or is_repeated) and all(_is_value(name, kinds[name]) for name in of_values):
        raise _without_names(names, path, "looks like a row")


def _is_value(text: str, kind: str) -> bool:
    if kind in ("number", "whole"):
        return _is_number(text)
    return kind_of(typed("", pa.chunked_array([[text]]), decimal=".").type) == kind


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text.replace(",", ".")) is not None


def _without_names(names: Sequence[str], path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path}: the first line must hold the names of the columns, but it {what}: {listed(names)}; give --no-header "
        "if it is a row"
    )


class CsvFile:
    """Batches of rows of text from a CSV file, null where a cell is missing.

    Attributes:
        path: The file.
        names: Names of the columns, without white space around them; 0, 1, 2, … if the file has no names.

    Raises:
        ValueError: If the file is not CSV; the message is one line.
    """

    def __init__(self, path: Path, form: CsvForm) -> None:
        self.path = path
        names, n_blank, n_lines, self._delimiter, self._encoding = _header(path, form)
        has_names = form.has_names is not False
        self._lines_above = n_lines if has_names else n_blank
        self.names = [name.strip() if has_names else str(i) for i, name in enumerate(names)]

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yields the rows in batches, none of them empty."""
        rows = self._batches()
        return rows if len(self.names) > 1 else self._without_blank_end(rows)

    def _batches(self) -> "Iterator[pa.RecordBatch]":
        from pyarrow import csv

        # By number, as names may be the same.
        names = [str(i) for i in range(len(self.names))]
        # On one thread, as only then Arrow counts the rows; converting takes most of the time anyway.
        read = csv.ReadOptions(
            block_size=_BLOCK,
            use_threads=False,
            column_names=names,
            skip_rows=self._lines_above,
            encoding=self._encoding,
        )
        parse = csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, ignore_empty_lines=len(names) > 1)
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=missing_words(),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        size, packed = 0, self.path.stat().st_size
        try:
            # Arrow opens and closes the file itself. One of its threads may still read when we refuse the rows, so
            # a handle that we closed here could give that thread the first rows of another file.
            for batch in csv.open_csv(str(self.path), read, parse, convert):
                size += batch.nbytes
                check_expansion(self.path, size, packed, "unpack it first if it is one")
                if batch.num_rows:
                    yield batch
        except (pa.ArrowException, UnicodeError, OSError) as error:
            # There may be nothing below the header.
            if "Empty CSV" not in str(error) and "Could not skip initial" not in str(error):
                raise _unreadable(error, self.path, self._encoding, self._lines_above) from error

    def _without_blank_end(self, batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Yields batches of one column without the empty lines at the file's end, each of which would be a null."""

        def nulls(n: int) -> "pa.RecordBatch":
            return pa.record_batch([pa.nulls(n, pa.string())], names=["0"])

        n_nulls = 0
        for batch in batches:
            filled = np.flatnonzero(batch.column(0).is_valid().to_numpy(zero_copy_only=False))
            if len(filled):
                if n_nulls:
                    yield nulls(n_nulls)
                n_nulls, end = 0, int(filled[-1]) + 1
                yield batch[:end]
                batch = batch[end:]
            n_nulls += batch.num_rows
        n_nulls -= _blank_lines_at_end(self.path, self._encoding) if n_nulls else 0
        if n_nulls > 0:
            yield nulls(n_nulls)


def _blank_lines_at_end(path: Path, encoding: str) -> int:
    n = 0
    with io.TextIOWrapper(csv_format.opened(path), encoding) as file:
        for line in file:
            n = n + 1 if line == "\n" else 0
    return n


def _header(path: Path, form: CsvForm) -> tuple[list[str], int, int, str, str]:
    """Reads the first line that is not empty.

    Returns:
        The fields of this line, the number of lines above it, the number of lines to its end, the delimiter, and the
        encoding.
    """
    encoding = "utf8"
    try:
        with csv_format.opened(path) as file:
            start = file.read(_BLOCK)
        is_all, encoding = len(start) < _BLOCK, csv_format.encoding_of(start, form)
        errors = "surrogateescape" if encoding == "utf8" else "strict"
        text = codecs.getincrementaldecoder(encoding)(errors).decode(start, is_all).removeprefix("\ufeff")
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise _unreadable(error, path, encoding) from error
    if encoding == "utf8" and csv_format.has_alternate_zeros(start):
        raise ValueError(
            f"{path}: looks like UTF-16 text: give --encoding utf-16-le (or utf-16-be), or save it as UTF-8"
        )
    # Lines that end in any way; the last one may go on, and a carriage return may have a line feed behind it.
    lines = list(io.StringIO(text, newline=""))
    lines = lines if is_all else lines[:-1]
    blank = next((i for i, line in enumerate(lines) if line.strip("\r\n")), len(lines))
    delimiter = form.delimiter or csv_format.delimiter_of(lines[blank:], is_all=is_all)
    reader = text_csv.reader(iter(lines[blank:]), delimiter=delimiter)
    try:
        names = next(reader, None)
        "".join(names or []).encode()
    except text_csv.Error as error:
        raise _unreadable(error, path, encoding) from error
    except UnicodeEncodeError as error:
        raise _not_in(path, encoding) from error
    n_lines = blank + reader.line_num
    if not is_all and n_lines == len(lines):
        raise _too_long(path)
    if names is None:
        raise ValueError(f"{path}: has 0 rows; at least 2 are needed")
    return names, blank, n_lines, delimiter, encoding


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
