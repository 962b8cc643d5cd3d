"""The form of a CSV file: delimiter, encoding, decimal mark, and whether it has a header."""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DELIMITERS = (",", ";", "\t", "|")
"""Delimiters that are recognized, in order of preference."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by byte order mark. The mark of UTF-32 comes first, because it starts with the mark of UTF-16."""

_N_RECORDS = 100
"""Number of records from which the delimiter is inferred."""

_NUMBER_WITH_COMMA = r"[+-]?[0-9.]*,[0-9]+"


@dataclass(frozen=True)
class CsvForm:
    """The form of a CSV file as the user declares it; None where the file decides.

    Attributes:
        delimiter: The character between fields; None for the one of `DELIMITERS` that fits the first rows.
        encoding: Python's name of the encoding; None for the encoding of the byte order mark, or UTF-8.
        decimal: The decimal mark, "." or ","; the other one then separates thousands.
        has_names: Whether the first line holds the names of the columns. If False, the columns are named 0, 1, 2, ….
            If None, the line must hold names, and is refused if it looks like a row.
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    has_names: bool | None = None

    def __post_init__(self) -> None:
        delimiter = self.delimiter
        if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
            raise ValueError(f"--delimiter takes one ASCII character, or tab, not {delimiter!r}")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"--decimal takes a point or a comma, not {self.decimal!r}")
        if self.encoding is not None:
            try:
                "a".encode(self.encoding)
            except (LookupError, ValueError) as error:
                raise ValueError(
                    f"--encoding takes the name of an encoding, such as latin-1, cp1252 or utf-16, not "
                    f"{self.encoding!r:.40}"
                ) from error


DEFAULT_FORM = CsvForm()
"""The form of a file about which the user declares nothing."""


def encoding_of(start: bytes, form: CsvForm) -> str:
    """Returns the declared encoding, or the one of the byte order mark, or UTF-8, as Arrow spells it."""
    found = next((encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8")
    name = codecs.lookup(form.encoding or found).name
    return "utf8" if name in ("utf-8", "utf-8-sig") else name


def opened(path: Path) -> "gzip.GzipFile | io.BufferedReader":
    """Opens a file for reading, unpacked."""
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")


def delimiter_of(lines: Sequence[str], *, is_all: bool) -> str:
    """Infers the delimiter of a table from its first lines.

    The delimiter is the first of `DELIMITERS` by which all rows have the same number of fields, more than one; a comma
    if there is none. Commas do not count as delimiters if they are decimal marks in fields between semicolons.

    Args:
        lines: The lines, with their ends; the first one is not empty.
        is_all: Whether they are the whole file.
    """
    records = {each: _records(each, lines, is_all=is_all) for each in DELIMITERS}
    found = [each for each, rows in records.items() if rows and len(rows[0]) > 1 and len({*map(len, rows)}) == 1]
    if {",", ";"} <= set(found) and all(
        re.fullmatch(_NUMBER_WITH_COMMA, field.strip()) for row in records[";"] for field in row if "," in field
    ):
        found.remove(",")
    return found[0] if found else ","


def _records(delimiter: str, lines: Sequence[str], *, is_all: bool) -> list[list[str]]:
    """Splits the first rows that are not empty; none if they cannot be read."""
    records: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            records += [record] if record else []
            if len(records) > _N_RECORDS:
                break
    except csv.Error:
        return []
    # A quote may be open at the end of these lines.
    return records if is_all or len(records) < 2 else records[:-1]
