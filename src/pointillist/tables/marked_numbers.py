"""Removes marks from numbers: decimal commas, thousands separators, percent signs and currencies."""

from typing import Any

from pointillist.foreign_text import shown
from pointillist.lazy import pa, pc

_SYMBOLS = "%$€£¥₹₩₽₺"
_SPACES = "'’ \u00a0\u202f"
"""Thousands separators besides points and commas."""

_MAYBE = rf"^[+-]?[{_SYMBOLS}]?[{_SPACES}]?[+-]?[0-9.,][0-9.,{_SPACES}]*[{_SYMBOLS}]?$"


def unmarked(name: str, given: "pa.ChunkedArray", decimal: str | None) -> tuple[Any, str, str] | None:
    """Returns a function that removes the marks, the decimal mark, and an example; None if the texts are not numbers.

    A comma marks decimals if all texts fit this reading, and thousands if all fit that one.

    Args:
        name: Name of the column.
        given: Texts without white space around them, none of them null.
        decimal: The decimal mark, "." or ",", if it is known.

    Raises:
        ValueError: If all texts fit both readings.
    """
    if not all_match(given, _MAYBE) or len(pc.unique(pc.replace_substring_regex(given, f"[^{_SYMBOLS}]", ""))) != 1:
        return None
    bare = _bare(given)
    fits = {".": all_match(bare, _number(",", r"\.")), ",": all_match(bare, _number(r"\.", ","))}
    found = [mark for mark, fit in fits.items() if fit and decimal in (None, mark)]
    if not found:
        return None
    with_comma = given.filter(pc.match_substring(bare, ","))
    if len(found) == 2 and len(with_comma):
        raise ValueError(
            f"column {shown(name)} holds numbers such as {shown(with_comma[0].as_py())}, whose comma may mark decimals "
            "or thousands: give --decimal , or --decimal ."
        )
    mark = found[0]

    def plain(text: Any) -> Any:
        group = "," if mark == "." else "."
        digits = pc.replace_substring_regex(_bare(text), f"[{_SPACES}]", "")
        return pc.replace_substring(pc.replace_substring(digits, group, ""), ",", ".")

    first = given[0].as_py()
    return plain, mark, f"{shown(name)} ({shown(first)} is {plain(given[:1])[0].as_py().removeprefix('+')})"


def in_thousands(given: "pa.ChunkedArray") -> str | None:
    """Returns a number whose points may separate thousands, if all numbers with points allow that; None otherwise."""
    with_point = given.filter(pc.match_substring(given, "."))
    fits = len(with_point) and all_match(with_point, r"^[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+$")
    return with_point[0].as_py() if fits else None


def _number(group: str, decimal: str) -> str:
    thousands = "|".join(rf"[1-9][0-9]{{0,2}}(?:{each}[0-9]{{3}})+" for each in (group, f"[{_SPACES}]"))
    return rf"^[+-]?(?:(?:{thousands}|[0-9]+)(?:{decimal}[0-9]*)?|{decimal}[0-9]+)$"


def _bare(text: Any) -> Any:
    """Removes symbols, and white space next to them."""
    return pc.replace_substring_regex(text, rf"[{_SPACES}]?[{_SYMBOLS}][{_SPACES}]?", "")


def all_match(text: Any, pattern: str) -> bool:
    """Whether all texts contain a match of a pattern."""
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())
