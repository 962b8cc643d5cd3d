"""Finds the format of dates and times in a CSV file, and writes new rows in the same format."""

import re
from typing import Any

from pointillist.lazy import pa, pc
from pointillist.tables.marked_numbers import all_match

FORM = b"pointillist.form"
"""Metadata key of an Arrow field for the `strftime` format of its cells in a CSV file."""

_DAY, _MINUTE, _SECOND = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d", r":\d\d(?:\.\d+)?"
_OFFSET = r"Z|[+-]\d\d(?::?\d\d)?"
_MOMENT = re.compile(rf"(?:({_DAY})([ T]))?{_MINUTE}({_SECOND})?({_OFFSET})?")
_FORM = re.compile(rf"(?:%Y-%m-%d[ T])?%H:%M(?::%S)?(?:{_OFFSET})?", re.ASCII)


def form_of(given: Any) -> str | None:
    """Returns the `strftime` format of all texts of times; None if formats differ, or for the usual one."""
    found = _MOMENT.fullmatch(given[0].as_py()) if len(given) else None
    if found is None:
        return None
    day, between, seconds, offset = (part or "" for part in found.groups())
    pattern = f"{_DAY + between if day else ''}{_MINUTE}{_SECOND if seconds else ''}{re.escape(offset)}"
    if (seconds and between != "T" and offset in ("", "Z")) or not all_match(given, f"^{pattern}$"):
        return None
    return f"{'%Y-%m-%d' + between if day else ''}%H:%M{':%S' if seconds else ''}{offset}"


def offset_of(given: Any) -> str | None:
    """Returns the offset of all times from UTC, for example +02:00; None if there is none, or more than one."""
    found = re.search(rf"(?:{_OFFSET})$", given[0].as_py())
    if found is None or found[0] == "Z" or not all_match(given, f"{re.escape(found[0])}$"):
        return None
    digits = found[0].replace(":", "")
    return f"{digits[:3]}:{digits[3:] or '00'}"


def form_in(field: "pa.Field") -> str | None:
    """Returns the format in the metadata of a field; None if there is none that `form_of` returns."""
    form = (field.metadata or {}).get(FORM, b"").decode(errors="replace")
    is_moment = pa.types.is_timestamp(field.type) or pa.types.is_time(field.type)
    return form if is_moment and _FORM.fullmatch(form) else None


def with_forms(table: "pa.Table", forms: dict[str, str]) -> "pa.Table":
    """Stores the format of each column in the metadata of its field."""
    fields = [
        field.with_metadata({FORM: forms[field.name]}) if field.name in forms else field for field in table.schema
    ]
    return table.cast(pa.schema(fields, table.schema.metadata))


def written(column: "pa.Array", form: str) -> "pa.StringArray":
    """Formats dates and times, with seconds if any time has them."""
    if "%S" not in form and pc.any(pc.not_equal(pc.second(column), 0)).as_py():
        form = form.replace("%M", "%M:%S")
    return pc.strftime(column, form)
