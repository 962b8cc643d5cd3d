"""The table of an audit, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointillist.evaluation.report import filled, p_text, rounded
from pointillist.foreign_text import terminal_text

if TYPE_CHECKING:
    from rich.console import Console

    from pointillist.privacy.auditing import Audit
    from pointillist.privacy.rates import Rate

NAMES = {"loss": "the model's own loss"}


def print_audit(audit: Audit, console: Console) -> None:
    """Print a table of the attacks, the rows most exposed, and the verdict."""
    rows = [
        (
            NAMES.get(attack.name, attack.name),
            rounded(attack.auc),
            p_text(attack.p_value),
            *map(_rate, attack.rates),
            f"{attack.epsilon:.2f}",
        )
        for attack in audit.attacks
    ]
    title = f"Members against non-members: {audit.n_members:,} and {audit.n_non_members:,} rows"
    heads = ("AUC", "p", "found at 1 % FP", "at 10 % FP", "ε at least")
    table = filled(title, "attack", heads, rows)
    table.caption = (
        f"The first two attacks see {audit.n_drawn:,} generated rows, the third sees the model; all may compare with "
        f"{audit.n_reference:,} further non-members. AUC 0.5: members "
        "and others look alike. Found: share of the members, in brackets its 95 % interval, where so many of the "
        "non-members are taken for members (FP: false positives). ε at least: a fit with a smaller ε would be broken; "
        "all bounds hold together at the 95 % level."
    )
    console.print(table)
    if audit.is_exposed:
        shown = ", ".join(f"{row.row + 1:,}" for row in audit.exposed)
        console.print(terminal_text(f"Most exposed, as rows of the members counted from 1: {shown}."))
    console.print(terminal_text(audit.verdict, "bold"))


def _rate(rate: Rate) -> str:
    if rate.value != rate.value:
        return "too few rows"
    return "{:.1f} % ({:.1f}–{:.1f})".format(*(100 * share for share in (rate.value, *rate.interval)))
