"""Reads and checks tables from files of every format; every error is one line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pointillist.atomic_files import check_regular, naming
from pointillist.files.csv_format import DEFAULT_FORM, CsvForm
from pointillist.files.formats import ReadOptions, format_of, parts_of
from pointillist.files.texts import TYPES, is_type
from pointillist.foreign_text import shown
from pointillist.tables.numbers import Numbers
from pointillist.tables.row_sampling import RowLimit
from pointillist.tables.table import Table


def read_table(
    path: str | Path,
    label: str | None = None,
    *,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    kind: Literal["any", "numbers", "mixed"] = "any",
    min_rows: int = 2,
    form: CsvForm = DEFAULT_FORM,
    usual: Mapping[str, str] | None = None,
    limit: RowLimit | None = None,
) -> Table:
    """Reads a table: rows of numbers if all columns hold numbers, otherwise columns of any kind.

    A folder of CSV or Parquet files with the same columns, or a pattern such as `parts/*.parquet`, is one table, whose
    rows follow each other in the order of the files' names.

    A `.npy` file holds an array of two dimensions, or of three: (n, tokens, width), which is flattened to
    (n, tokens x width). `pointillist.files.texts` has the rules for the cells of a `.csv` file. The columns of a
    `.parquet` file have types. Nothing in a file is executed: arrays of Python objects are refused.

    Rows of numbers that take more than `SPOOL_ABOVE` bytes are mapped from a temporary file. Rows of a float64 `.npy`
    file are mapped from the file itself, which must then not change while they are in use.

    Args:
        path: The file, the folder or the pattern.
        label: The column that holds labels: its name, or for a `.npy` file its index, from 0, or from -1 backwards.
            In a table of numbers, labels are numbers, booleans or text. Labels of a `.csv` file are text if one of
            them is not written as a number would be, for example 007; "NA" in quotes is text too.
        drop: Names of columns to leave out.
        types: Declares columns to be "text", "integer", "number", "date" or "date:" with a format, by name.
        kind: "numbers" to refuse everything but numbers without missing values; "mixed" to read columns of any kind
            even if all hold numbers, except from a `.npy` file.
        min_rows: Smallest number of rows that the file must have.
        form: The form of a `.csv` file: delimiter, encoding, decimal mark, header.
        usual: Formats of columns in other rows of the table, which decide where cells fit several.
        limit: How many rows of mixed columns are held; None for all. Of a larger table, a sample is read, with a
            warning, in bounded memory.

    Raises:
        ValueError: If the file does not hold a table as described; the message is one line and counts rows from 1.
        OSError: If the file cannot be opened, or the temporary file cannot be written.

    Warns:
        UserWarning: If marks like a percent sign or a decimal comma are removed from numbers, if a few cells make a
            column text, or if the times of a column have different offsets from UTC.
    """
    path = Path(path)
    format_ = format_of(path)
    if form != DEFAULT_FORM and format_.has_types:
        raise ValueError(
            f"{path}: only a CSV file has a delimiter, an encoding, a decimal mark or no header: leave them out"
        )
    for name, wanted in (types or {}).items():
        if not is_type(wanted):
            raise ValueError(
                f"column {shown(name)} cannot be read as {wanted!r}: types are {', '.join(TYPES)} and date:FORMAT, for "
                "example date:%d/%m/%Y"
            )
    if label is not None and label in drop:
        raise ValueError(f"{path}: the label column {shown(label)} cannot be dropped too")
    if form.decimal == "," and kind == "any":
        kind = "mixed"
    for part in parts_of(path):
        check_regular(part)
        with naming(part), part.open("rb") as file:
            if not file.read(1):
                raise ValueError(f"{part}: the file is empty")
    with naming(path):
        options = ReadOptions(label, tuple(drop), dict(types or {}), kind, min_rows, form, usual or {}, limit)
        return format_.read(path, options)


def read_numbers(
    path: str | Path, label: str | None = None, *, min_rows: int = 2, form: CsvForm = DEFAULT_FORM
) -> Numbers:
    """Reads a table of numbers without missing values; see `read_table`."""
    return read_table(path, label, kind="numbers", min_rows=min_rows, form=form).numbers
