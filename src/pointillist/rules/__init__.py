"""Rules that the rows of a table obey: declared by the user, or found in the training rows, and restored in new ones.

The functions here declare rules for `Diffusion(rules=[…])`.
"""

from typing import TYPE_CHECKING

from pointillist.lazy import attach

if TYPE_CHECKING:
    from pointillist.rules.declared import ignore
    from pointillist.rules.generated import personal, unique
    from pointillist.rules.inequalities import bounds, ordered, positive
    from pointillist.rules.sums import total

__getattr__, __dir__ = attach(
    __name__,
    {
        ".declared": ["ignore"],
        ".generated": ["personal", "unique"],
        ".inequalities": ["bounds", "ordered", "positive"],
        ".sums": ["total"],
    },
)

__all__ = ["bounds", "ignore", "ordered", "personal", "positive", "total", "unique"]
