"""Trains one model on a table: in shards if it is large, with early stopping, resumable from checkpoints."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from rich.console import Console

from pointillist.engine.devices import first
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL
from pointillist.engine.recipes import Weights
from pointillist.engine.training import StackTrainer, held_out_loss
from pointillist.models.checkpoint import Checkpoint, Progress
from pointillist.models.plan import Plan
from pointillist.progress import Bar, Keeping, deferred_interrupt

STEPS_PER_CALL, STEPS_BEFORE_DEADLINE = 2000, 100
"""Number of training steps of one device call, without and with a deadline."""

CHECKPOINT_EVERY = 10.0
"""Shortest time between two checkpoints, in seconds."""


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
    trainer, steps, epochs = trainer_of(plan), plan.steps, plan.shard_epochs
    per_check = -(-plan.steps_per_check // steps) if plan.training.early_stopping else 1
    run = _Run(plan, trainer, epochs, per_check, what, deadline)
    console = Console(stderr=True)
    with Bar(console, epochs, is_shown=is_shown) as bar:
        steps_per_call = STEPS_PER_CALL if deadline is None else STEPS_BEFORE_DEADLINE
        epochs_per_call = min(MAX_EPOCHS_PER_CALL, max(1, steps_per_call // steps))
        if checkpoint is None:
            run.run_to_end(bar, epochs_per_call)
        else:
            run.restore(checkpoint)
            with deferred_interrupt(console) as interruption:
                keeping = Keeping(CHECKPOINT_EVERY, interruption)
                run.run_to_end(bar, epochs_per_call, lambda: keeping.now_and_then(lambda: run.save(checkpoint)))
            run.save(checkpoint)
    return run.result(plan.shards.count)


def trainer_of(plan: Plan) -> StackTrainer:
    """Returns a trainer at the start of a plan's training, with the rows of the first shard."""
    shards, method = plan.shards, plan.method
    if shards.size < method.batch_size:
        method = replace(method, batch_size=shards.size, parts=1)
    rows, labels = shards.get(0)
    sigma_data = plan.process.noise[1]
    return StackTrainer(
        rows,
        [plan.recipe(plan.shard_epochs, plan.steps)],
        plan.process.architecture,
        method,
        labels=labels,
        sigma_data=None if sigma_data is None else sigma_data[None],
        devices=first() if method.parts == 1 else None,
    )


class _Run:
    def __init__(
        self, plan: Plan, trainer: StackTrainer, epochs: int, epochs_per_check: int, what: str, deadline: float | None
    ) -> None:
        self._plan = plan
        self._trainer = trainer
        self._epochs_per_check = epochs_per_check
        self._what = what
        self._deadline = deadline
        self._held_out = plan.encoded(plan.held_out) if plan.training.early_stopping else None
        if plan.start is not None:
            (state,) = trainer.states()
            trainer.restore([state.starting_from(plan.start)])
        checks = -(-epochs // epochs_per_check) if plan.training.early_stopping else 0
        best = trainer.networks()[0] if plan.training.early_stopping else None
        # The trainer holds the state; a copy would double the memory.
        self._progress = Progress(trainer.template, np.zeros(epochs, np.float32), np.zeros(checks, np.float32), best)

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

    def run_to_end(self, bar: Bar, epochs_per_call: int, after_call: Callable[[], None] = lambda: None) -> None:
        shards, losses = self._plan.shards, self._progress.losses
        bar.advance(self._done)
        first, started = self._done, time.monotonic()
        while not self._trainer.is_done and not self._is_stopped():
            done = self._done
            if shards.count > 1:
                self._trainer.feed(*shards.get(done))
            todo = 1 if shards.count > 1 else epochs_per_call
            if self._held_out is not None:
                todo = min(todo, self._epochs_per_check - done % self._epochs_per_check)
            (new,) = self._trainer.run(todo)
            losses[done : done + len(new)] = new
            if not np.isfinite(new[-1]):
                rate = self._plan.training.learning_rate
                raise ValueError(f"training diverged with learning_rate={rate:g}: lower it, or scale the columns")
            if self._held_out is not None:
                self._check()
            bar.advance(len(new))
            bar.say(f"{self._what} {new[-1]:.4f}")
            after_call()
            if self._deadline is not None:
                now = time.monotonic()
                possible = int((self._deadline - now) * (self._done - first) / (now - started))
                epochs = min(self._plan.shard_epochs, self._done + max(0, possible))
                if epochs != self._trainer.recipes[0].epochs:
                    self._trainer.end_after(epochs)
                    bar.expect(epochs)
                    if self._trainer.is_done and self._held_out is not None:
                        self._check()

    def _check(self) -> None:
        """Evaluates the held-out rows if a check is due."""
        done, progress = self._done, self._progress
        if done % self._epochs_per_check and not self._trainer.is_done:
            return
        (network,) = self._trainer.networks()
        assert self._held_out is not None
        plan = self._plan
        process, objective = plan.process, plan.method.objective
        loss = held_out_loss(network, process.architecture, objective, *process.noise, *self._held_out, plan.seed)
        check = -(-done // self._epochs_per_check) - 1
        if check == 0 or loss < progress.validation[:check].min():
            self._progress = replace(progress, best=network)
        progress.validation[check] = loss

    def _checks(self) -> Float[np.ndarray, " checks"]:
        done = self._done if self._trainer.is_done else self._done // self._epochs_per_check * self._epochs_per_check
        return self._progress.validation[: -(-done // self._epochs_per_check)]

    def _is_stopped(self) -> bool:
        checks = self._checks()
        return len(checks) > 0 and len(checks) - 1 - int(checks.argmin()) >= self._plan.training.n_iter_no_change

    def result(self, shards: int) -> Trained:
        network = self._progress.best
        if network is None:
            (network,) = self._trainer.networks()
        losses = self._progress.losses[: self._done]
        pass_losses = [
            losses_of_pass.mean() for losses_of_pass in np.split(losses, np.arange(shards, len(losses), shards))
        ]
        checks = self._checks()
        best = (int(checks.argmin()) + 1) * self._epochs_per_check if len(checks) else self._done
        return Trained(network, np.array(pass_losses, np.float32), checks, min(best, self._done) // shards)
