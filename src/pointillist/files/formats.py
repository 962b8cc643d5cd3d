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

from pointillist.files.csv_format import NOTHING_SAID, CsvForm

if TYPE_CHECKING:
    from pointillist.tables.table import Table

_MODULES = {".npy": "npy_files", ".csv": "csv_files", ".csv.gz": "csv_files", ".parquet": "parquet_files"}
"""The module of each ending, whose `FORMAT` reads and writes such files. It is imported when it is used."""

READABLE = tuple(_MODULES)
"""Endings of the files that `read_table` reads and `TableWriter` writes."""

FREE, MOST = 2**29, 100
"""A file may unpack to this many bytes, or to this multiple of its size if that is more; packed text is 3 to 20
times smaller."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a file; see `read_table`."""

    label: str | None = None
    drop: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["any", "numbers", "mixed"] = "any"
    min_rows: int = 2
    form: CsvForm = NOTHING_SAID

    @property
    def tries_numbers(self) -> bool:
        """Whether columns that all hold numbers are read as rows of numbers."""
        return self.kind != "mixed" and not self.drop and not self.types

    @property
    def names(self) -> list[str]:
        """The columns that are named, each of which the file must have."""
        return [*self.drop, *self.types, *([] if self.label is None else [self.label])]


Write = Callable[[Sequence[Any]], object]
"""Adds rows to a file, given as columns of the right types, each of m cells."""


class Format(ABC):
    """A format of files that hold tables.

    Attributes:
        has_types: Whether a file says of what type each column is; if not, all cells are text.
        holds_text: Whether columns may hold anything but numbers and booleans, with missing cells.
    """

    has_types: ClassVar[bool] = True
    holds_text: ClassVar[bool] = True

    @abstractmethod
    def names(self, path: Path, form: CsvForm) -> list[str]:
        """Names of the columns of a file; none if the format has no names, or the file cannot be read."""

    @abstractmethod
    def read(self, path: Path, asked: Asked) -> "Table":
        """Reads a file that is not empty; raises a ValueError, in one line, if it holds no such table."""

    @abstractmethod
    def writing(
        self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int
    ) -> AbstractContextManager[Write]:
        """Begins a file, which is whole once the context ends without an error.

        Args:
            path: Its path, whose ending may decide whether it is compressed.
            file: The file, open for writing; whoever opened it closes it.
            names: Names of the columns.
            types: Types of the columns, by NumPy's names, "str", or Arrow's types.
            n: Number of rows that will be written.
        """


def format_of(path: Path) -> Format:
    """The format of a file, by its name's ending; raises a ValueError if that is not in `READABLE`."""
    for ending, module in _MODULES.items():
        if path.name.endswith(ending):
            return import_module(f"pointillist.files.{module}").FORMAT
    raise ValueError(f"{path}: the file's name must end in one of {', '.join(READABLE)}")


def check_expansion(path: Path, size: int, packed: int, way_out: str) -> None:
    """Raises a ValueError, with a way out, if a file of some bytes unpacks to far more than its own size."""
    if size > FREE and size > MOST * packed:
        raise ValueError(
            f"{path}: unpacks to {size / max(1, packed):,.0f} times its size of {packed:,} bytes, which no ordinary "
            f"table does: {way_out}"
        )
