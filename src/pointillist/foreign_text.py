"""Text that is not trusted, on its way out: names and cells of data, titles and labels of a study.

One function per destination escapes the characters that mean something there. The templates of HTML escape all text
themselves, and `page.parts.as_json` escapes JSON in HTML.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_BEGIN_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""How formulas begin, including the wide forms of East Asian keyboards."""

_SHOWN, _LONGEST_SHOWN = 10, 40
"""Most names in a list, and most characters of a text, in a message."""


def printable(text: str) -> str:
    """Escape control characters and line breaks as Python's `repr` does; a terminal could obey them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def terminal_text(text: str, style: str = "", breaks: Mapping[str, str] = MappingProxyType({})) -> "Text":
    """Make text for a terminal that shows escape sequences and Rich's markup as they are.

    `breaks` replaces parts of the text to shorten its lines.
    """
    from rich.text import Text

    text = printable(text)
    for part, broken in breaks.items():
        text = text.replace(part, broken)
    return Text(text, style=style)


def figure_text(text: str, longest: int | None = None) -> str:
    """Escape text for Matplotlib: on one line, cut to `longest` characters, with dollars that start no formula."""
    text = printable(text)
    if longest is not None and len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return text.replace("$", r"\$")


def legend_text(text: str) -> str:
    """Escape text for a legend of Matplotlib, which leaves out what begins with an underscore."""
    text = figure_text(text)
    return f" {text}" if text.startswith("_") else text


def markdown_text(text: str) -> str:
    """Escape text for a cell of a Markdown table: it is neither HTML, a link, code nor bold."""
    return re.sub(r"[\\|\[`*]|<(?=[A-Za-z/!?])", r"\\\g<0>", printable(text))


def csv_cell(value: object) -> object:
    """Make a cell of CSV that no spreadsheet takes for a formula; numbers, and text of numbers, stay as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_BEGIN_FORMULAS) and not is_numeral(text) else text


def is_numeral(text: str) -> bool:
    """Return whether text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(text: str) -> str:
    """Quote text from a file for a message: on one line, shortened if it is long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")


def listed(names: Sequence[str]) -> str:
    """List the first few names, and say how many more there are."""
    first = ", ".join(shown(name)[1:-1] for name in names[:_SHOWN])
    return first if len(names) <= _SHOWN else f"{first} and {len(names) - _SHOWN} more"
