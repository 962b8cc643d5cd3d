"""`Plan`: everything that determines the weights of a training run, and its hash."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version

import numpy as np
from jaxtyping import Float, Int

from pointillist.engine import weights
from pointillist.engine.epochs import TRAINING_VERSION
from pointillist.engine.random_streams import HostStream, generator_of
from pointillist.engine.recipes import AnyObjective, Method, Recipe, Weights
from pointillist.engine.training import sigma_data_of
from pointillist.models.codec import Codec
from pointillist.models.configuration import TrainingConfig
from pointillist.models.process import Process
from pointillist.tables.numbers import blocks, rows_at, spread_indices

SHARD_VALUES = 2**23
"""Largest number of values that an epoch may hold in memory at once; larger tables are trained in shards."""

FEWEST_SEEN = 0.9
"""Smallest fraction of the rows that a pass over all shards covers."""

BLOCK = 64
"""Number of neighbouring rows that go to the same shard, because reading single rows from a file is slow."""

MAX_HELD_OUT = 10_000

STEPS_PER_CHECK = 500
ROWS_FOR_SIGMA = 100_000


PARTS, LEAST_ROWS = (8, 4, 2), 512
"""Possible numbers of parts of a large batch, computed on several devices or in turn; and smallest number of rows
per part."""


@dataclass(frozen=True)
class Plan:
    """Everything that determines the weights.

    Attributes:
        rows: Rows of numbers, shape (n, columns), which the codec encodes; may be memory-mapped.
        labels: Class indices, shape (n,); None if the network has no labels.
        method: The training method. If a table has fewer rows than a batch, the batch is the table.
        training: The training configuration, with a learning rate. If `epochs` is None, training makes `default_steps`
            steps, but at most `most_default_epochs` passes.
        held_out: Sorted indices of the held-out rows.
        steps_per_check: Smallest number of training steps between two checks of the held-out rows, with early stopping.
        start: Initial weights; None to start from random ones.
        has_trial: Whether a trial on some of the rows chooses the number of epochs.
        alternative: A process that a trial may choose instead of `process`.
        most_shards: Largest number of shards to train on, for less than one pass over the rows; None for whole passes.
    """

    rows: Float[np.ndarray, "n columns"]
    labels: Int[np.ndarray, " n"] | None
    codec: Codec
    process: Process
    method: Method
    training: TrainingConfig
    default_steps: int
    most_default_epochs: int
    seed: int
    n_classes: int = 0
    held_out: Int[np.ndarray, " v"] = field(default_factory=lambda: np.empty(0, np.int64))
    steps_per_check: int = STEPS_PER_CHECK
    start: Weights | None = None
    has_trial: bool = False
    alternative: Process | None = None
    most_shards: int | None = None

    @cached_property
    def shards(self) -> "Shards":
        """The shards of the training rows."""
        return Shards(self)

    @cached_property
    def shard_epochs(self) -> int:
        """Number of epochs of one shard each; `shards.count` of them are one pass over the rows."""
        shards, epochs = self.shards, self.training.epochs
        if epochs is None:
            epochs = min(-(-self.default_steps // (self.steps * shards.count)), self.most_default_epochs)
        if epochs * shards.count >= 2**31:
            raise ValueError(f"epochs = {epochs} is more than can be counted: give fewer")
        return epochs * shards.count if self.most_shards is None else self.most_shards

    @property
    def steps(self) -> int:
        """Number of training steps per shard; at least one."""
        return self.shards.size // min(self.method.batch_size, self.shards.size)

    def recipe(self, epochs: int, steps: int) -> Recipe:
        """Returns the engine's recipe for a number of epochs and of steps per epoch."""
        training = self.training
        assert training.learning_rate is not None
        return Recipe(
            dataset=0,
            schedule=self.process.noise[0],
            seed=self.seed,
            epochs=epochs,
            learning_rate=training.learning_rate,
            # Short training would otherwise consist of warm-up only.
            warmup=min(training.warmup, epochs * steps // 10),
            decay=training.decay,
            averaging=training.averaging,
            n_classes=self.n_classes,
            p_uncond=training.p_uncond,
            clip=training.gradient_clip or np.inf,
            weight_decay=training.weight_decay,
        )

    def encoded(self, indices: Int[np.ndarray, " m"] | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns encoded rows and their labels, for the given indices or for all rows if `indices` is None."""
        rows = self.rows if indices is None else rows_at(self.rows, indices)
        labels = None if self.labels is None else self.labels if indices is None else self.labels[indices]
        return self.codec.encode(rows), labels


def parts_of(batch_size: int, width: int) -> int:
    """Returns the number of equal parts of a batch; 1 if parts would be too small to be worthwhile."""
    fitting = (n for n in PARTS if width >= 256 and batch_size % n == 0 and batch_size >= n * LEAST_ROWS)
    return next(fitting, 1)


def training_method(configuration: TrainingConfig, objective: AnyObjective, batch_size: int, parts: int = 1) -> Method:
    """Returns the training method for an objective; see `Method` for the parts of a batch."""
    return Method(
        objective,
        batch_size,
        is_averaged=configuration.averaging > 0,
        is_clipped=configuration.gradient_clip is not None,
        is_decayed=configuration.weight_decay > 0,
        precision=configuration.precision,
        parts=parts,
    )


def rows_to_hold_out(
    n: int, labels: Int[np.ndarray, " n"] | None, n_classes: int, training: TrainingConfig, seed: int
) -> Int[np.ndarray, " v"]:
    """Chooses sorted indices of held-out rows; training keeps at least two rows, and one of every class."""
    if not training.early_stopping:
        return np.empty(0, np.int64)
    if n < max(3, n_classes + 1):
        raise ValueError(f"early_stopping needs rows to hold out, but X has {n}: give more rows, or leave it out")
    wanted = min(max(1, round(training.validation_fraction * n)), MAX_HELD_OUT, n - max(2, n_classes))
    order = generator_of(seed, HostStream.HELD_OUT_ROWS).permutation(n)
    if labels is not None:
        kept = np.unique(labels[order], return_index=True)[1]
        order = np.concatenate([order[kept], np.delete(order, kept)])
    return np.sort(order[n - wanted :])


def training_sigma_data(
    rows: Float[np.ndarray, "n d"], codec: Codec, held_out: Int[np.ndarray, " v"]
) -> Float[np.ndarray, " k"]:
    """Returns the root mean square of each encoded column, over at most `ROWS_FOR_SIGMA` training rows."""
    train_indices = np.delete(np.arange(len(rows)), held_out) if len(held_out) else None
    n = len(rows) - len(held_out)
    indices = spread_indices(n, ROWS_FOR_SIGMA)
    return sigma_data_of(codec.encode(rows_at(rows, indices if train_indices is None else train_indices[indices])))


@dataclass(frozen=True)
class Shards:
    """Equal parts of the training rows, redrawn for every pass; a single part if there are few rows.

    Shards depend on the seed, and not on whether the rows are in memory.
    """

    plan: Plan
    limit: int = field(default_factory=lambda: SHARD_VALUES)

    @cached_property
    def train_indices(self) -> Int[np.ndarray, " m"] | None:
        """Indices of the training rows; None for all rows."""
        plan = self.plan
        return np.delete(np.arange(len(plan.rows)), plan.held_out) if len(plan.held_out) else None

    @property
    def n_rows(self) -> int:
        """Number of training rows."""
        return len(self.plan.rows) - len(self.plan.held_out)

    @cached_property
    def count(self) -> int:
        """Number of shards in a pass."""
        # Values per row: its values, noise, mixture, network input and target; features; time, noise level, weight.
        values = 5 * self.plan.codec.width + self.plan.process.architecture.n_features + 3
        rows, n_blocks = max(BLOCK, self.limit // values), self.n_rows // BLOCK
        if self.n_rows <= rows:
            return 1
        # Each shard has at least one batch, and the shards together cover nearly all rows.
        most = max(1, n_blocks // -(-self.plan.method.batch_size // BLOCK))
        counts = range(min(-(-self.n_rows // rows), most), 0, -1)
        return next(count for count in counts if n_blocks // count * count >= FEWEST_SEEN * n_blocks)

    @property
    def size(self) -> int:
        """Number of rows in a shard."""
        return self.n_rows if self.count == 1 else self.n_rows // BLOCK // self.count * BLOCK

    def get(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns encoded rows and labels of the shard of an epoch, with a leading axis of length 1."""
        turn, shard = divmod(epoch, self.count)
        if self.count == 1:
            rows, labels = self.plan.encoded(self.train_indices)
        else:
            rng = generator_of(self.plan.seed, HostStream.SHARDS, turn)
            n_blocks = self.n_rows // BLOCK
            first = rng.integers(self.n_rows - n_blocks * BLOCK + 1)
            per_shard = self.size // BLOCK
            chosen = np.sort(rng.permutation(n_blocks)[shard * per_shard : (shard + 1) * per_shard])
            indices = (first + chosen[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            rows, labels = self.plan.encoded(indices if self.train_indices is None else self.train_indices[indices])
        return rows[None], None if labels is None else labels[None].astype(np.int32)


def fingerprint(rows: np.ndarray) -> str:
    """Returns a hash of the training rows."""
    digest = hashlib.sha256(str(rows.shape).encode())
    for block in blocks(rows):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:32]


def plan_key(plan: Plan, rows_fingerprint: str) -> str:
    """Returns a hash of everything that determines the weights."""
    schedule, sigma_data = plan.process.noise
    training, recipe = plan.training, plan.recipe(plan.shard_epochs, plan.steps)._replace(schedule=None)
    facts = {
        "version": [version("pointillist"), TRAINING_VERSION],
        "rows": rows_fingerprint,
        "labels": None if plan.labels is None else fingerprint(plan.labels[:, None]),
        "schedule": None if schedule is None else fingerprint(np.asarray(schedule.alpha)[:, None]),
        "codec": [fingerprint(tensor.reshape(-1, 1)) for tensor in plan.codec.tensors().values()],
        "architecture": asdict(plan.process.architecture),
        "method": asdict(plan.method),
        "recipe": recipe._asdict(),
        "sigma_data": None if sigma_data is None else fingerprint(sigma_data.reshape(-1, 1)),
        "stopping": training.early_stopping
        and [training.validation_fraction, training.n_iter_no_change, plan.steps_per_check],
        "start": None if plan.start is None else hashlib.sha256(weights.to_bytes(plan.start)).hexdigest(),
        "shards": plan.shards.limit,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
