"""Differentially private fits, and attacks that measure what a fitted model reveals about its training rows.

`audit` tries to distinguish training rows from rows that the model never saw, by three attacks of growing strength; its
result is printed as a report.
"""

from typing import TYPE_CHECKING

from pointillist.lazy import attach

if TYPE_CHECKING:
    from pointillist.privacy.attacks import Attack
    from pointillist.privacy.auditing import MIN_ROWS, Audit, audit
    from pointillist.privacy.private_fits import prepare
    from pointillist.privacy.rates import Rate

# A fit does not wait for what an audit needs.
__getattr__, __dir__ = attach(
    __name__,
    {
        ".attacks": ["Attack"],
        ".auditing": ["MIN_ROWS", "Audit", "audit"],
        ".private_fits": ["prepare"],
        ".rates": ["Rate"],
    },
)

__all__ = ["MIN_ROWS", "Attack", "Audit", "Rate", "audit", "prepare"]
