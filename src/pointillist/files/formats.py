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
        """Reads a file that is not empty; raises a ValueError, in one line, if it does not hold a table."""

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


def format_of(path: Path) -> Format:
    """Returns the format of a file by its ending; raises a ValueError if that is not in `READABLE`."""
    for ending, module in _MODULES.items():
        if path.name.endswith(ending):
            return import_module(f"pointillist.files.{module}").FORMAT
    raise ValueError(f"{path}: the file's name must end in one of {', '.join(READABLE)}")


def check_expansion(path: Path, size: int, way_out: str) -> None:
    """Raises a ValueError that ends with a way out if a file unpacks to far more bytes, `size`, than it has."""
    packed = path.stat().st_size
    if size > FREE and size > MOST * packed:
        raise ValueError(
            f"{path}: unpacks to {size / max(1, packed):,.0f} times its size of {packed:,} bytes, which no ordinary "
            f"table does: {way_out}"
        )
