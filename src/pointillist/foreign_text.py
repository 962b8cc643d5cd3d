"""Text that is not trusted, on its way out: names and cells of data, titles and labels of a store.

A place where text goes has characters that mean something there. One function for each such place makes them mean
nothing. HTML is made by templates that escape all text by themselves, and JSON in it by `page.parts.as_json`.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text


def printable(text: str) -> str:
    """Escapes control characters the way Python's `repr` does, so that text cannot send a terminal escape sequences.

    Line breaks are escaped too, so that the text stays on one line.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def terminal_text(text: str, style: str = "", breaks: Mapping[str, str] = MappingProxyType({})) -> "Text":
    """Makes text for a terminal: escape sequences and Rich's markup in it are shown, not obeyed.

    Args:
        text: The text.
        style: Style of the text, for Rich.
        breaks: Replacements for some of its parts that shorten the lines.
    """
    from rich.text import Text

    text = printable(text)
    for part, broken in breaks.items():
        text = text.replace(part, broken)
    return Text(text, style=style)


def figure_text(text: str, longest: int | None = None) -> str:
    """Escapes text for Matplotlib: on one line, cut to `longest` characters, with dollars that start no formula."""
    text = printable(text)
    if longest is not None and len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return text.replace("$", r"\$")


def legend_text(text: str) -> str:
    """Escapes text for a legend of Matplotlib, which leaves out what begins with an underscore."""
    text = figure_text(text)
    return f" {text}" if text.startswith("_") else text


def markdown_text(text: str) -> str:
    """Escapes text for Markdown: it stays in its cell, and is neither HTML, a link, code nor bold."""
    return re.sub(r"[\\|\[`*]|<(?=[A-Za-z/!?])", r"\\\g<0>", printable(text))


def csv_cell(value: object) -> object:
    """Makes a cell of CSV that no spreadsheet takes for a formula; numbers, and text of numbers, stay as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_BEGIN_FORMULAS) and not is_numeral(text) else text


_BEGIN_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""How formulas begin, the wide forms of East Asian keyboards included."""


def is_numeral(text: str) -> bool:
    """Whether text is that of a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


_SHOWN = 10
_LONGEST_SHOWN = 40


def shown(text: str) -> str:
    """Quotes text from a file for use in a message: on one line, shortened if it is long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")


def listed(names: Sequence[str]) -> str:
    """Lists the first few names, and says how many more there are."""
    first = ", ".join(shown(name)[1:-1] for name in names[:_SHOWN])
    return first if len(names) <= _SHOWN else f"{first} and {len(names) - _SHOWN} more"
