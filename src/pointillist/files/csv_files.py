"""Reads and writes CSV files (`.csv`, `.csv.gz`, `.tsv`, `.txt`) in one pass, as numbers or as columns of any kind."""

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
from pointillist.files.csv_format import CsvForm, delimiter_of, encoding_of, opened
from pointillist.files.formats import Format, ReadOptions, Write, check_expansion, parts_of
from pointillist.files.number_rows import NotNumbers, NumberRows, check_enough, read_columns
from pointillist.files.texts import (
    BOOLEANS,
    MISSING,
    NUMBER,
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
from pointillist.lazy import csv, pa, pc
from pointillist.tables.numbers import Numbers
from pointillist.tables.row_sampling import sample_rows
from pointillist.tables.table import Table, kind_of
from pointillist.tables.text_formats import with_forms

_BLOCK = 2**21
_MOST_EXAMPLES = 5


class CsvFormat(Format):
    """Lines of text, perhaps compressed: a header, then cells of any kind."""

    has_types = False

    def names(self, path: Path, form: CsvForm) -> list[str]:
        check_regular(parts_of(path)[0])
        return CsvFile(parts_of(path)[0], form).names

    def read(self, path: Path, options: ReadOptions) -> Table:
        file = CsvFiles(path, options.form)
        if options.form.has_names is None:
            _check_header(file.names, path)
        return read_columns(path, file.names, options, partial(_numbers, file, options), partial(_mixed, file, options))

    @contextmanager
    def writing(
        self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int
    ) -> Iterator[Write]:
        """Starts a file in UTF-8, with commas between the fields; with tabs in `.tsv` files."""
        schema, header = schema_of(names, types, has_categories=False), io.StringIO()
        delimiter = "\t" if path.suffix == ".tsv" else ","
        # Arrow would quote all names.
        text_csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(names)
        is_text = kind_of(schema.types[0]) == "category"
        options = csv.WriteOptions(include_header=False, delimiter=delimiter)
        # Without a name and a time, the same rows give the same bytes.
        packed: Any = gzip.GzipFile("", "wb", 6, file, mtime=0) if path.name.endswith(".gz") else nullcontext(file)
        with packed as out:
            out.write(header.getvalue().encode())
            with csv.CSVWriter(out, schema, write_options=options) as writer:

                def write(columns: Sequence[Any]) -> None:
                    rows = in_schema(columns, schema)
                    if rows.num_columns > 1 or not rows.column(0).null_count:
                        writer.write_table(rows)
                        return
                    # In a single column, Arrow would write a missing cell as an empty line, which readers skip.
                    for cell in rows.column(0).cast("string").to_pylist():
                        quoted = cell.replace('"', '""') if cell else cell
                        line = "NA" if cell is None else f'"{quoted}"' if is_text else cell
                        out.write(f"{line}\n".encode())

                yield write


FORMAT = CsvFormat()


def _numbers(file: "CsvFiles", options: ReadOptions) -> Numbers:
    gathered = NumberRows(file.path, file.names, options.label)
    columns = [_NumberColumn(gathered, index) for index in gathered.kept]
    for batch in file.batches():
        block = np.empty((batch.num_rows, len(columns)))
        for i, column in enumerate(columns):
            block[:, i] = column.values(pc.ascii_trim_whitespace(pc.fill_null(batch.column(column.index), "")))
        labels = None if gathered.label is None else without_missing(batch.column(gathered.label))
        gathered.append(block, labels, nan=lambda row, i: columns[i].complaint(row))
    check_enough(gathered.n, file.path, options.min_rows)
    return gathered.numbers([column.common_type() for column in columns], label_values)


class _NumberColumn:
    """Parses one column of numbers or booleans, block by block, and finds the type of all its values."""

    def __init__(self, gathered: NumberRows, index: int) -> None:
        self.index = index
        self._gathered, self._name = gathered, shown(gathered.names[index])
        self._is_integer, self._is_boolean, self._is_beyond, self._is_code = True, False, False, False

    def values(self, text: "pa.StringArray") -> Float[np.ndarray, " m"]:
        """Parses the numbers; NaN where a text is not a number."""
        self._text = text
        if not self._gathered.n:
            self._is_boolean = text[0].as_py().lower() in BOOLEANS
        if self._is_boolean:
            found = pc.index_in(pc.ascii_lower(text), pa.array(["false", "true"]))
            return found.cast(pa.float64()).to_numpy(zero_copy_only=False)
        values = parsed(text)
        self._is_integer = self._is_integer and are_integers(text)
        if self._is_integer:
            self._is_code = self._is_code or are_codes(text)
            # The text decides: 2**53 is fine, but 2**53 + 1 becomes the same float64.
            large = np.flatnonzero(np.abs(values) >= LARGEST_INTEGER)
            self._is_beyond |= any(abs(int(text[int(row)].as_py())) > LARGEST_INTEGER for row in large)
        return values

    def common_type(self) -> str:
        """Returns the type that all values share; raises `NotNumbers` for codes, and for integers beyond 2**53."""
        if self._is_integer and self._is_code:
            raise NotNumbers(
                self._gathered.error(
                    f"column {self._name} holds integers that begin with a zero, such as postal codes, and is text; "
                    "drop or encode the column first"
                )
            )
        if self._is_integer and self._is_beyond:
            raise self._gathered.too_large(self.index)
        return "bool" if self._is_boolean else "int64" if self._is_integer else "float64"

    def complaint(self, row: int) -> ValueError:
        """Makes the error about a text that `values` could not read, from its row in the block, from 0."""
        text = self._text[row].as_py()
        if text.lower() in MISSING:
            return NotNumbers(self._gathered.bad_value("has a missing value", row, self.index))
        wrong = "neither true nor false, as the rows above are" if self._is_boolean else "not a number"
        where = f"{shown(text)} in row {self._gathered.n + row + 1}, column {self._name},"
        return NotNumbers(self._gathered.error(f"{where} is {wrong}; drop or encode the column first"))


def _mixed(file: "CsvFiles", options: ReadOptions, kept: list[str]) -> "pa.Table":
    """Reads columns of any kind into memory, by the rules of `pointillist.files.texts`."""
    indices = [file.names.index(name) for name in kept]
    rows = sample_rows((batch.select(indices) for batch in file.batches()), file.path, options.limit)
    texts = [pa.chunked_array([], pa.string()) for _ in kept] if rows is None else rows.columns
    del rows
    repeated = [
        name
        for name, text in zip(kept, texts, strict=True)
        if pc.any(pc.equal(pc.ascii_trim_whitespace(text), name)).as_py()
    ]
    columns, notes = {}, Notes()
    try:
        for name in kept:
            # The text of a column is freed before the next one is converted.
            columns[name] = typed(
                name,
                texts.pop(0),
                options.types.get(name),
                is_label=name == options.label,
                decimal=options.form.decimal,
                notes=notes,
                usual=options.usual.get(name),
            )
        notes.check()
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error
    if options.form.has_names is None:
        _check_not_a_row(names=file.names, columns=columns, repeated=repeated, path=file.path)
    for (what, way_out), examples in notes.warnings.items():
        more = f" and {len(examples) - _MOST_EXAMPLES} more" if len(examples) > _MOST_EXAMPLES else ""
        message = f"{file.path}: {what}: {', '.join(examples[:_MOST_EXAMPLES])}{more}; {way_out}"
        warnings.warn(message, UserWarning, stacklevel=5)
    return with_forms(pa.table(columns), notes.forms)


def _check_header(names: Sequence[str], path: Path) -> None:
    """Raises a ValueError if the first line holds numbers rather than names; 0, 1, 2, … are names."""
    are_numbers = [_is_number(name) for name in names]
    if list(names) == [str(i) for i in range(len(names))] or not any(are_numbers):
        return
    if all(is_number or name.lower() in BOOLEANS for is_number, name in zip(are_numbers, names, strict=True)):
        raise _no_header_error(names, path, "holds numbers")
    if len({*names}) < len(names):
        raise _no_header_error(names, path, "holds numbers, and fields that repeat")


def _check_not_a_row(names: Sequence[str], columns: Mapping[str, Any], repeated: Sequence[str], path: Path) -> None:
    """Raises a ValueError if the first line looks like a row.

    It does if it fits every column of numbers, dates or booleans (a value of that kind, or a missing cell) and it also
    holds a date or a boolean, or a text that occurs again in its column. Numbers alone, for example years, may be
    names.
    """
    kinds = {name: kind_of(column.type) for name, column in columns.items()}
    value_names = [name for name, kind in kinds.items() if kind != "category" and name.lower() not in MISSING]
    has_dates = any(kinds[name] in ("date", "boolean") for name in value_names)
    is_repeated = any(kinds[name] == "category" for name in repeated)
    if value_names and (has_dates or is_repeated) and all(_is_value(name, kinds[name]) for name in value_names):
        raise _no_header_error(names, path, "looks like a row")


def _is_value(text: str, kind: str) -> bool:
    if kind in ("number", "integer"):
        return _is_number(text)
    return kind_of(typed("", pa.chunked_array([[text]]), decimal=".").type) == kind


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text.replace(",", ".")) is not None


