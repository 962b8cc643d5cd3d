"""How results are shown: reports, tables for the terminal, numbers as text, and JSON values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from pointillist.foreign_text import terminal_text
from pointillist.metrics import Estimate

REPORT_WIDTH = 120
"""Number of characters in a line of a report as text."""


class Reported(ABC):
    """A result that is printed, and shown in a notebook, as its report."""

    verdict: Any

    @abstractmethod
    def print_on(self, console: Console) -> None:
        """Print the report on a console."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verdict!r})"

    def __str__(self) -> str:
        """Return the report as plain text."""
        return self._printed().export_text()

    def _repr_html_(self) -> str:
        """Return the report for a notebook."""
        return self._printed().export_html(inline_styles=True, code_format="<pre>{code}</pre>")

    def _printed(self) -> Console:
        console = Console(file=StringIO(), width=REPORT_WIDTH, record=True, force_jupyter=False)
        self.print_on(console)
        return console


def text_table(
    title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], caption: str | None = None
) -> Table:
    """Make a table of rows of text, the first column aligned to the left and the others to the right."""
    table = Table(
        title=terminal_text(title, "bold"),
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        table.add_column(head, justify="right")
    for cells in rows:
        table.add_row(*map(terminal_text, cells))
    return table


def percent(fraction: float, digits: int = 0) -> str:
    """Returns a fraction as a percentage, for example "52 %"."""
    return f"{100 * fraction:.{digits}f} %"


def date_text(value: float, per_day: int) -> str:
    """Format a date, a number since 1970 that grows by `per_day` in a day, as year, month and day."""
    return str(np.datetime64(int(value // per_day), "D"))


def number_text(value: float, per_day: int | None) -> str:
    """Format a value of a column, a date if `per_day` is given, for a drawing."""
    if per_day is not None:
        return date_text(value, per_day)
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.3g}"


def rounded(estimate: float | str) -> str:
    """Format an estimate with the decimals that show one digit of its standard error, two if the first is 1 or 2.

    Numbers without a standard error have three decimals, and text stays as it is.
    """
    if isinstance(estimate, str):
        return estimate
    if not isinstance(estimate, Estimate):
        return "–" if math.isnan(estimate) else f"{estimate:.3f}"
    error = estimate.standard_error
    if not (error > 0 and math.isfinite(error)):
        return f"{estimate:.3g}"
    decimals = min(max(math.ceil(-math.log10(error / 3)), 0), 8)
    return f"{estimate:.{decimals}f} ± {error:.{decimals}f}"


def p_text(p_value: float) -> str:
    """Format a p-value: two digits, or `<0.0001`."""
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}" if p_value < 0.1 else f"{p_value:.2f}"


def json_value(value: Any) -> Any:
    """Convert a value to JSON values, with None for numbers that are not finite."""
    if isinstance(value, Estimate):
        errors = {"standard_error": value.standard_error, "null_standard_error": value.null_standard_error}
        return json_value({"value": float(value), **errors})
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray | list | tuple):
        return [json_value(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, SimpleNamespace):
        value = vars(value)
    elif is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    return {key: json_value(item) for key, item in value.items()} if isinstance(value, dict) else value
