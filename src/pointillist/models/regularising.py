"""Regularisation of small tables: for how long to train, chosen by the loss of held-out rows.

Some tables of a few hundred rows are learned in the number of epochs that is enough for larger ones; for others, it is
a small part of what they need. So the network is trained on most of the rows until the loss of the others has not
fallen for a while, and then anew on all rows, for as many epochs as it took to reach the lowest loss, but not for fewer
than larger tables have at most: the lowest loss of some twenty rows comes too early by chance.
"""

from dataclasses import replace

import numpy as np

from pointillist.models.plan import Plan, Stopping, rows_to_hold_out
from pointillist.models.training import train

TRIAL = Stopping(validation_fraction=0.2, n_iter_no_change=5, steps_per_check=150)
"""The held-out rows, and how long their loss may rise before the trial ends."""

LONGEST = 3
"""Longest trial, as a multiple of the epochs that a larger table has at most."""


def regularised(plan: Plan, *, is_shown: bool = False) -> Plan:
    """Returns a plan with the number of epochs that held-out rows are best served by, if it is to have that.

    Args:
        plan: The plan.
        is_shown: Whether to show a progress bar.
    """
    if not plan.has_trial:
        return plan
    n = len(plan.rows)
    held_out = rows_to_hold_out(n, None, 0, TRIAL, plan.seed)
    # As many rows as the plan has, some of them twice, so that one compiled program trains both networks.
    kept = np.resize(np.delete(np.arange(n), held_out), n)
    trial = replace(
        plan,
        rows=plan.rows[np.concatenate([kept, held_out])],
        held_out=np.arange(n, n + len(held_out)),
        stopping=TRIAL,
        epochs=LONGEST * plan.most_default_epochs,
        has_trial=False,
    )
    best = train(trial, is_shown=is_shown).best_epochs
    return replace(plan, epochs=max(best, plan.most_default_epochs), has_trial=False)
