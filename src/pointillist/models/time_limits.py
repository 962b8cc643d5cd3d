"""A time limit for a fit: measures the speed of training, and shortens a plan that would take longer."""

import time
import warnings
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL
from pointillist.models.plan import Plan
from pointillist.models.training import trainer_of
from pointillist.models.trials import epochs_of_axes_trial, run_trials
from pointillist.progress import waiting

RESERVED_SECONDS, RESERVED_FRACTION = 3.0, 0.03
"""Time after training, for the summary of the rows and the model file: seconds, and a fraction of the limit."""

MARGIN = 1.05
"""How much longer training may take than measured."""

MEASURED_FRACTION = 0.03
"""Fraction of the time left over which the speed is measured."""

MOST_FOR_AXES = 0.25
"""Largest fraction of the time left for the trial of axes."""

NARROW_BELOW = 0.1
"""Fraction of the epochs below which a network of tokens gets half its default width. On Adult (20,000 rows), width 128
has a held-out log-likelihood that is 0.3 nats higher than width 256 after the same time, which is 4 of 60 epochs."""

MOST_FOR_COMPILING = 0.25
"""Largest fraction of the time left for compiling the narrower network."""

CHECKS = 1.2
"""How much longer epochs of the trial of the length take, because held-out rows are checked."""


@dataclass(frozen=True)
class TimeLimit:
    """The time that a fit may take.

    Attributes:
        started: Start of the fit, by `time.monotonic`.
    """

    minutes: float
    started: float

    @property
    def deadline(self) -> float:
        """When training has to be over, by `time.monotonic`."""
        return self.started + 60 * self.minutes * (1 - RESERVED_FRACTION) - RESERVED_SECONDS

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()


def plan_within(plan: Plan, limit: TimeLimit, *, is_shown: bool = False, has_default_width: bool = False) -> Plan:
    """Runs the trials of a plan, and returns a plan whose training ends within a time limit.

    With `has_default_width`, the width may be halved. A UserWarning in one line says what was given up for the limit,
    and a ValueError if not even one epoch ends in time.
    """
    with waiting(Console(stderr=True), "measuring the speed of training", is_shown=is_shown):
        compiling, seconds = _speed(plan, limit)
        given_up, most_trial_epochs = [], None
        is_slow = limit.left / (MARGIN * seconds) < NARROW_BELOW * plan.shard_epochs
        can_compile = compiling < MOST_FOR_COMPILING * limit.left
        if is_slow and can_compile and has_default_width and plan.codec.encoding.n_tokens:
            alternative = None if plan.alternative is None else _narrowed(plan.alternative)
            plan = replace(plan, process=_narrowed(plan.process), alternative=alternative)
            given_up.append(f"width {plan.process.architecture.width}")
            compiling, seconds = _speed(plan, limit)
    seconds_of_axes = 2 * (compiling + epochs_of_axes_trial(plan) * seconds)
    if plan.alternative is not None and limit.left * MOST_FOR_AXES < seconds_of_axes:
        plan = replace(plan, alternative=None)
        given_up.append("no trial of the axes of numbers")
    margin = MARGIN
    if plan.trial is not None:
        # Training takes a multiple of the trial's time.
        margin = MARGIN * plan.trial.multiple
        most_trial_epochs = min(plan.trial.longest, int(limit.left / (seconds * (CHECKS + margin))))
        if plan.trial.multiple * most_trial_epochs < plan.trial.fewest:
            plan = replace(plan, trial=None)
            given_up.append("no trial of the number of epochs")
    most_seconds = limit.left * CHECKS / (CHECKS + margin)
    plan = run_trials(plan, is_shown=is_shown, most_epochs=most_trial_epochs, most_seconds=most_seconds)
    wanted, possible = plan.shard_epochs, int(limit.left / (MARGIN * seconds))
    if possible < 1:
        least = time.monotonic() - limit.started + MARGIN * seconds + RESERVED_SECONDS
        least_minutes = 1.2 * least / (60 * (1 - RESERVED_FRACTION))
        raise ValueError(
            f"max_minutes={limit.minutes:g} (--minutes) is too short for this table: give at least {least_minutes:.2g}"
        )
    if possible < wanted:
        n_shards = plan.n_shards
        if possible >= n_shards:
            plan = replace(plan, training=replace(plan.training, epochs=possible // n_shards))
            given_up.insert(0, f"{possible // n_shards} of {wanted // n_shards} epochs")
        else:
            plan = replace(plan, most_shards=possible)
            given_up.insert(0, f"training on {possible / n_shards:.0%} of the rows, once")
    if given_up:
        warnings.warn(
            f"max_minutes={limit.minutes:g} (--minutes) allows {', '.join(given_up)}", UserWarning, stacklevel=4
        )
    return plan


def _narrowed(process: Any) -> Any:
    return replace(process, architecture=replace(process.architecture, width=process.architecture.width // 2))


def _speed(plan: Plan, limit: TimeLimit) -> tuple[float, float]:
    """Measures the seconds that compiling takes, and the seconds of an epoch."""
    started = time.monotonic()
    trainer = trainer_of(plan)
    # No epoch: this compiles the program.
    trainer.run(0)
    compiled = time.monotonic()
    epochs, least = 1, MEASURED_FRACTION * limit.left
    while True:
        begin = time.monotonic()
        if plan.n_shards > 1:
            trainer.feed(*plan.shard(0))
        done = len(trainer.run(epochs)[0])
        seconds = time.monotonic() - begin
        if seconds >= least or done < epochs or epochs == MAX_EPOCHS_PER_CALL:
            return compiled - started, seconds / max(done, 1)
        epochs = min(MAX_EPOCHS_PER_CALL, int(epochs * least / seconds) + 1)
