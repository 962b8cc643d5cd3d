"""Trains one model on a table: in shards if it is large, with early stopping, resumable from checkpoints.

The network of observed numbers of a mixed table is trained further than its other networks, which memorize the rows
of small tables after some 150 epochs: it observes other numbers of a row in each epoch.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from rich.console import Console

from pointillist.diffusion.tokens.mixed_losses import MixedObjective, ObservedObjective
from pointillist.engine.devices import first
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL
from pointillist.engine.recipes import TokenArchitecture, Weights
from pointillist.engine.training import StackTrainer, held_out_loss
from pointillist.models.checkpoint import Checkpoint, Progress
from pointillist.models.plan import Plan
from pointillist.progress import Bar, Keeping, deferred_interrupt

STEPS_PER_CALL, STEPS_BEFORE_DEADLINE = 2000, 100
"""Number of training steps of one device call, without and with a deadline."""

CHECKPOINT_EVERY = 10.0
"""Shortest time between two checkpoints, in seconds."""

FEWEST_OBSERVED_ROWS, MOST_OBSERVED_ROWS = 500, 10_000
"""Smallest and largest number of rows with which the network of observed numbers is trained further. It memorizes
smaller tables too, and larger ones give the common training enough steps."""

STEPS_PER_NUMBER, MOST_EXAMPLES = 1500, 1_000_000
"""Number of its further training steps per number of a row, and largest number of examples in all of them: in large
batches, steps cost more and fewer are needed."""

SHORTEST = 10.0
"""Least time before a deadline in which this training begins, in seconds: most of it goes into compiling."""


@dataclass(frozen=True)
class Trained:
    """A trained network, the training loss of each epoch, and the held-out loss at each check.

    `best_epochs` is the number of epochs that produced the network: up to the lowest held-out loss, if rows are held
    out.
    """

    network: Weights
    history: Float[np.ndarray, " epochs"]
    validation_history: Float[np.ndarray, " checks"]
    best_epochs: int


def train(
    plan: Plan,
    *,
    checkpoint: Checkpoint | None = None,
    is_shown: bool = False,
    what: str = "loss",
    deadline: float | None = None,
) -> Trained:
    """Trains the model of a plan; resumes from the checkpoint if it holds a state of the same plan.

    `what` is the label of the loss in the progress bar. The last epochs are left out if they would end after the
    `deadline`, by `time.monotonic`. Raises a ValueError if training diverges, and a KeyboardInterrupt on Ctrl-C, with a
    checkpoint after it is written.
    """
    run, console = _Run(plan, what, deadline), Console(stderr=True)
    with Bar(console, plan.shard_epochs, is_shown=is_shown) as bar:
        if checkpoint is None:
            run.run_to_end(bar)
        else:
            run.restore(checkpoint)
            with deferred_interrupt(console) as interruption:
                keeping = Keeping(CHECKPOINT_EVERY, interruption)
                run.run_to_end(bar, lambda: keeping.now_and_then(lambda: run.save(checkpoint)))
            run.save(checkpoint)
    return run.result()


def trainer_of(plan: Plan) -> StackTrainer:
    """Returns a trainer at the start of a plan's training, with the rows of the first shard."""
    method, sigma_data = plan.method, plan.process.noise[1]
    if plan.shard_size < method.batch_size:
        method = replace(method, batch_size=plan.shard_size, parts=1)
    rows, labels = plan.shard(0)
    return StackTrainer(
        rows,
        [plan.recipe],
        plan.process.architecture,
        method,
        labels=labels,
        sigma_data=None if sigma_data is None else sigma_data[None],
        devices=first() if method.parts == 1 else None,
    )


