"""Rules for what a text in a file means: a boolean, a number, a date, a missing cell, or the text itself.

A column holds booleans, integers, numbers or dates if all its cells that are not missing do, ignoring white space
around them. A column of integers is text if one of them begins with a zero, for example the postal code 02139. Words
like NA mean a missing cell. In quotes they are text, and so is an empty cell, except in a column that otherwise
holds numbers or dates. Numbers may have decimal commas, thousands separators, and a percent sign or a currency if all
of them have the same one; `pointillist.tables.text_formats` removes these marks.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.foreign_text import shown
from pointillist.lazy import pa, pc
from pointillist.tables.calendar_dates import are_dates
from pointillist.tables.date_formats import SINCE_1970, all_match, format_of, in_format, is_format, iso_format, zone_of
from pointillist.tables.text_formats import decimal_of, in_thousands, number_form, unmarked
from pointillist.tables.unlearnable import few_words, hardly_repeat

MISSING = ["", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "null", "nan", "-nan"]
MISSING += ["1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"]
"""Words that mean a missing cell, in lower case."""

NONE = "None"
"""A word that means a missing cell in exactly this spelling, as in pandas."""

BOOLEANS = ("true", "false")
TYPES = ("text", "integer", "number", "date")
"""Types that a user may declare for a column of a file; also "date:" with a format."""

_MARKS = "columns are read as numbers without their marks", "fit --type COLUMN=text keeps one as text"
_WORDS = (
    "columns are read as categories because some cells are not numbers",
    "clear these cells if they are missing; fit --type COLUMN=text silences this line",
)
_SINCE_1970 = "integers are read as times since 1970", "fit --type COLUMN=integer keeps them"
_AMBIGUOUS = "dates may have day and month in either order", "fit --type COLUMN=date:%d/%m/%Y decides"
_OFFSETS = "times have several offsets from UTC and are read as UTC", "fit --type COLUMN=text keeps one as text"


@dataclass
class Notes:
    """Notes on the columns of a file.

    Attributes:
        warnings: Names of columns, each with an example, by the text of the warning and the way out.
        commas: Names of columns in which commas mark decimals, and points thousands.
        points: Columns of numbers whose points may separate thousands, and an example of each.
        forms: Formats of numbers with marks, and of dates and times other than those of ISO 8601, by column.
    """

    warnings: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    commas: list[str] = field(default_factory=list)
    points: dict[str, str] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)

    def add(self, what: tuple[str, str], example: str) -> None:
        """Adds a column, with an example, to a warning."""
        self.warnings.setdefault(what, []).append(example)

    def check(self) -> None:
        """Raises a ValueError if the points of a column may mark decimals, or thousands as in another column."""
        for name, example in self.points.items() if self.commas else ():
            raise ValueError(
                f"column {shown(name)} holds numbers such as {shown(example)}, whose point may mark decimals, or "
                f"thousands as in column {shown(self.commas[0])}: give --decimal , or "
                f"fit --type {shown(f'{name}=number')}"
            )


_NUMBER_PATTERN = r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf(inity)?))"
_NUMBER = f"^{_NUMBER_PATTERN}$"
NUMBER = re.compile(_NUMBER_PATTERN, re.ASCII)
INTEGER = r"^[+-]?[0-9]+$"
CODE = r"^[+-]?0[0-9]"
"""Pattern for the start of integers that are codes rather than numbers."""

_LABEL_CODE = re.compile(r"\+|-0$|[+-]?0[0-9]")
"""The same for labels, which are names: +1 differs from 1."""


@cache
def missing_words() -> list[str]:
    """Lists `MISSING` in all mixtures of lower and upper case, and `NONE`."""
    return [NONE, *("".join(letters) for text in MISSING for letters in product(*({c, c.upper()} for c in text)))]


def _is_word_for_missing(text: Any) -> Any:
    return pc.or_(pc.is_in(pc.ascii_lower(text), pa.array(MISSING)), pc.equal(text, NONE))


def without_missing(column: Any) -> Any:
    """Makes cells of a column of text null if they hold a word for a missing cell with white space around it.

    Arrow distinguishes NA from "NA", which is text, but not if there are spaces around it.
    """
    text = pc.ascii_trim_whitespace(column)
    is_missing = pc.and_(pc.not_equal(text, column), _is_word_for_missing(text))
    return pc.if_else(is_missing, pa.scalar(None, column.type), column)


def parsed(text: "pa.StringArray") -> Float[np.ndarray, " m"]:
    """Parses numbers without white space around them; NaN where a text is not a number."""
    return _floats(text).to_numpy(zero_copy_only=False)


def _floats(text: Any) -> Any:
    """Parses numbers; null where a text is not a number."""
    try:
        return pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        # Arrow does not report which value it could not read, and does not read a plus sign.
        plain = pc.replace_substring_regex(text, r"^\+", "")
        is_number = pc.match_substring_regex(text, _NUMBER)
        return pc.cast(pc.if_else(is_number, plain, pa.scalar(None, text.type)), pa.float64())


def are_integers(text: Any) -> bool:
    """Whether all texts are integers of any size."""
    try:
        # Four times as fast as the pattern.
        pc.cast(text, pa.int64())
    except pa.ArrowInvalid:
        return all_match(text, INTEGER)
    # Arrow reads 0x1F as 31.
    return not pc.any(pc.match_substring(text, "x", ignore_case=True)).as_py()


def are_codes(text: Any) -> bool:
    """Whether any of the integers begins with a zero."""
    return bool(pc.any(pc.match_substring_regex(text, CODE)).as_py())


def label_values(texts: list[str]) -> np.ndarray:
    """Converts distinct labels to integers, booleans or numbers if all of them are written so; else returns texts."""
    stripped = [text.strip(" \t\n\r\v\f") for text in texts]
    if all(text.lower() in BOOLEANS for text in stripped):
        return np.array([text.lower() == "true" for text in stripped])
    if any(_LABEL_CODE.match(text) for text in stripped):
        return np.array(texts)
    if all(re.match(INTEGER, text) for text in stripped):
        values = [int(text) for text in stripped]
        # Integers beyond int64 are names rather than numbers.
        return np.array(values if max(values) < 2**63 and min(values) >= -(2**63) else texts)
    if all(NUMBER.fullmatch(text) for text in stripped):
        numbers = np.array([float(text) for text in stripped])
        return numbers if np.isfinite(numbers).all() else np.array(texts)
    return np.array(texts)


def typed(
    name: str,
    column: "pa.ChunkedArray",
    wanted: str | None = None,
    *,
    is_label: bool = False,
    decimal: str | None = None,
    notes: Notes | None = None,
    usual: str | None = None,
) -> Any:
    """Converts a column of text, null where cells are missing, to an Arrow array of the type that fits all cells.

    Args:
        name: Name of the column.
        column: Its cells as text.
        wanted: The declared type, for which `is_type` is true; None for the type that fits all cells.
        is_label: Whether the column holds labels.
        decimal: The decimal mark, "." or ",", if it is known.
        notes: Receives the format of its dates, and notes on the column: marks were removed from its numbers, a few
            cells that are not numbers make it text, its times have different offsets, or its dates are ambiguous.

        usual: Format of other rows of the table, which decides where the cells fit several.

    Raises:
        ValueError: If a cell is not of the declared type, an integer is beyond 64 bits, or a comma is ambiguous.
    """
    column, notes = without_missing(column), notes or Notes()
    if wanted == "text":
        return column
    text = pc.ascii_trim_whitespace(column)
    text = pc.if_else(_is_word_for_missing(text), pa.scalar(None, text.type), text)
    present = text.drop_null()
    is_text_label = (
        is_label and wanted is None and label_values(column.drop_null().unique().to_pylist()).dtype.kind == "U"
    )
    if not len(present) or is_text_label:
        return column
    is_date = wanted is not None and wanted.startswith("date")
    if usual is not None and wanted is None and (read := in_format(text, usual)) is not None:
        notes.forms[name] = usual
        return read[0]
    if not is_date and not is_label:
        mark = None if usual is None else decimal_of(usual)
        text, present = _without_marks(name, text, present, decimal, mark, notes, is_number=wanted == "number")
    found = _as_declared(name, text, present, wanted, notes) if wanted else _as_inferred(name, text, present, notes)
    if found is None:
        different = present.unique()
        if not hardly_repeat(len(different), len(present)) and (few := few_words(different.to_pylist())):
            notes.add(_WORDS, f"{shown(name)} ({shown(few[0])})")
    elif getattr(found.type, "tz", None) == "UTC" and name not in notes.forms and not all_match(present, "Z$"):
        notes.add(_OFFSETS, f"{shown(name)} ({shown(present[0].as_py())})")
    return column if found is None else found


def _without_marks(
    name: str, text: Any, present: Any, decimal: str | None, usual: str | None, notes: Notes, *, is_number: bool
) -> tuple[Any, Any]:
    """Removes the marks of numbers; returns other texts unchanged."""
    is_plain = all_match(present, _NUMBER)
    if usual == "," and is_plain and in_thousands(present) is not None:
        decimal = decimal or usual
    # A point marks decimals, despite --decimal , in a column that is declared to hold numbers.
    if is_plain and (decimal != "," or is_number):
        example = None if decimal or is_number else in_thousands(present)
        notes.points |= {} if example is None else {name: example}
        return text, present
    found = unmarked(name, present, decimal, usual)
    if found is None:
        with_point = present.filter(pc.match_substring(present, "."))
        if is_plain and len(with_point):
            raise ValueError(
                f"column {shown(name)} holds {shown(with_point[0].as_py())}, whose point cannot separate thousands, as "
                f"--decimal , says: leave that out, or fit --type {shown(f'{name}=number')} if it marks decimals"
            )
        return text, present
    plain, mark, example = found
    notes.commas += [name] if mark == "," else []
    if not plain(present).equals(present):
        notes.add(_MARKS, example)
    if (form := number_form(present, mark)) is not None:
        notes.forms[name] = form
    return plain(text), plain(present)


def is_type(wanted: str) -> bool:
    """Whether a user may declare a type: one of `TYPES`, or "date:" with a format."""
    return wanted in TYPES or (wanted.startswith("date:") and is_format(wanted.removeprefix("date:")))


def _as_declared(name: str, text: Any, present: Any, wanted: str, notes: Notes) -> Any:
    if wanted.startswith("date:"):
        read = in_format(text, wanted.removeprefix("date:"))
        if read is None:
            raise ValueError(f"column {shown(name)} cannot be read as {wanted}, as not every cell has this format")
        notes.forms[name] = read[1]
        return read[0]
    if wanted == "date":
        found = _dates(name, text, present, notes)
        found = _dates_of_format(name, text, notes, is_declared=True) if found is None else found
        if found is None:
            raise ValueError(f"column {shown(name)} cannot be read as {wanted}, as not every cell is a date or time")
        return found
    found = _integers(name, text, present) if wanted == "integer" else _numbers(text, present)
    if found is None:
        bad = present.filter(pc.invert(pc.match_substring_regex(present, INTEGER if wanted == "integer" else _NUMBER)))
        raise ValueError(f"column {shown(name)} cannot be read as {wanted}: {shown(bad[0].as_py())} is not")
    return found


def _as_inferred(name: str, text: Any, present: Any, notes: Notes) -> Any:
    first = present[0].as_py()
    if first.lower() in BOOLEANS:
        lower = pc.ascii_lower(text)
        return pc.equal(lower, "true") if pc.all(pc.is_in(lower.drop_null(), pa.array(BOOLEANS))).as_py() else None
    if NUMBER.fullmatch(first):
        if not are_integers(present):
            return _numbers(text, present)
        is_calendar = all_match(present, r"^[0-9]{8}$") and are_dates(parsed(present))
        found = None if is_calendar else _dates_of_format(name, text, notes)
        return found if found is not None or are_codes(present) else _integers(name, text, present)
    found = _dates(name, text, present, notes) if re.match(r"\d{1,4}[-:]", first) else None
    return _dates_of_format(name, text, notes) if found is None else found


def _dates_of_format(name: str, text: Any, notes: Notes, *, is_declared: bool = False) -> Any:
    """Parses the texts as dates of a format other than ISO 8601; None if no format fits all."""
    found = format_of("time" if is_declared else name, text)
    if found is None:
        return None
    moments, notes.forms[name], other = found
    if not is_declared and notes.forms[name] in SINCE_1970:
        notes.add(_SINCE_1970, shown(name))
    if other is not None:
        notes.add(_AMBIGUOUS, f"{shown(name)} (read as {notes.forms[name]}, but {other} fits too)")
    return moments


def _integers(name: str, text: Any, present: Any) -> Any:
    """Parses the texts as integers; None if one is not an integer."""
    if not are_integers(present):
        return None
    try:
        # Arrow does not read a plus sign.
        return pc.cast(pc.replace_substring_regex(text, r"^\+", ""), pa.int64())
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"column {shown(name)} holds integers beyond 64 bits, which would be rounded: drop the column, divide it, "
            f"or read it as text (fit --type {shown(f'{name}=text')})"
        ) from error


def _numbers(text: Any, present: Any) -> Any:
    """Parses the texts as numbers; None if one is not a number."""
    found = _floats(text)
    return found if len(found) - found.null_count == len(present) else None


def _dates(name: str, text: Any, present: Any, notes: Notes) -> Any:
    """Parses the texts as dates, times or both of ISO 8601, in the coarsest unit; None if one is none of these.

    Dates such as 20240320 become integers.
    """
    if all_match(present, r"^[0-9]{8}$") and are_dates(parsed(present)):
        return pc.cast(text, pa.int64())
    kinds = [pa.timestamp(unit) for unit in ("s", "us", "ns")]
    is_time = re.match(r"\d\d:", present[0].as_py())
    if is_time:
        # Arrow reads times of day only with a date.
        text = pc.binary_join_element_wise("1970-01-01", text, " ")
    else:
        kinds = [pa.date32(), *kinds, *(pa.timestamp(kind.unit, "UTC") for kind in kinds)]
    for kind in kinds:
        try:
            found = pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
        if (form := iso_format(present)) is not None:
            notes.forms[name] = form
        if is_time:
            return found.cast(pa.time32("s") if kind.unit == "s" else pa.time64(kind.unit))
        zone = zone_of(present) if getattr(kind, "tz", None) else None
        return found if zone is None else found.cast(pa.timestamp(kind.unit, zone))
    return None
