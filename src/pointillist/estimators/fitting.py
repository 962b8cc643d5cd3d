"""Training of one model on a table: in shards if it is large, with early stopping, and resumable from checkpoints."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from rich.console import Console

from pointillist.diffusion.schedules import Schedule
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL
from pointillist.engine.recipes import AnyArchitecture, Method, Recipe, Weights
from pointillist.engine.training import StackTrainer, spread_of
from pointillist.engine.validation import held_out_loss
from pointillist.estimators.checkpoint import Checkpoint, Progress
from pointillist.points import TableScaling, rows_at
from pointillist.progress import Bar, deferred_interrupt

SHARD_VALUES = 2**23
"""Most numbers that an epoch may hold in memory at once; a larger table is trained on in shards."""

BLOCK = 64
"""Number of neighboring rows that go to the same shard: reading a file row by row would be slow."""

STEPS_PER_CALL = 2000
STEPS_PER_CHECK = 500
"""Fewest training steps between two checks of the held-out rows."""

MAX_HELD_OUT = 10_000
ROWS_FOR_SPREAD = 100_000
CHECKPOINT_EVERY = 10.0
"""Fewest seconds between two checkpoints."""


@dataclass(frozen=True)
class Stopping:
    """When to stop early: after `n_iter_no_change` checks without a lower held-out loss."""

    validation_fraction: float
    n_iter_no_change: int


@dataclass(frozen=True)
class Unscaled:
    """Scaling of tokens, which the model sees as they are."""

    columns: int

    @property
    def varies(self) -> Bool[np.ndarray, " d"]:
        """Whether each column varies: they all do."""
        return np.ones(self.columns, bool)

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Converts rows to float32, which holds every token."""
        return np.asarray(rows, np.float32)


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights.

    Attributes:
        rows: Rows, shape (n, d), in the units of the table; may be mapped from a file.
        labels: Indices of classes, shape (n,); None without classes.
        scaling: Scaling to the k columns that the model sees.
        schedule: Noise schedule.
        architecture: Architecture of the network.
        method: How the network is trained; a table with fewer rows than a batch is one batch.
        n_classes: Number of classes; 0 without classes.
        epochs: Passes over the rows; None for as many as make `default_steps`, but at most `most_default_epochs`.
        default_steps: Number of training steps if `epochs` is None.
        most_default_epochs: Most passes over the rows if `epochs` is None.
        learning_rate: Adam's learning rate.
        warmup: Number of steps over which the learning rate rises from 0.
        decay: Whether the learning rate then falls to 0.
        averaging: Fraction of itself that the average of the weights keeps in each step, if the method keeps one.
        clip: Largest norm of the gradient, if the method clips it.
        p_uncond: Share of the labels that are hidden.
        seed: Seed, 0 … 2³² - 1.
        stopping: When to stop early; None to train to the end.
        start: Weights to continue from; None to start anew.
        start_spread: Root mean squares of the columns with which `start` was trained.
    """

    rows: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"] | None
    scaling: TableScaling | Unscaled
    schedule: Schedule
    architecture: AnyArchitecture
    method: Method
    n_classes: int
    epochs: int | None
    default_steps: int
    most_default_epochs: int
    learning_rate: float
    warmup: int
    decay: bool
    averaging: float
    clip: float
    p_uncond: float
    seed: int
    stopping: Stopping | None = None
    start: Weights | None = None
    start_spread: Float[np.ndarray, " k"] | None = None

    @cached_property
    def spread(self) -> Float[np.ndarray, " k"]:
        """Root mean square of each column that the model sees, over a subset of the rows if there are many."""
        if self.start_spread is not None:
            return self.start_spread
        seen, n = self.shards.seen, self.shards.n_rows
        places = np.linspace(0, n - 1, min(n, ROWS_FOR_SPREAD)).astype(np.int64)
        return spread_of(self.scaled(places if seen is None else seen[places])[0])

    @cached_property
    def held_out(self) -> Int[np.ndarray, " v"]:
        """Positions of the rows that training does not see, in order."""
        n = len(self.rows)
        if self.stopping is None:
            return np.empty(0, np.int64)
        # Training keeps two rows, and one of every class.
        kept_rows = max(2, self.n_classes)
        wanted = min(max(1, round(self.stopping.validation_fraction * n)), MAX_HELD_OUT, n - kept_rows)
        order = np.random.default_rng([self.seed, 1]).permutation(n)
        if self.labels is not None:
            kept = np.unique(self.labels[order], return_index=True)[1]
            order = np.concatenate([order[kept], np.delete(order, kept)])
        return np.sort(order[n - wanted :])

    @cached_property
    def shards(self) -> "Shards":
        """The rows that training sees."""
        seen = np.delete(np.arange(len(self.rows)), self.held_out) if self.stopping is not None else None
        return Shards(self, seen)

    def scaled(self, places: Int[np.ndarray, " m"] | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns rows as the model sees them, and their labels; those of all rows if `places` is None."""
        rows = self.rows if places is None else rows_at(self.rows, places)
        labels = None if self.labels is None else self.labels if places is None else self.labels[places]
        return self.scaling.transform(rows), labels


