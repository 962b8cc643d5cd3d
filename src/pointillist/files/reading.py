"""Reads and checks tables from files of every format, with one clear line for every error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pointillist.atomic_files import check_regular, naming
from pointillist.files.csv_format import NOTHING_SAID, CsvForm
from pointillist.files.formats import Asked, format_of
from pointillist.files.texts import TYPES
from pointillist.foreign_text import shown
from pointillist.tables.numbers import Numbers
from pointillist.tables.table import Table


def read_table(
    path: str | Path,
    label: str | None = None,
    *,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    kind: Literal["any", "numbers", "mixed"] = "any",
    min_rows: int = 2,
    form: CsvForm = NOTHING_SAID,
) -> Table:
    """Reads a table: rows of numbers where possible, and otherwise columns of any kind.

    A `.npy` file holds an array of two dimensions, or of three: (n, tokens, width), which is flattened to
    (n, tokens x width). A `.csv` file, compressed or not, is text: a header line, and below it the cells. White space
    around names and values is ignored, and so are empty lines, except between the values of a single column, where they
    are missing values. A header of numbers alone is refused unless it is 0, 1, 2, …, as the file may have no header
    (see `form`); so is one that looks like a row. A column holds integers only if all its values in the file are
    written as integers; `pointillist.files.texts` has the other rules. The columns of a `.parquet` file have types.
    Nothing in a file is executed: arrays of Python objects are refused.

    Rows of numbers of more than `SPOOL_ABOVE` bytes are not held in memory but mapped from a temporary file. Rows of a
    float64 `.npy` file are mapped from the file itself, which must then not change while they are in use.

    Args:
        path: The file.
        label: The column that holds labels: its name, or for a `.npy` file its number, from 0, or from -1 backwards.
            Beside rows of numbers, labels are numbers, booleans or text. Labels of a `.csv` file are text if one of
            them is not written as a number would be, such as 007; "NA" in quotes is text too.
        drop: Names of columns to leave out.
        types: Maps names of columns to "text", "integer", "number" or "date", where a column is not what it looks like.
        kind: "numbers" if anything but numbers without missing values is an error; "mixed" if numbers alone become
            columns of any kind too, except those of a `.npy` file.
        min_rows: Fewest rows that the file must have.
        form: What is known of the form of a `.csv` file: delimiter, encoding, decimal mark, header.

    Raises:
        ValueError: If the file cannot be read as such a table; the message is one line and counts rows from 1.
        OSError: If the file cannot be opened, or the temporary file cannot be written.

    Warns:
        UserWarning: If marks such as a percent sign or a decimal comma are removed from numbers, if a few cells make a
            column text, or if the times of a column have different offsets from UTC.
    """
    path = Path(path)
    format_ = format_of(path)
    if form != NOTHING_SAID and format_.has_types:
        raise ValueError(
            f"{path}: only a CSV file has a delimiter, an encoding, a decimal mark or no header: leave them out"
        )
    for name, wanted in (types or {}).items():
        if wanted not in TYPES:
            raise ValueError(f"column {shown(name)} cannot be read as {wanted!r}: types are {', '.join(TYPES)}")
    if label is not None and label in drop:
        raise ValueError(f"{path}: the label column {shown(label)} cannot be dropped too")
    if form.decimal == "," and kind == "any":
        kind = "mixed"
    check_regular(path)
    with naming(path):
        with path.open("rb") as file:
            if not file.read(1):
                raise ValueError(f"{path}: the file is empty")
        return format_.read(path, Asked(label, tuple(drop), dict(types or {}), kind, min_rows, form))


def read_numbers(
    path: str | Path, label: str | None = None, *, min_rows: int = 2, form: CsvForm = NOTHING_SAID
) -> Numbers:
    """Reads a table of numbers without missing values; see `read_table`."""
    return read_table(path, label, kind="numbers", min_rows=min_rows, form=form).numbers
