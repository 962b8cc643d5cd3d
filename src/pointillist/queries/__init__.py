"""Queries to a fitted model: samples, conditional distributions, imputation and log-densities."""

from typing import TYPE_CHECKING

from pointillist.lazy import attach

if TYPE_CHECKING:
    from pointillist.queries.conditional import Conditional
    from pointillist.queries.sampling import SamplingRun

__getattr__, __dir__ = attach(
    __name__,
    {
        ".conditional": ["Conditional"],
        ".sampling": ["SamplingRun"],
    },
)

__all__ = ["Conditional", "SamplingRun"]
