"""Formats of dates and times in text: found for a whole column, and kept in new rows.

Formats are written as in `strftime`, with `%-d` for a day without a leading zero (also `%-m`, `%-H`, `%-I`), `%s`
for seconds and `%Q` for milliseconds since 1970. Arrow reads dates and times of ISO 8601, whose format is found here.
"""

import re
from functools import cache
from typing import Any

from pointillist.lazy import pa, pc
from pointillist.tables.calendar_dates import FIRST_YEAR, LAST_YEAR

DATES = (
    "%Y/%-m/%-d",
    "%Y.%-m.%-d",
    "%-d.%-m.%Y",
    "%-d.%-m.%y",
    "%-m/%-d/%Y",
    "%-d/%-m/%Y",
    "%-m/%-d/%y",
    "%-d/%-m/%y",
    "%-d-%-m-%Y",
    "%-m-%-d-%Y",
    "%b %-d, %Y",
    "%B %-d, %Y",
    "%-d %b %Y",
    "%-d %B %Y",
    "%-d-%b-%Y",
    "%Y-%m",
)
"""Formats of dates. Of two that differ only in the order of day and month and fit all cells, the first is taken."""

CLOCKS = "%-H:%M", "%-H:%M:%S", "%-I:%M %p", "%-I:%M:%S %p"
"""Formats of times of day."""

BETWEEN = " ", "T", ", "
"""Text between a date and a time."""

DIGITS = "%d%m%Y", "%m%d%Y"
"""Formats of dates of eight digits; `calendar_dates` treats 20240320."""

SINCE_1970 = {"%s": "s", "%Q": "ms"}
"""Formats of times as integers, with their unit."""

FIRST_SECOND, LAST_SECOND = 946_684_800, 2_524_607_999
"""First and last second of the years 2000 to 2049, in which integers are read as times if a column's name says so."""

FEW = 2
"""Most different values of a column of eight digits that is not read as dates."""

_TIME_WORDS = {"time", "timestamp", "datetime", "date", "epoch", "unix", "ts", "at", "created", "updated", "modified"}

_PARTS = {
    "%Y": r"\d{4}",
    "%y": r"\d\d",
    "%B": "January|February|March|April|May|June|July|August|September|October|November|December",
    "%b": "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec",
    "%m": r"0[1-9]|1[0-2]",
    "%-m": r"0?[1-9]|1[0-2]",
    "%d": r"0[1-9]|[12]\d|3[01]",
    "%-d": r"0?[1-9]|[12]\d|3[01]",
    "%H": r"[01]\d|2[0-3]",
    "%-H": r"[01]?\d|2[0-3]",
    "%I": r"0[1-9]|1[0-2]",
    "%-I": r"0?[1-9]|1[0-2]",
    "%M": r"[0-5]\d",
    "%S": r"[0-5]\d",
    "%p": "AM|PM",
    "%s": r"-?\d{1,11}",
    "%Q": r"-?\d{1,14}",
}
"""Patterns of the parts of a format."""

_ZONE = r"Z|[+-]\d\d:?\d\d"
_DAY, _MINUTE, _SECOND, _ISO_ZONE = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d", r":\d\d(?:\.\d+)?", r"Z|[+-]\d\d(?::?\d\d)?"
_ISO = re.compile(rf"(?:({_DAY})([ T]))?{_MINUTE}({_SECOND})?({_ISO_ZONE})?")
_MARK = "\x01"

LONGEST = 40
"""Most characters of a format."""


def is_format(form: str) -> bool:
    """Whether a text is a format of dates or times that can be read and written, each part at most once."""
    parts = [part.replace("-", "") for part in re.findall(r"%-?.", form)]
    are_known = all(part in _PARTS for part in re.findall(r"%-?.?", form))
    is_day = bool({*parts} & {"%Y", "%y"}) and bool({*parts} & {"%m", "%b", "%B"})
    is_clock = "%M" in parts and bool({*parts} & {"%H", "%I"})
    return (
        are_known
        and len(form) <= LONGEST
        and form.isprintable()
        and len({*parts}) == len(parts)
        and (is_day or is_clock or form in SINCE_1970)
        and ("%I" in parts) == ("%p" in parts)
    )


