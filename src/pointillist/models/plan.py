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

MAX_HELD_OUT, STEPS_PER_CHECK, ROWS_FOR_SIGMA = 10_000, 500, 100_000

PARTS, LEAST_ROWS = (8, 4, 2), 512
"""Possible numbers of parts of a large batch, computed on several devices or in turn; and smallest number of rows
per part."""


@dataclass(frozen=True)
class Trial:
    """How the epoch with the lowest held-out loss sets the number of epochs.

    Attributes:
        longest: Largest number of epochs of the trial.
        fewest: Smallest number of epochs of the training.
        multiple: Number of epochs of the training as a multiple of those with the lowest held-out loss.
    """

    longest: int
    fewest: int
    multiple: int = 1

    def epochs(self, best: int) -> int:
        """Returns the number of epochs of the training, if the loss is lowest after the `best` number of epochs."""
        return max(self.multiple * best, self.fewest)


@dataclass(frozen=True)
class Plan:
    """Everything that determines the weights.

    Large tables are trained in shards: equal parts of the training rows, redrawn for every pass. Shards depend on the
    seed, and not on whether the rows are in memory.

    Attributes:
        rows: Rows of numbers, shape (n, columns), which the codec encodes; may be memory-mapped.
        labels: Class indices, shape (n,); None if the network has no labels.
        method: The training method. If a table has fewer rows than a batch, the batch is the table.
        training: The training configuration, with a learning rate. If `epochs` is None, training makes `default_steps`
            steps, but at most `most_default_epochs` passes.
        held_out: Sorted indices of the held-out rows.
        steps_per_check: Smallest number of training steps between two checks of the held-out rows, with early stopping.
        start: Initial weights; None to start from random ones.
        trial: How a trial on some of the rows chooses the number of epochs; None if it is given.
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
    trial: Trial | None = None
    alternative: Process | None = None
    most_shards: int | None = None

    @cached_property
    def train_indices(self) -> Int[np.ndarray, " m"] | None:
        """Indices of the training rows; None for all rows."""
        return np.delete(np.arange(len(self.rows)), self.held_out) if len(self.held_out) else None

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return len(self.rows) - len(self.held_out)

    @cached_property
    def n_shards(self) -> int:
        """Number of shards in a pass over the training rows; 1 if there are few rows."""
        # Values per row: its values, noise, mixture, network input and target; features; time, noise level, weight.
        values = 5 * self.codec.width + self.process.architecture.n_features + 3
        rows, n_blocks = max(BLOCK, SHARD_VALUES // values), self.n_train // BLOCK
        if self.n_train <= rows:
            return 1
        # Each shard has at least one batch, and the shards together cover nearly all rows.
        most = max(1, n_blocks // -(-self.method.batch_size // BLOCK))
        counts = range(min(-(-self.n_train // rows), most), 0, -1)
        return next(count for count in counts if n_blocks // count * count >= FEWEST_SEEN * n_blocks)

    @property
    def shard_size(self) -> int:
        """Number of rows in a shard."""
        return self.n_train if self.n_shards == 1 else self.n_train // BLOCK // self.n_shards * BLOCK

    def shard(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns encoded rows and labels of the shard of an epoch, with a leading axis of length 1."""
        turn, shard = divmod(epoch, self.n_shards)
        indices = self.train_indices
        if self.n_shards > 1:
            rng, n_blocks = generator_of(self.seed, HostStream.SHARDS, turn), self.n_train // BLOCK
            first = rng.integers(self.n_train - n_blocks * BLOCK + 1)
            per_shard = self.shard_size // BLOCK
            chosen = np.sort(rng.permutation(n_blocks)[shard * per_shard : (shard + 1) * per_shard])
            in_shard = (first + chosen[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            indices = in_shard if indices is None else indices[in_shard]
        rows, labels = self.encoded(indices)
        return rows[None], None if labels is None else labels[None].astype(np.int32)

    @cached_property
    def shard_epochs(self) -> int:
        """Number of epochs of one shard each; `n_shards` of them are one pass over the rows."""
        epochs = self.training.epochs
        if epochs is None:
            epochs = min(-(-self.default_steps // (self.steps * self.n_shards)), self.most_default_epochs)
        if epochs * self.n_shards >= 2**31:
            raise ValueError(f"epochs = {epochs} is more than can be counted: give fewer")
        return epochs * self.n_shards if self.most_shards is None else self.most_shards

    @property
    def steps(self) -> int:
        """Number of training steps per shard; at least one."""
        return self.shard_size // min(self.method.batch_size, self.shard_size)

    @property
    def recipe(self) -> Recipe:
        """The engine's recipe."""
        training, epochs = self.training, self.shard_epochs
        assert training.learning_rate is not None
        return Recipe(
            dataset=0,
            schedule=self.process.noise[0],
            seed=self.seed,
            epochs=epochs,
            learning_rate=training.learning_rate,
            # Short training would otherwise consist of warm-up only.
            warmup=min(training.warmup, epochs * self.steps // 10),
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
    indices = spread_indices(len(rows) - len(held_out), ROWS_FOR_SIGMA)
    if len(held_out):
        indices = np.delete(np.arange(len(rows)), held_out)[indices]
    return sigma_data_of(codec.encode(rows_at(rows, indices)))


def fingerprint(rows: np.ndarray) -> str:
    """Returns a hash of the training rows."""
    digest = hashlib.sha256(str(rows.shape).encode())
    for block in blocks(rows):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:32]


def plan_key(plan: Plan, rows_fingerprint: str) -> str:
    """Returns a hash of everything that determines the weights."""
    schedule, sigma_data = plan.process.noise
    training = plan.training

    def hashed(array: np.ndarray | None) -> str | None:
        return None if array is None else fingerprint(np.reshape(array, (-1, 1)))

    facts = {
        "version": [version("pointillist"), TRAINING_VERSION],
        "rows": rows_fingerprint,
        "labels": hashed(plan.labels),
        "schedule": None if schedule is None else hashed(np.asarray(schedule.alpha)),
        "codec": [*map(hashed, plan.codec.tensors().values())],
        "architecture": asdict(plan.process.architecture),
        "method": asdict(plan.method),
        "recipe": plan.recipe._replace(schedule=None)._asdict(),
        "sigma_data": hashed(sigma_data),
        "stopping": training.early_stopping
        and [training.validation_fraction, training.n_iter_no_change, plan.steps_per_check],
        "start": None if plan.start is None else hashlib.sha256(weights.to_bytes(plan.start)).hexdigest(),
        "shards": SHARD_VALUES,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
