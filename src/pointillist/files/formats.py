"""The formats of files that hold tables: each is a module with a reader and a writer.

A new format needs a module with a `FORMAT`, a line of `_MODULES`, and a row of `docs/reference/column-types.md`.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pointillist.files.csv_format import DEFAULT_FORM, CsvForm

if TYPE_CHECKING:
    from pointillist.tables.row_sampling import RowLimit
    from pointillist.tables.table import Table

_MODULES = {
    ".npy": "npy_files",
    **dict.fromkeys((".csv", ".csv.gz", ".tsv", ".txt"), "csv_files"),
    ".parquet": "parquet_files",
}
"""The module of each ending. Its `FORMAT` reads and writes such files. It is imported on first use."""

READABLE = tuple(_MODULES)
"""Endings of the files that `read_table` reads and `TableWriter` writes."""

FREE, MOST = 2**29, 100
"""A file may unpack to this many bytes, or to this multiple of its size if that is more; packed text is 3 to 20
times smaller."""


@dataclass(frozen=True)
class ReadOptions:
    """The arguments of `read_table` except the path."""

    label: str | None = None
    drop: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["any", "numbers", "mixed"] = "any"
    min_rows: int = 2
    form: CsvForm = DEFAULT_FORM
    usual: Mapping[str, str] = field(default_factory=dict)
    limit: "RowLimit | None" = None


Write = Callable[[Sequence[Any]], object]
"""Adds rows to a file, given as columns of the right types, each with m cells."""


class Format(ABC):
    """A format of files that hold tables.

    Attributes:
        has_types: Whether a file stores the types of its columns; otherwise all cells are text.
        holds_text: Whether columns may hold more than numbers and booleans, and missing cells.
    """

    has_types: ClassVar[bool] = True
    holds_text: ClassVar[bool] = True

    @abstractmethod
    def names(self, path: Path, form: CsvForm) -> list[str]:
        """Returns the names of a file's columns; none if the format has no names, or the file cannot be read."""

    @abstractmethod
    def read(self, path: Path, options: ReadOptions) -> "Table":
        """Reads a file that is not empty, or files; raises a ValueError, in one line, if they do not hold a table."""

    @abstractmethod
    def writing(
        self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int
    ) -> AbstractContextManager[Write]:
        """Starts a file, which is complete once the context ends without an error.

        Args:
            path: Its path, whose ending may decide whether it is compressed.
            file: The file, open for writing; the caller closes it.
            names: Names of the columns.
            types: Types of the columns: NumPy's names, "str", or Arrow types.
            n: Number of rows that will be written.
        """


def parts_of(path: Path) -> list[Path]:
    """Returns the files of a table, sorted by name: all in a folder, all that match a pattern with `*`, or one.

    Raises:
        ValueError: If there is none, or if their names do not end alike.
    """
    if "*" not in path.name and not path.is_dir():
        return [path]
    found = path.parent.glob(path.name) if "*" in path.name else path.iterdir()
    parts = sorted(each for each in found if each.is_file() and not each.name.startswith((".", "_")))
    endings = {ending_of(each) for each in parts}
    if not parts or len(endings) > 1 or endings <= {None, ".npy"}:
        listed = ", ".join(sorted(str(each) for each in endings)) or "none"
        raise ValueError(f"{path}: must hold files of one format, CSV or Parquet, but their endings are: {listed}")
    return parts


def is_table(path: Path) -> bool:
    """Whether a path names a table, by its ending, or a folder or a pattern of files."""
    return "*" in path.name or path.is_dir() or ending_of(path) is not None


def ending_of(path: Path) -> str | None:
    """Returns the ending of a file that can be read; None for other files."""
    return next((ending for ending in _MODULES if path.name.endswith(ending)), None)


def format_of(path: Path) -> Format:
    """Returns the format of a file, or of the files of a folder, by the ending.

    Raises:
        ValueError: If the ending is not in `READABLE`.
    """
    ending = ending_of(path) or ending_of(parts_of(path)[0])
    if ending is None:
        raise ValueError(f"{path}: the file's name must end in one of {', '.join(READABLE)}")
    return import_module(f"pointillist.files.{_MODULES[ending]}").FORMAT


def check_expansion(path: Path, size: int, way_out: str) -> None:
    """Raises a ValueError that ends with a way out if a table unpacks to far more bytes, `size`, than it has."""
    packed = sum(part.stat().st_size for part in parts_of(path))
    if size > FREE and size > MOST * packed:
        raise ValueError(
            f"{path}: unpacks to {size / max(1, packed):,.0f} times its size of {packed:,} bytes, which no ordinary "
            f"table does: {way_out}"
        )
