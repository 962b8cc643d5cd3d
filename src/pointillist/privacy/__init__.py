"""Asks what a fitted model gives away of the rows that it was fitted to, by attacking it.

`audit` tries to tell training rows from rows that the model never saw, by three attacks of growing strength, and
`print_audit` prints what they found.
"""

from pointillist.privacy.attacks import Attack
from pointillist.privacy.auditing import MIN_ROWS, Audit, audit
from pointillist.privacy.rates import Rate
from pointillist.privacy.report import print_audit

__all__ = ["MIN_ROWS", "Attack", "Audit", "Rate", "audit", "print_audit"]
