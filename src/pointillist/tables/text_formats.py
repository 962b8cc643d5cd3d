"""Formats of text: marks of numbers and formats of times, which reading removes and new rows keep.

Marks are decimal commas, thousands separators, percent signs and currencies. A format of numbers is written as in
spreadsheets, for example `$#,##0.00`, or `#.##0,## €` for up to two decimals.
"""

import re
from typing import Any

from pointillist.foreign_text import shown
from pointillist.lazy import pa, pc
from pointillist.tables import date_formats
from pointillist.tables.date_formats import all_match, has_clock, has_day, is_format

_SYMBOLS = "%$€£¥₹₩₽₺"
_SPACES = "'’ \u00a0\u202f"
"""Thousands separators other than points and commas."""

_MAYBE = rf"^[+-]?[{_SYMBOLS}]?[{_SPACES}]?[+-]?[0-9.,][0-9.,{_SPACES}]*[{_SYMBOLS}]?$"

FORM = b"pointillist.form"
"""Metadata key of an Arrow field for the format of its cells in a CSV file."""

_NUMBER_FORM = re.compile(
    rf"(?P<before>(?:[{_SYMBOLS}][{_SPACES}]?)?)(?:#(?P<group>[.,{_SPACES}])##)?0"
    rf"(?:(?P<mark>[.,])(?P<decimals>0+|#+))?(?P<after>(?:[{_SPACES}]?[{_SYMBOLS}])?)"
)


def unmarked(
    name: str, present: "pa.ChunkedArray", decimal: str | None, usual: str | None
) -> tuple[Any, str, str] | None:
    """Returns a function that removes the marks, the decimal mark, and an example; None if the texts are not numbers.

    A comma marks decimals if all texts fit this reading, and thousands if all fit that one; if all fit both, it is as
    in `usual`, the mark of other rows of the table, or a ValueError. The texts are present and have no white space
    around them.
    """
    if not all_match(present, _MAYBE) or len(pc.unique(pc.replace_substring_regex(present, f"[^{_SYMBOLS}]", ""))) != 1:
        return None
    bare = _bare(present)
    fits = {".": all_match(bare, _number(",", r"\.")), ",": all_match(bare, _number(r"\.", ","))}
    found = [mark for mark, fit in fits.items() if fit and decimal in (None, mark)]
    if not found:
        return None
    with_comma = present.filter(pc.match_substring(bare, ","))
    if len(found) == 2 and len(with_comma) and usual is None:
        raise ValueError(
            f"column {shown(name)} holds numbers such as {shown(with_comma[0].as_py())}, whose comma may mark decimals "
            "or thousands: give --decimal , or --decimal ."
        )
    mark = usual if usual in found else found[0]

    def plain(text: Any) -> Any:
        group = "," if mark == "." else "."
        digits = pc.replace_substring_regex(_bare(text), f"[{_SPACES}]", "")
        return pc.replace_substring(pc.replace_substring(digits, group, ""), ",", ".")

    first = present[0].as_py()
    return plain, mark, f"{shown(name)} ({shown(first)} is {plain(present[:1])[0].as_py().removeprefix('+')})"


def in_thousands(present: "pa.ChunkedArray") -> str | None:
    """Returns a number whose points may separate thousands, if all numbers with points allow that; None otherwise."""
    with_point = present.filter(pc.match_substring(present, "."))
    fits = len(with_point) and all_match(with_point, r"^[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+$")
    return with_point[0].as_py() if fits else None


def _number(group: str, decimal: str) -> str:
    thousands = "|".join(rf"[1-9][0-9]{{0,2}}(?:{each}[0-9]{{3}})+" for each in (group, f"[{_SPACES}]"))
    return rf"^[+-]?(?:(?:{thousands}|[0-9]+)(?:{decimal}[0-9]*)?|{decimal}[0-9]+)$"


def _bare(text: Any) -> Any:
    """Removes symbols, and white space next to them."""
    return pc.replace_substring_regex(text, rf"[{_SPACES}]?[{_SYMBOLS}][{_SPACES}]?", "")


def number_form(present: "pa.ChunkedArray", mark: str) -> str | None:
    """Returns the format of texts of numbers with a decimal mark; None for plain numbers."""
    first = present[0].as_py()
    before = re.match(rf"[+-]?([{_SYMBOLS}][{_SPACES}]?|)", first)
    after = re.search(rf"([{_SPACES}]?[{_SYMBOLS}]|)$", first)
    bare = _bare(present)
    groups = pc.extract_regex(bare, rf"^[+-]?[0-9]+(?P<group>[^0-9{re.escape(mark)}])[0-9]").drop_null()
    group = pc.struct_field(groups.combine_chunks(), "group")[0].as_py() if len(groups) else ""
    decimals = pc.utf8_length(pc.replace_substring_regex(bare, rf"^[^{re.escape(mark)}]*{re.escape(mark)}?", ""))
    low, high = pc.min_max(decimals).as_py().values()
    ending = mark + high * ("0" if low == high else "#") if high else ""
    assert before is not None and after is not None
    form = f"{before[1]}{f'#{group}##' if group else ''}0{ending}{after[1]}"
    return None if form == "0" or re.fullmatch(r"0\.[0#]+", form) else form


def decimal_of(form: str) -> str | None:
    """Returns the decimal mark of a format of numbers; None for other formats, and if either mark fits."""
    found = _NUMBER_FORM.fullmatch(form)
    if found is None:
        return None
    return found["mark"] or {",": ".", ".": ","}.get(found["group"] or "")


def form_in(field: "pa.Field") -> str | None:
    """Returns the format in the metadata of a field; None if there is none that fits its type."""
    form, kind = (field.metadata or {}).get(FORM, b"").decode(errors="replace"), field.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        fits = _NUMBER_FORM.fullmatch(form) is not None
    else:
        is_day, is_clock = pa.types.is_date32(kind), pa.types.is_time(kind)
        fits = is_day or is_clock or pa.types.is_timestamp(kind)
        fits = fits and is_format(form) and has_day(form) != is_clock and has_clock(form) != is_day
    return form if fits else None


def forms_in(schema: "pa.Schema") -> dict[str, str]:
    """Returns the formats of columns in a CSV file that differ from the usual ones, by name."""
    found = {field.name: form_in(field) for field in schema}
    return {name: form for name, form in found.items() if form is not None}


def with_forms(table: "pa.Table", forms: dict[str, str]) -> "pa.Table":
    """Stores the format of each column in the metadata of its field."""
    fields = [
        field.with_metadata({FORM: forms[field.name]}) if field.name in forms else field for field in table.schema
    ]
    return table.cast(pa.schema(fields, table.schema.metadata))


def written(column: Any, form: str) -> "pa.StringArray":
    """Writes numbers, dates or times in a format."""
    found = _NUMBER_FORM.fullmatch(form)
    if found is None:
        return date_formats.written(column, form)
    group, decimals = found["group"] or "", found["decimals"] or ""
    marks = str.maketrans({",": group, ".": found["mark"] or "."})
    spec = f"{',' if group else ''}.{len(decimals)}f"

    def text(value: float | None) -> str | None:
        if value is None:
            return None
        digits = format(abs(value), spec if decimals or isinstance(value, float) else spec[:-3] + "d")
        if "#" in decimals:
            digits = digits.rstrip("0").rstrip(".")
        sign = "-" if value < 0 and digits.strip("0.,") else ""
        return f"{sign}{found['before']}{digits.translate(marks)}{found['after']}"

    return pa.array(map(text, column.to_pylist()), pa.string())