def has_day(form: str) -> bool:
    """Whether a format has a date, rather than only a time of day."""
    return form in SINCE_1970 or re.search("%[Yy]", form) is not None


def has_clock(form: str) -> bool:
    """Whether a format has a time of day."""
    return form in SINCE_1970 or "%M" in form


def all_match(text: Any, pattern: str) -> bool:
    """Whether all texts contain a match of a pattern."""
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def iso_format(present: Any) -> str | None:
    """Returns the format of all texts of times of ISO 8601; None if formats differ, or for the usual one."""
    found = _ISO.fullmatch(present[0].as_py())
    if found is None:
        return None
    day, between, seconds, zone = (part or "" for part in found.groups())
    pattern = f"{_DAY + between if day else ''}{_MINUTE}{_SECOND if seconds else ''}{re.escape(zone)}"
    if (seconds and between != "T" and zone in ("", "Z")) or not all_match(present, f"^{pattern}$"):
        return None
    return f"{'%Y-%m-%d' + between if day else ''}%H:%M{':%S' if seconds else ''}{zone}"


def zone_of(present: Any) -> str | None:
    """Returns Arrow's name of the offset of all times of ISO 8601 from UTC; None if they have none, or several."""
    found = re.search(rf"(?:{_ISO_ZONE})$", present[0].as_py())
    return _zone(found[0]) if found is not None and all_match(present, f"{re.escape(found[0])}$") else None


def _zone(offset: str) -> str:
    digits = offset.replace(":", "")
    return "UTC" if offset == "Z" else f"{digits[:3]}:{digits[3:] or '00'}"


def in_format(text: Any, form: str) -> tuple[Any, str] | None:
    """Reads texts as dates or times of a format; nulls stay null.

    Args:
        text: The texts.
        form: The format; `%d` also matches a day without a leading zero if no other reading of the format fits.

    Returns:
        The dates or times, and the format in which new ones are written: numbers have leading zeros unless a text has
        a number without one. None if the format does not fit every text.
    """
    text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    for each in dict.fromkeys((form, re.sub("%([dmHI])", r"%-\1", form))):
        parts = pc.extract_regex(text, f"^{_pattern(each).pattern}$")
        if parts.null_count == text.null_count:
            try:
                return _moments(parts, each), _padded(parts, each)
            except pa.ArrowInvalid:
                return None
    return None


def format_of(name: str, text: Any) -> tuple[Any, str, str | None] | None:
    """Finds the format of a column of texts.

    Returns:
        The dates or times, the format, and a second format that fits as well but gives other dates (None without one).
        None if no format fits all texts.
    """
    first = text.drop_null()[0].as_py()
    if len(first) > LONGEST or not re.search(r"\d", first):
        return None
    if re.fullmatch(r"\d+", first):
        forms = [*DIGITS] if len(first) == 8 else [*SINCE_1970] if _is_time_name(name) else []
    else:
        days = [*DATES, *(f"{day}{between}{clock}" for day in DATES for between in BETWEEN for clock in CLOCKS)]
        zone = re.search(rf"(?:{_ZONE})$", first)
        forms = [f"{form}{end}" for end in ("", *([zone[0]] if zone else [])) for form in (*days, *CLOCKS)]
    found = []
    for form in forms:
        if _pattern(form).fullmatch(first) and (read := in_format(text, form)) and _is_plausible(read[0], form):
            found.append(read)
    if not found:
        return None
    moments, form = found[0]
    other = next((other for values, other in found[1:] if not values.equals(moments)), None)
    return moments, form, other


