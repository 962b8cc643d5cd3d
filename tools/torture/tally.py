"""Counts of what was tried, handled and failed."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field


class Failed(Exception):
    """Raised by a case that was not handled; the message says what happened instead."""


@dataclass
class Row:
    """One row of the table.

    Attributes:
        name: What was tried.
        handled: Number of cases that ended as they should.
        failures: What happened in each of the others.
        skipped: Why nothing was tried; empty if something was.
    """

    name: str
    handled: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def tried(self) -> int:
        """Number of cases."""
        return self.handled + len(self.failures)


class Acceptance:
    """All rows, in the order in which they were begun.

    Args:
        say: Where each failure and each finished row is told.
    """

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.rows: dict[str, Row] = {}
        self._say = say

    def case(self, name: str, what: str, check: Callable[[], object]) -> None:
        """Counts one case of a row: as failed if its check raises anything, or returns anything but None or True."""
        row = self.rows.setdefault(name, Row(name))
        try:
            answer = check()
            if answer is not None and answer is not True:
                raise Failed(f"the check gave {answer!r:.200}")
        except Exception as error:
            text = str(error) if isinstance(error, Failed) else traceback.format_exc()
            row.failures.append(f"{what}: {text}")
            self._say(f"FAILED  {name}: {what}: {text}")
        else:
            row.handled += 1

    def skip(self, name: str, why: str) -> None:
        """Says that a row is left out, loudly."""
        self.rows[name] = Row(name, skipped=why)
        self._say(f"*** SKIPPED: {name.upper()}: {why}")

    @property
    def failed(self) -> int:
        """Number of failed cases in all rows."""
        return sum(len(row.failures) for row in self.rows.values())

    def table(self) -> str:
        """The rows as a table of Markdown."""
        lines = ["| what | tried | handled | failed |", "|---|---|---|---|"]
        for row in self.rows.values():
            if row.skipped:
                lines.append(f"| {row.name} | skipped: {row.skipped} | | |")
            else:
                lines.append(f"| {row.name} | {row.tried} | {row.handled} | {len(row.failures)} |")
        return "\n".join(lines)
