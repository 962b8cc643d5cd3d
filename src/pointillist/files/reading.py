"""Reads and checks rows from `.npy`, `.csv`, `.csv.gz` and `.parquet` files, with one clear line for every error."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pointillist.atomic_files import check_regular, naming
from pointillist.files.csv_files import read_csv
from pointillist.files.csv_format import NOTHING_SAID, CsvForm
from pointillist.files.endings import ending_of
from pointillist.files.mixed_files import read_mixed
from pointillist.files.npy_files import read_npy
from pointillist.files.parquet_files import read_parquet, unnamed_index
from pointillist.tables.number_table import NotNumbers, Table
from pointillist.tables.table import MixedTable


def read_table(path: str | Path, label: str | None = None, *, min_rows: int = 2, form: CsvForm = NOTHING_SAID) -> Table:
    """Reads a table of numbers in one pass.

    A `.npy` file holds an array of two dimensions, or of three: (n, tokens, width), which is flattened to
    (n, tokens x width). A `.csv` file, compressed or not, is text: a header line, and below it numbers, or true
    and false. White space around names and values is ignored, and so are empty lines, except between the values of a
    single column, where they are missing values. A header of numbers alone is refused unless it is 0, 1, 2, …, as the
    file may have no header (see `form`). A column holds integers only if all its values in the file are
    written as integers. The columns of a `.parquet` file are numbers or booleans.
    Nothing in a file is executed: arrays of Python objects are refused.

    Rows of more than `SPOOL_ABOVE` bytes are not held in memory but mapped from a temporary file. Rows of a float64
    `.npy` file are mapped from the file itself, which must then not change while they are in use.

    Args:
        path: The file.
        label: The column that holds labels, which are numbers, booleans or text: its name, or for a `.npy` file its
            number, from 0, or from -1 backwards. Labels of a `.csv` file are text if one of them is not written as a
            number would be, such as 007; "NA" in quotes is text too.
        min_rows: Fewest rows that the file must have.
        form: What is known of the form of a `.csv` file: delimiter, encoding, decimal mark, header.

    Returns:
        The rows without the labels, and the labels.

    Raises:
        ValueError: If the file cannot be read as such a table; the message is one line and counts rows from 1.
        OSError: If the file cannot be opened, or the temporary file cannot be written.
    """
    path = Path(path)
    ending = ending_of(path)
    check_regular(path)
    with naming(path):
        with path.open("rb") as file:
            empty = not file.read(1)
        if empty:
            raise ValueError(f"{path}: the file is empty")
        if ending.startswith(".csv"):
            return read_csv(path, label, min_rows, form)
        return (read_npy if ending == ".npy" else read_parquet)(path, label, min_rows)


def read_any(
    path: str | Path,
    label: str | None = None,
    *,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    is_mixed: bool = False,
    min_rows: int = 2,
    form: CsvForm = NOTHING_SAID,
) -> Table | MixedTable:
    """Reads a table of numbers where possible, and otherwise one of mixed columns.

    Args:
        path: The file.
        label: The column that holds labels; see `read_table`.
        drop: Names of columns to leave out.
        types: Maps names of columns to "text", "integer", "number" or "date", where a column is not what it looks like.
        is_mixed: Whether numbers alone become mixed columns too; a `.npy` file holds numbers in any case.
        min_rows: Fewest rows that the file must have.
        form: What is known of the form of a `.csv` file: delimiter, encoding, decimal mark, header.

    Raises:
        ValueError: If the file cannot be read as such a table; the message is one line.
        OSError: If it cannot be opened.

    Warns:
        UserWarning: If marks such as a percent sign or a decimal comma are taken off numbers.
    """
    path = Path(path)
    if form != NOTHING_SAID and not ending_of(path).startswith(".csv"):
        raise ValueError(
            f"{path}: only a CSV file has a delimiter, an encoding, a decimal mark or no header: leave them out"
        )
    is_mixed = is_mixed or form.decimal == ","
    if ending_of(path) == ".parquet":
        drop = [*drop, *(name for name in unnamed_index(path) if name != label and name not in (types or ()))]
    if not drop and not types and (not is_mixed or path.suffix == ".npy"):
        try:
            return read_table(path, label, min_rows=min_rows, form=form)
        except NotNumbers:
            if path.suffix == ".npy":
                raise
    return read_mixed(path, label, drop=drop, types=types, min_rows=min_rows, form=form)