def written(column: Any, form: str) -> "pa.StringArray":
    """Formats dates and times, with seconds if any time has them."""
    if form in SINCE_1970:
        return pc.cast(pc.cast(pc.cast(column, pa.timestamp(SINCE_1970[form])), pa.int64()), pa.string())
    if "%M" in form and "%S" not in form and pc.any(pc.not_equal(pc.second(column), 0)).as_py():
        form = form.replace("%M", "%M:%S")
    formatted = pc.strftime(column, re.sub("%-(.)", rf"{_MARK}%\1", form))
    return pc.replace_substring_regex(formatted, f"{_MARK}0?", "") if "%-" in form else formatted


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """The regular expression of a format, with a group for each part, named by its letter."""
    tokens = re.split(r"(%-?[A-Za-z])", form)
    groups = [f"(?P<{token[-1]}>{_PARTS[token]})" if i % 2 else re.escape(token) for i, token in enumerate(tokens)]
    return re.compile("".join(groups), re.ASCII)


def _padded(parts: Any, form: str) -> str:
    """The format with leading zeros, in the parts where all texts have them."""
    for letter in re.findall("%-([dmHI])", form):
        if pc.min(pc.utf8_length(pc.struct_field(parts, letter))).as_py() == 2:
            form = form.replace(f"%-{letter}", f"%{letter}")
    return form


def _moments(parts: Any, form: str) -> Any:
    """Dates, times of day, or both; raises an Arrow error if a day does not exist."""
    part = {letter: pc.struct_field(parts, letter) for letter in re.findall("%-?([A-Za-z])", form)}
    if form in SINCE_1970:
        return pc.cast(pc.cast(part[form[1:]], pa.int64()), pa.timestamp(SINCE_1970[form]))
    day = _iso_day(part) if has_day(form) else pa.scalar("1970-01-01")
    if not has_clock(form):
        return pc.cast(day, pa.date32())
    hour = part.get("H")
    if hour is None:
        half = pc.if_else(pc.equal(part["p"], "PM"), 12, 0)
        number = pc.cast(part["I"], pa.int32())
        hour = pc.cast(pc.add(pc.if_else(pc.equal(number, 12), 0, number), half), pa.string())
    clock = [pc.utf8_lpad(hour, 2, "0"), part["M"], part.get("S", "00")]
    found = pc.cast(pc.binary_join_element_wise(day, pc.binary_join_element_wise(*clock, ":"), " "), pa.timestamp("s"))
    zone = re.search(rf"(?:{_ZONE})$", re.sub("%-?[A-Za-z]", " ", form))
    if not has_day(form):
        return pc.cast(found, pa.time32("s"))
    return found if zone is None else pc.assume_timezone(found, _zone(zone[0]))


def _iso_day(part: dict[str, Any]) -> Any:
    """Dates as texts, for example 2024-03-20."""
    year = part.get("Y")
    if year is None:
        century = pc.if_else(pc.greater_equal(part["y"], "69"), "19", "20")
        year = pc.binary_join_element_wise(century, part["y"], "")
    month = part.get("m")
    if month is None:
        letter = "B" if "B" in part else "b"
        names = pa.array(_PARTS[f"%{letter}"].split("|"))
        month = pc.cast(pc.add(pc.index_in(part[letter], names), 1), pa.string())
    day = part.get("d", pa.scalar("01"))
    return pc.binary_join_element_wise(year, pc.utf8_lpad(month, 2, "0"), pc.utf8_lpad(day, 2, "0"), "-")


def _is_plausible(moments: Any, form: str) -> bool:
    """Whether dates written in digits alone are dates and not other numbers."""
    present = moments.drop_null()
    if form in SINCE_1970:
        seconds = pc.cast(present, pa.timestamp("s"), safe=False)
        ends = [pa.scalar(end, pa.timestamp("s")) for end in (FIRST_SECOND, LAST_SECOND)]
        return bool(pc.all(pc.and_(pc.greater_equal(seconds, ends[0]), pc.less_equal(seconds, ends[1]))).as_py())
    years = pc.min_max(pc.year(present)).as_py() if form in DIGITS else {"min": FIRST_YEAR, "max": LAST_YEAR}
    is_varied = form not in DIGITS or len(present.unique()) > FEW
    return is_varied and years["min"] >= FIRST_YEAR and years["max"] <= LAST_YEAR


def _is_time_name(name: str) -> bool:
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    return not _TIME_WORDS.isdisjoint(words)
