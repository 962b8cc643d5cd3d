"""What held-out rows choose before a fit: along which axes numbers are seen, and for how long small tables are trained.

Where numbers determine each other, a network that sees them along their principal axes is more precise; where they are
rounded or lie on a grid, one that sees each by itself. A part of the training with each shows which it is.

Some tables of a few hundred rows are learned in the number of epochs that is enough for larger ones; for others, it is
a small part of what they need. So the network is trained on most of the rows until the loss of the others has not
fallen for a while, and then anew on all rows, for as many epochs as it took to reach the lowest loss, but not for fewer
than larger tables have at most: the lowest loss of some twenty rows comes too early by chance.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE
from pointillist.diffusion.tokens.number_error import NumberError
from pointillist.engine.mapping import map_rows
from pointillist.engine.training import FEW
from pointillist.models.masked import masked_of
from pointillist.models.plan import Plan, rows_to_hold_out
from pointillist.models.process import Learned
from pointillist.models.training import train

TRIAL: dict[str, Any] = {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 5}
STEPS_PER_CHECK = 150
"""The held-out rows, and how long their loss may rise before the trial of the number of epochs ends."""

LONGEST = 3
"""Longest such trial, as a multiple of the epochs that a larger table has at most."""

STEPS = 300
"""Number of steps of the trial of each kind of axes: few beside the 8,000 of a training on many rows."""

MOST_COMPARED = 4000
"""Most held-out rows of which errors are compared."""


def tried(plan: Plan, *, is_shown: bool = False) -> Plan:
    """Returns a plan with the axes and the number of epochs that serve held-out rows best, if it leaves them open.

    Args:
        plan: The plan.
        is_shown: Whether to show progress bars.
    """
    if plan.alternative is not None:
        plan = _with_better_axes(plan, is_shown=is_shown)
    if not plan.has_trial:
        return plan
    training = replace(plan.training, **TRIAL, epochs=LONGEST * plan.most_default_epochs)
    trial = replace(_held_out(plan), training=training, steps_per_check=STEPS_PER_CHECK)
    best = train(trial, is_shown=is_shown, what="trial of the length: loss").best_epochs
    return replace(_with_epochs(plan, max(best, plan.most_default_epochs)), has_trial=False)


def _with_better_axes(plan: Plan, *, is_shown: bool) -> Plan:
    """A plan with the process, of two, whose network has the lower error on held-out rows."""
    epochs = -(-STEPS // plan.steps)
    settled = replace(plan, alternative=None)
    if epochs >= plan.shard_epochs or plan.alternative is None:
        return settled
    trial = _with_epochs(_held_out(settled), epochs)
    own, others = (
        _error(replace(trial, process=process), is_shown=is_shown) for process in (plan.process, plan.alternative)
    )
    # An error that is not a number is not lower.
    return replace(settled, process=plan.alternative) if others < own else settled


def _with_epochs(plan: Plan, epochs: int) -> Plan:
    return replace(plan, training=replace(plan.training, epochs=epochs))


def _held_out(plan: Plan) -> Plan:
    """A plan of as many rows, some of them twice, without some that are held out: one program trains both."""
    n = plan.shards.size
    held_out = rows_to_hold_out(len(plan.rows), None, 0, replace(plan.training, **TRIAL), plan.seed)
    kept = np.delete(np.arange(len(plan.rows)), held_out)
    kept = kept[np.arange(n) * len(kept) // n]
    rows = plan.rows[np.concatenate([kept, held_out])]
    return replace(plan, rows=rows, held_out=np.arange(n, n + len(held_out)), has_trial=False)


def _error(plan: Plan, *, is_shown: bool) -> float:
    """The error of a trained network of all numbers on the held-out rows."""
    process, network = plan.process.finished(train(plan, is_shown=is_shown, what="trial of axes: loss").network)
    learned = Learned(plan.codec, process, network, None)
    denoiser = masked_of(learned).number_denoiser(learned, has_observed=False)
    n = len(plan.held_out)
    rows, _ = plan.seen(plan.held_out[np.arange(min(n, MOST_COMPARED)) * n // min(n, MOST_COMPARED)])
    return float(map_rows(NumberError(denoiser, SCHEDULE), rows, is_brief=len(rows) <= FEW).mean())