class _Run:
    def __init__(self, plan: Plan, what: str, deadline: float | None) -> None:
        self._plan, self._what, self._deadline = plan, what, deadline
        self._trainer = trainer = trainer_of(plan)
        self._held_out, self._epochs_per_check, n_checks, best = None, 1, 0, None
        if plan.start is not None:
            (state,) = trainer.states()
            trainer.restore([state.starting_from(plan.start)])
        if plan.training.early_stopping:
            self._held_out = plan.encoded(plan.held_out)
            self._epochs_per_check = -(-plan.steps_per_check // plan.steps)
            n_checks = -(-plan.shard_epochs // self._epochs_per_check)
            (best,) = trainer.networks()
        losses, validation = np.zeros(plan.shard_epochs, np.float32), np.zeros(n_checks, np.float32)
        # The trainer holds the state; a copy would double the memory.
        self._progress = Progress(trainer.template, losses, validation, best)

    @property
    def _done(self) -> int:
        return self._trainer.epochs_done[0]

    def restore(self, checkpoint: Checkpoint) -> None:
        progress = checkpoint.read(self._progress)
        if progress is not None:
            self._trainer.restore([progress.state])
            self._progress = replace(progress, state=self._trainer.template)

    def save(self, checkpoint: Checkpoint) -> None:
        (state,) = self._trainer.states()
        checkpoint.write(replace(self._progress, state=state))

    def run_to_end(self, bar: Bar, after_call: Callable[[], None] = lambda: None) -> None:
        plan, losses = self._plan, self._progress.losses
        steps_per_call = STEPS_PER_CALL if self._deadline is None else STEPS_BEFORE_DEADLINE
        epochs_per_call = min(MAX_EPOCHS_PER_CALL, max(1, steps_per_call // plan.steps))
        bar.advance(self._done)
        first, started = self._done, time.monotonic()
        while not self._trainer.is_done and not self._is_stopped():
            done = self._done
            if plan.n_shards > 1:
                self._trainer.feed(*plan.shard(done))
            todo = 1 if plan.n_shards > 1 else epochs_per_call
            if self._held_out is not None:
                todo = min(todo, self._epochs_per_check - done % self._epochs_per_check)
            (new,) = self._trainer.run(todo)
            losses[done : done + len(new)] = new
            if not np.isfinite(new[-1]):
                rate = plan.training.learning_rate
                raise ValueError(f"training diverged with learning_rate={rate:g}: lower it, or scale the columns")
            self._check()
            bar.advance(len(new))
            bar.say(f"{self._what} {new[-1]:.4f}")
            after_call()
            if self._deadline is not None:
                now = time.monotonic()
                possible = int((self._deadline - now) * (self._done - first) / (now - started))
                epochs = min(plan.shard_epochs, self._done + max(0, possible))
                if epochs != self._trainer.recipes[0].epochs:
                    self._trainer.end_after(epochs)
                    bar.expect(epochs)
                    if self._trainer.is_done:
                        self._check()

    def _check(self) -> None:
        """Evaluates the held-out rows, if there are any and a check is due."""
        if self._held_out is None or (self._done % self._epochs_per_check and not self._trainer.is_done):
            return
        (network,) = self._trainer.networks()
        plan, check = self._plan, len(self._checks()) - 1
        process, objective = plan.process, plan.method.objective
        loss = held_out_loss(network, process.architecture, objective, *process.noise, *self._held_out, plan.seed)
        if check == 0 or loss < self._progress.validation[:check].min():
            self._progress = replace(self._progress, best=network)
        self._progress.validation[check] = loss

    def _checks(self) -> Float[np.ndarray, " checks"]:
        """Returns the held-out losses of the checks that are due so far; the last one follows the last epoch."""
        n, rest = divmod(self._done, self._epochs_per_check)
        return self._progress.validation[: n + (rest > 0 and self._trainer.is_done)]

    def _is_stopped(self) -> bool:
        checks = self._checks()
        return len(checks) > 0 and len(checks) - 1 - int(checks.argmin()) >= self._plan.training.n_iter_no_change

    def result(self) -> Trained:
        network, checks, n_shards = self._progress.best, self._checks(), self._plan.n_shards
        if network is None:
            (network,) = self._trainer.networks()
        losses = self._progress.losses[: self._done]
        passes = np.split(losses, np.arange(n_shards, len(losses), n_shards))
        best = min((int(checks.argmin()) + 1) * self._epochs_per_check, self._done) if len(checks) else self._done
        history = np.array([losses_of_pass.mean() for losses_of_pass in passes], np.float32)
        return Trained(network, history, checks, best // n_shards)


def train_observed(plan: Plan, networks: Weights, *, is_shown: bool = False, deadline: float | None = None) -> Weights:
    """Trains the network of observed numbers alone, if there is one beside a joint network; returns all networks.

    A network that sees factored tokens stays as it is, because it shares the factors with the network of tokens. The
    training is over by the `deadline`, by `time.monotonic`.
    """
    architecture, objective = plan.process.architecture, plan.method.objective
    if not isinstance(objective, MixedObjective) or not isinstance(architecture, TokenArchitecture):
        return networks
    has_time = deadline is None or deadline - time.monotonic() > SHORTEST
    is_of_size = FEWEST_OBSERVED_ROWS <= len(plan.rows) <= MOST_OBSERVED_ROWS
    if not architecture.has_joint_network or architecture.is_factored or not is_of_size or not has_time:
        return networks
    steps = min(STEPS_PER_NUMBER * len(architecture.tokens.with_number), MOST_EXAMPLES // plan.method.batch_size)
    of_observed = ObservedObjective(objective.tokens, objective.guided, objective.p_uncond, objective.hidden_context)
    alone = replace(
        plan,
        process=replace(cast(Any, plan.process), architecture=architecture.observed, basis=None),
        method=replace(plan.method, objective=of_observed),
        training=replace(plan.training, epochs=-(-steps // (plan.steps * plan.n_shards))),
        # Other times and noise than before.
        seed=(plan.seed + 1) % 2**32,
        start=cast(Any, networks).number_network,
    )
    trained = train(alone, is_shown=is_shown, what="observed numbers: loss", deadline=deadline)
    return replace(cast(Any, networks), number_network=trained.network)
