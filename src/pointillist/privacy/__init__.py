"""Differentially private fits, and attacks that show what a fitted model gives away of its training rows.

`audit` tries to tell training rows from rows that the model never saw, by three attacks of growing strength, and
`print_audit` prints what they found.
"""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist.privacy.attacks import Attack
    from pointillist.privacy.auditing import MIN_ROWS, Audit, audit
    from pointillist.privacy.private_fits import prepare
    from pointillist.privacy.rates import Rate
    from pointillist.privacy.report import print_audit

# A fit does not wait for what an audit needs.
__getattr__ = getter(
    __name__,
    {
        "MIN_ROWS": "pointillist.privacy.auditing",
        "Attack": "pointillist.privacy.attacks",
        "Audit": "pointillist.privacy.auditing",
        "Rate": "pointillist.privacy.rates",
        "audit": "pointillist.privacy.auditing",
        "prepare": "pointillist.privacy.private_fits",
        "print_audit": "pointillist.privacy.report",
    },
)

__all__ = ["MIN_ROWS", "Attack", "Audit", "Rate", "audit", "prepare", "print_audit"]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