@dataclass(frozen=True)
class Shards:
    """Equal parts of the training rows, drawn again for every pass; a single part if there are few rows.

    They depend on the seed, and not on whether the rows are in memory.
    """

    plan: Plan
    seen: Int[np.ndarray, " m"] | None
    limit: int = field(default_factory=lambda: SHARD_VALUES)

    @property
    def n_rows(self) -> int:
        """Number of rows to train on."""
        return len(self.plan.rows) if self.seen is None else len(self.seen)

    @cached_property
    def count(self) -> int:
        """Number of shards in a pass."""
        features = self.plan.architecture.time_embedding + self.plan.architecture.class_embedding
        # Of a row: its values, its noise, their mixture, what the network is shown and is to give; what it is
        # conditioned on; time, noise level and weight.
        values = 5 * int(self.plan.scaling.varies.sum()) + features + 3
        rows = max(BLOCK, self.limit // values)
        return 1 if self.n_rows <= rows else max(1, min(-(-self.n_rows // rows), self.n_rows // BLOCK))

    @property
    def size(self) -> int:
        """Number of rows in a shard."""
        return self.n_rows if self.count == 1 else self.n_rows // BLOCK // self.count * BLOCK

    def get(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns scaled rows and labels of the shard that an epoch trains on, each with a first axis of length one."""
        turn, shard = divmod(epoch, self.count)
        if self.count == 1:
            rows, labels = self.plan.scaled(self.seen)
        else:
            rng = np.random.default_rng([self.plan.seed, 2, turn])
            n_blocks = self.n_rows // BLOCK
            first = rng.integers(self.n_rows - n_blocks * BLOCK + 1)
            per_shard = self.size // BLOCK
            chosen = np.sort(rng.permutation(n_blocks)[shard * per_shard : (shard + 1) * per_shard])
            places = (first + chosen[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            rows, labels = self.plan.scaled(places if self.seen is None else self.seen[places])
        return rows[None], None if labels is None else labels[None].astype(np.int32)


@dataclass(frozen=True)
class Trained:
    """A trained network, its training loss in each epoch, and its held-out loss at each check."""

    network: Weights
    history: Float[np.ndarray, " epochs"]
    validation_history: Float[np.ndarray, " checks"]


def train(plan: Plan, *, checkpoint: Checkpoint | None = None, is_shown: bool = False) -> Trained:
    """Trains the model of a plan; resumes from the checkpoint if it holds a state of the same plan.

    Raises:
        ValueError: If training diverges.
        KeyboardInterrupt: On Ctrl-C; with a checkpoint, after it is written.
    """
    shards = plan.shards
    method = plan.method
    if shards.size < method.batch_size:
        method = replace(method, batch_size=shards.size, parts=1)
    steps = shards.size // method.batch_size
    by_default = min(-(-plan.default_steps // (steps * shards.count)), plan.most_default_epochs)
    epochs = by_default if plan.epochs is None else plan.epochs
    if epochs * shards.count >= 2**31:
        raise ValueError(f"epochs = {epochs} is more than can be counted: give fewer")
    recipe = Recipe(
        dataset=0,
        schedule=plan.schedule,
        seed=plan.seed,
        epochs=epochs * shards.count,
        learning_rate=plan.learning_rate,
        # Of a short training all would be warm-up.
        warmup=min(plan.warmup, epochs * shards.count * steps // 10),
        decay=plan.decay,
        averaging=plan.averaging,
        n_classes=plan.n_classes,
        p_uncond=plan.p_uncond,
        clip=plan.clip,
    )
    rows, labels = shards.get(0)
    trainer = StackTrainer(rows, [recipe], plan.architecture, method, labels=labels, spread=plan.spread[None])
    run = _Run(plan, trainer, recipe.epochs, -(-STEPS_PER_CHECK // steps))
    console = Console(stderr=True)
    with Bar(console, recipe.epochs, is_shown=is_shown) as bar:
        epochs_per_call = min(MAX_EPOCHS_PER_CALL, max(1, STEPS_PER_CALL // steps))
        if checkpoint is None:
            run.to_the_end(bar, epochs_per_call)
        else:
            run.restore(checkpoint)
            with deferred_interrupt(console) as interruption:

                def keep() -> None:
                    if interruption.requested or time.monotonic() - checkpoint.written > CHECKPOINT_EVERY:
                        run.save(checkpoint)
                    interruption.check()

                run.to_the_end(bar, epochs_per_call, keep)
            run.save(checkpoint)
    return run.result(shards.count)


class _Run:
    """A training run under way."""

    def __init__(self, plan: Plan, trainer: StackTrainer, epochs: int, epochs_per_check: int) -> None:
        self._plan = plan
        self._trainer = trainer
        self._epochs_per_check = epochs_per_check
        self._held_out = plan.scaled(plan.held_out) if plan.stopping is not None else None
        if plan.start is not None:
            (state,) = trainer.states()
            trainer.restore([state.starting_from(plan.start)])
        checks = -(-epochs // epochs_per_check) if plan.stopping is not None else 0
        best = trainer.networks()[0] if plan.stopping is not None else None
        # The state is the trainer's; a large one is not to be held twice.
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

    def to_the_end(self, bar: Bar, epochs_per_call: int, after_a_call: Callable[[], None] = lambda: None) -> None:
        shards, losses = self._plan.shards, self._progress.losses
        bar.advance(self._done)
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
                rate = self._plan.learning_rate
                raise ValueError(f"training diverged with learning_rate={rate:g}: lower it, or scale the columns")
            if self._held_out is not None:
                self._check()
            bar.advance(len(new))
            bar.say(f"loss {new[-1]:.4f}")
            after_a_call()

    def _check(self) -> None:
        """Checks the held-out rows, if it is time to."""
        done, progress = self._done, self._progress
        if done % self._epochs_per_check and not self._trainer.is_done:
            return
        (network,) = self._trainer.networks()
        assert self._held_out is not None
        plan = self._plan
        asked = plan.architecture, plan.method.objective, plan.schedule, plan.spread
        loss = held_out_loss(network, *asked, *self._held_out, plan.seed)
        place = -(-done // self._epochs_per_check) - 1
        if place == 0 or loss < progress.validation[:place].min():
            self._progress = replace(progress, best=network)
        progress.validation[place] = loss

    def _checks(self) -> Float[np.ndarray, " checks"]:
        done = self._done if self._trainer.is_done else self._done // self._epochs_per_check * self._epochs_per_check
        return self._progress.validation[: -(-done // self._epochs_per_check)]

    def _is_stopped(self) -> bool:
        checks, stopping = self._checks(), self._plan.stopping
        if stopping is None or not len(checks):
            return False
        return len(checks) - 1 - int(checks.argmin()) >= stopping.n_iter_no_change

    def result(self, shards: int) -> Trained:
        network = self._progress.best
        if network is None:
            (network,) = self._trainer.networks()
        losses = self._progress.losses[: self._done]
        by_pass = [part.mean() for part in np.split(losses, np.arange(shards, len(losses), shards))]
        return Trained(network, np.array(by_pass, np.float32), self._checks())
