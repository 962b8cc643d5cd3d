"""Rules that the rows of a table obey: declared by the user, or found in the training rows, and restored in new ones.

The functions here declare rules for `Diffusion(rules=[…])`.
"""

from pointillist.rules.combinations import fixed_combinations, one_hot
from pointillist.rules.declared import ignore
from pointillist.rules.expressions import expression
from pointillist.rules.generated import personal, unique
from pointillist.rules.inequalities import bounds, ordered, positive
from pointillist.rules.multiples import increments
from pointillist.rules.products import product
from pointillist.rules.sums import total

__all__ = [
    "bounds",
    "expression",
    "fixed_combinations",
    "ignore",
    "increments",
    "one_hot",
    "ordered",
    "personal",
    "positive",
    "product",
    "total",
    "unique",
]
