"""Trials before a fit: held-out rows choose the axes of the numbers, and the number of epochs for small tables.

A network that sees principal axes is more precise if numbers determine each other, and one that sees single numbers if
they are rounded. Small tables need the epochs of larger ones or many more, since the lowest loss of some twenty
held-out rows may come too early by chance.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from pointillist.diffusion.tokens.mixed_likelihood import NumberError
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE
from pointillist.engine.mapping import map_rows
from pointillist.engine.training import FEW_HELD_OUT_ROWS
from pointillist.models.masked import masked_of
from pointillist.models.plan import Plan, rows_to_hold_out
from pointillist.models.process import Learned
from pointillist.models.training import train

TRIAL: dict[str, Any] = {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 5}
STEPS_PER_CHECK = 150
"""Settings of the trial of the number of epochs: the held-out rows, and the patience of early stopping."""

STEPS = 300
"""Number of steps of the trial of each kind of axes, out of 8,000 in a training on many rows."""

MOST_COMPARED = 4000
"""Largest number of held-out rows whose errors are compared."""


def run_trials(
    plan: Plan, *, is_shown: bool = False, most_epochs: int | None = None, most_seconds: float | None = None
) -> Plan:
    """Returns a plan with the axes and epochs that are best for held-out rows, where the plan leaves them open.

    The trial of the number of epochs has at most `most_epochs`, by default the plan's limit, and takes at most
    `most_seconds`.
    """
    if plan.alternative is not None:
        plan = _with_better_axes(plan, is_shown=is_shown)
    if plan.trial is None:
        return plan
    training = replace(plan.training, **TRIAL, epochs=most_epochs or plan.trial.longest)
    trial = replace(_held_out(plan), training=training, steps_per_check=STEPS_PER_CHECK)
    deadline = None if most_seconds is None else time.monotonic() + most_seconds
    best = train(trial, is_shown=is_shown, what="trial of the length: loss", deadline=deadline).best_epochs
    return replace(plan, training=replace(plan.training, epochs=plan.trial.epochs(best)), trial=None)


def epochs_of_axes_trial(plan: Plan) -> int:
    """Returns the number of epochs of the trial of each kind of axes."""
    return -(-STEPS // plan.steps)


def _with_better_axes(plan: Plan, *, is_shown: bool) -> Plan:
    """The plan with the process whose network has the lower error on held-out rows."""
    epochs = epochs_of_axes_trial(plan)
    settled = replace(plan, alternative=None)
    if epochs >= plan.shard_epochs or plan.alternative is None:
        return settled
    trial = replace(_held_out(settled), training=replace(plan.training, epochs=epochs))
    error, alternative_error = (
        _error(replace(trial, process=process), is_shown=is_shown) for process in (plan.process, plan.alternative)
    )
    # NaN is never lower.
    return replace(settled, process=plan.alternative) if alternative_error < error else settled


def _held_out(plan: Plan) -> Plan:
    """A plan with held-out rows. Some others repeat, so that their number, and the compiled program, stay the same."""
    n = plan.shard_size
    held_out = rows_to_hold_out(len(plan.rows), None, 0, replace(plan.training, **TRIAL), plan.seed)
    kept = np.delete(np.arange(len(plan.rows)), held_out)
    kept = kept[np.arange(n) * len(kept) // n]
    rows = plan.rows[np.concatenate([kept, held_out])]
    return replace(plan, rows=rows, held_out=np.arange(n, n + len(held_out)), trial=None)


def _error(plan: Plan, *, is_shown: bool) -> float:
    process, network = plan.process.finished(train(plan, is_shown=is_shown, what="trial of axes: loss").network)
    learned = Learned(plan.codec, process, network, None)
    denoiser = masked_of(learned).unguided_denoiser(learned, has_observed=False)
    n = len(plan.held_out)
    rows, _ = plan.encoded(plan.held_out[np.arange(min(n, MOST_COMPARED)) * n // min(n, MOST_COMPARED)])
    return float(map_rows(NumberError(denoiser, SCHEDULE), rows, is_brief=len(rows) <= FEW_HELD_OUT_ROWS).mean())
