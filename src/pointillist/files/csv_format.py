"""How a CSV file is written: what separates its fields, its encoding, and what marks decimals."""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DELIMITERS = (",", ";", "\t", "|")
"""Delimiters that are recognised, in the order of preference."""

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the mark that a file begins with; that of UTF-16 begins that of UTF-32."""

_LOOKED_AT = 100

_DECIMAL = r"[+-]?[0-9.]*,[0-9]+"
"""A number with a decimal comma."""


@dataclass(frozen=True)
class CsvForm:
    """What a user says of the form of a CSV file; None for what the file shows.

    Attributes:
        delimiter: The character between fields; None for the one of `DELIMITERS` that fits the first rows.
        encoding: Python's name of the encoding; None for that of the byte order mark, or UTF-8.
        decimal: "." or ",", which marks decimals; the other one then marks thousands.
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


NOTHING_SAID = CsvForm()
"""The form of a file about which the user says nothing."""


def encoding_of(start: bytes, form: CsvForm) -> str:
    """Returns the given encoding, or that of the byte order mark of a file, or UTF-8, as Arrow spells it."""
    found = next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), "utf-8")
    name = codecs.lookup(form.encoding or found).name
    return "utf8" if name in ("utf-8", "utf-8-sig") else name


def opened(path: Path) -> "gzip.GzipFile | io.BufferedReader":
    """Opens a file for reading, unpacked."""
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")


def delimiter_of(lines: Sequence[str], *, is_all: bool) -> str:
    """Finds the delimiter of a table from its first lines, line ends included; the first line is not empty.

    It is the first of `DELIMITERS` by which all rows have as many fields as the header, and more than one; a comma if
    there is none. Commas that the fields between semicolons have as decimal marks of numbers are no delimiters.
    """
    records = {each: _records(each, lines, is_all=is_all) for each in DELIMITERS}
    found = [each for each, own in records.items() if own and len(own[0]) > 1 and len({len(row) for row in own}) == 1]
    if {",", ";"} <= set(found) and all(
        re.fullmatch(_DECIMAL, field.strip()) for row in records[";"] for field in row if "," in field
    ):
        found.remove(",")
    return found[0] if found else ","


def _records(delimiter: str, lines: Sequence[str], *, is_all: bool) -> list[list[str]]:
    """The first rows, without the empty ones; none if they cannot be read."""
    records: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            records += [record] if record else []
            if len(records) > _LOOKED_AT:
                break
    except csv.Error:
        return []
    # A quote may be open at the end of what was looked at.
    return records if is_all or len(records) < 2 else records[:-1]


def has_alternate_zeros(start: bytes) -> bool:
    """Whether bytes look like UTF-16 without a mark: every other one is 0."""
    return len(start) > 3 and (not any(start[0:64:2]) or not any(start[1:64:2]))