def _no_header_error(names: Sequence[str], path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path}: the first line must hold the names of the columns, but it {what}: {listed(names)}; give --no-header "
        "if it is a row"
    )


class CsvFiles:
    """Batches of rows of text from one CSV file, or from the files of a folder or a pattern, with the same columns."""

    def __init__(self, path: Path, form: CsvForm) -> None:
        self._files = [CsvFile(part, form) for part in parts_of(path)]
        self.path, self.names = path, self._files[0].names
        for each in self._files:
            if each.names != self.names:
                raise ValueError(f"{each.path}: has other columns than {self._files[0].path}: {listed(each.names)}")

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yields the rows of all files in batches that are not empty."""
        for each in self._files:
            yield from each.batches()


class CsvFile:
    """Batches of rows of text from a CSV file, null where a cell is missing.

    `names` have no white space around them; they are 0, 1, 2, … if the file has no names.

    Raises:
        ValueError: If the file is not CSV; the message is one line.
    """

    def __init__(self, path: Path, form: CsvForm) -> None:
        self.path, self._encoding = path, "utf8"
        lines, is_all = self._first_lines(form)
        n_blank = next((i for i, line in enumerate(lines) if line.strip("\r\n")), len(lines))
        self._delimiter = (
            form.delimiter or ("\t" if path.suffix == ".tsv" else None) or delimiter_of(lines[n_blank:], is_all=is_all)
        )
        reader = text_csv.reader(iter(lines[n_blank:]), delimiter=self._delimiter)
        try:
            names = next(reader, None)
            "".join(names or []).encode()
        except (text_csv.Error, UnicodeEncodeError) as error:
            raise self._unreadable(error) from error
        n_lines = n_blank + reader.line_num
        if not is_all and n_lines == len(lines):
            raise self._too_long()
        if names is None:
            raise ValueError(f"{path}: has 0 rows; at least 2 are needed")
        has_names = form.has_names is not False
        self._lines_above = n_lines if has_names else n_blank
        self.names = [name.strip() if has_names else str(i) for i, name in enumerate(names)]

    def _first_lines(self, form: CsvForm) -> tuple[list[str], bool]:
        """Returns the whole lines in the first block of the file, and whether they are the whole file."""
        try:
            with opened(self.path) as file:
                start = file.read(_BLOCK)
            is_all, self._encoding = len(start) < _BLOCK, encoding_of(start, form)
            errors = "surrogateescape" if self._encoding == "utf8" else "strict"
            text = codecs.getincrementaldecoder(self._encoding)(errors).decode(start, is_all).removeprefix("\ufeff")
        except (OSError, EOFError, zlib.error, UnicodeError) as error:
            raise self._unreadable(error) from error
        if self._encoding == "utf8" and len(start) > 3 and not (any(start[0:64:2]) and any(start[1:64:2])):
            raise ValueError(
                f"{self.path}: looks like UTF-16 text: give --encoding utf-16-le (or utf-16-be), or save it as UTF-8"
            )
        # The last line may be incomplete, or end in the carriage return of a carriage return and a line feed.
        lines = list(io.StringIO(text, newline=""))
        return (lines if is_all else lines[:-1]), is_all

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yields the rows in batches that are not empty."""
        # Names may repeat, so columns are numbered.
        names = [str(i) for i in range(len(self.names))]
        # Arrow counts the rows only on one thread; converting takes most of the time anyway.
        read = csv.ReadOptions(
            block_size=_BLOCK,
            use_threads=False,
            column_names=names,
            skip_rows=self._lines_above,
            encoding=self._encoding,
        )
        parse = csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True)
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=missing_words(),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        size = 0
        try:
            # Arrow opens and closes the file itself. One of its threads may still read when we refuse the rows, so
            # a handle that we closed here could give that thread the first rows of another file.
            for batch in csv.open_csv(str(self.path), read, parse, convert):
                size += batch.nbytes
                check_expansion(self.path, size, "unpack it first if it is one")
                if batch.num_rows:
                    yield batch
        except (pa.ArrowException, UnicodeError, OSError) as error:
            # There may be no rows below the header.
            if "Empty CSV" not in str(error) and "Could not skip initial" not in str(error):
                raise self._unreadable(error) from error

    def _too_long(self) -> ValueError:
        return ValueError(f"{self.path}: has a row of more than {_BLOCK >> 20} MiB, or a quote that is not closed")

    def _unreadable(self, error: Exception) -> ValueError:
        """Makes the one-line error about a file that cannot be read."""
        path, reason = self.path, str(error)
        if ragged := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", reason):
            row, expected, got = (int(number) for number in ragged.groups())
            row -= self._lines_above
            return ValueError(f"{path}: row {row} has {got} values, but the header names {expected} columns")
        if "straddling" in reason:
            return self._too_long()
        if isinstance(error, UnicodeError) or "UTF8" in reason:
            if self._encoding != "utf8":
                return ValueError(f"{path}: is not {self._encoding} text: give another --encoding")
            way_out = "give its encoding (--encoding cp1252, latin-1, …), or save it as UTF-8"
            return ValueError(f"{path}: is not UTF-8 text: {way_out}")
        if path.name.endswith(".gz") and isinstance(error, OSError | EOFError | zlib.error):
            return ValueError(f"{path}: is not a whole gzip file ({shown(reason)})")
        return ValueError(f"{path}: cannot be read as CSV: {shown(reason)}")
