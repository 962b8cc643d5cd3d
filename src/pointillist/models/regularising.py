"""Regularisation of small tables, chosen by held-out rows: which of some networks is trained, and for how long.

A few hundred rows are soon memorized, and how soon differs from table to table by a factor of ten. So each candidate
is trained on most of the rows until the loss of the others has not fallen for a while; the one with the lowest loss is
trained anew on all rows, for as many epochs as it took to reach that loss.
"""

from dataclasses import replace

import numpy as np

from pointillist.models.plan import Plan, Stopping, rows_to_hold_out
from pointillist.models.training import train

FEWEST_ROWS, MOST_ROWS = 20, 2000
"""Fewest and most rows of a table whose regularisation is chosen so: larger ones are not memorized by default."""

TRIAL = Stopping(validation_fraction=0.2, n_iter_no_change=5, steps_per_check=150)
"""The held-out rows, and how long their loss may rise before a trial ends."""

LONGEST = 3
"""Longest trial, as a multiple of the epochs that a larger table has at most."""

CANDIDATES = 2, 6
"""Numbers of frequencies of which one is chosen."""


def regularised(plan: Plan, *, is_shown: bool = False) -> Plan:
    """Returns a plan with the candidate whose held-out rows are likeliest, and its number of epochs.

    Args:
        plan: The plan.
        is_shown: Whether to show a progress bar.
    """
    if not plan.candidates:
        return plan
    held_out = rows_to_hold_out(len(plan.rows), None, 0, TRIAL, plan.seed)
    trial = replace(plan, held_out=held_out, stopping=TRIAL, epochs=LONGEST * plan.most_default_epochs, candidates=())
    trials = [train(replace(trial, process=process), is_shown=is_shown) for process in plan.candidates]
    best = int(np.argmin([each.validation_history.min() for each in trials]))
    return replace(plan, process=plan.candidates[best], epochs=trials[best].best_epochs, candidates=())
