"""Tables of mixed columns from and to `.csv`, `.csv.gz` and `.parquet` files."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointillist.files import check_place, naming, whole_file
from pointillist.points.columns import check_distinct, check_enough, listed, shown
from pointillist.points.csv_files import missing_words
from pointillist.points.mixed import MixedTable, kind_of
from pointillist.points.tables import ending_of

if TYPE_CHECKING:
    import pyarrow as pa


def read_mixed(path: Path, label: str | None = None, *, drop: Sequence[str] = (), min_rows: int = 2) -> MixedTable:
    """Reads a table whose columns may be of any kind, with missing cells, into memory.

    Of a `.csv` file Arrow infers the types: whole numbers, numbers, truth values, dates (2024-12-31), times, else text;
    empty cells and those that say NA, NaN or null are missing.

    Args:
        path: A `.csv`, `.csv.gz` or `.parquet` file.
        label: The column that holds labels.
        drop: Columns to leave out.
        min_rows: The fewest rows that will do.

    Raises:
        ValueError: In one line, if the file cannot be read as such a table.
        OSError: If it cannot be opened.
    """
    ending = ending_of(path)
    if ending == ".npy":
        raise ValueError(f"{path}: an .npy file holds numbers alone: give a .csv or .parquet file")
    with naming(path):
        table = _parquet(path) if ending == ".parquet" else _csv(path)
    check_distinct(table.column_names, path)
    for name in (*drop, *([] if label is None else [label])):
        if name not in table.column_names:
            raise ValueError(f"{path}: there is no column {shown(name)}; the columns are {listed(table.column_names)}")
    if label in drop:
        raise ValueError(f"{path}: the label column {shown(str(label))} cannot be dropped too")
    table = table.drop_columns(list(drop)) if drop else table
    if not table.num_columns:
        raise ValueError(f"{path}: has no column left")
    check_enough(table.num_rows, path, min_rows)
    for field in table.schema:
        if not kind_of(field.type):
            raise ValueError(
                f"{path}: column {shown(field.name)} holds {field.type}, which is no number, category or date: drop it"
            )
    return MixedTable(table, label)


def _csv(path: Path) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    from pointillist.points.csv_files import unreadable

    try:
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(null_values=missing_words(), strings_can_be_null=True),
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(error, path) from error
    table = table.rename_columns([name.strip() for name in table.column_names])
    # A column of missing cells alone has no type.
    return table.cast(pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]))


def _parquet(path: Path) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not a whole Parquet file ({shown(' '.join(str(error).split()))})") from error


class MixedWriter:
    """Writes Arrow tables as they come; the file appears whole when the block ends without an error, or not at all.

    Args:
        path: A `.csv`, `.csv.gz` or `.parquet` file.
        schema: Of the tables.

    Raises:
        ValueError: If the format cannot hold it.
        OSError: If the file cannot be written.
    """

    def __init__(self, path: Path, schema: "pa.Schema") -> None:
        self._path, self._ending = path, ending_of(path)
        if self._ending == ".npy":
            raise ValueError(f"{path}: an .npy file holds numbers alone: give a .csv or .parquet file")
        self._schema = schema if self._ending == ".parquet" else _as_text(schema)
        check_place(path)

    def __enter__(self) -> "MixedWriter":
        import pyarrow as pa
        from pyarrow import csv, parquet

        with naming(self._path), ExitStack() as stack:
            part = stack.enter_context(whole_file(self._path))
            writer: Any
            if self._ending == ".parquet":
                writer = parquet.ParquetWriter(part, self._schema)
            else:
                compression = "gzip" if self._ending == ".csv.gz" else None
                sink = stack.enter_context(pa.output_stream(str(part), compression=compression))
                options = csv.WriteOptions(quoting_style="needed")
                writer = csv.CSVWriter(sink, self._schema, write_options=options)
            self._writer = stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        with naming(self._path):
            self._stack.__exit__(*raised)

    def write(self, table: "pa.Table") -> None:
        """Adds rows."""
        self._writer.write_table(table.cast(self._schema))


def _as_text(schema: "pa.Schema") -> "pa.Schema":
    """Types that CSV can be written of: categories as what they stand for."""
    import pyarrow as pa

    fields = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema]
    return pa.schema(fields)
