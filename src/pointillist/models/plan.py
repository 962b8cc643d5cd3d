"""Everything that decides the weights of a training, and its hash."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
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
from pointillist.tables.row_blocks import blocks, rows_at

SHARD_VALUES = 2**23
"""Most numbers that an epoch may hold in memory at once; a larger table is trained on in shards."""

FEWEST_SEEN = 0.9
"""Fewest of the rows, as a share, that a pass over all shards sees."""

BLOCK = 64
"""Number of neighboring rows that go to the same shard: reading a file row by row would be slow."""

MAX_HELD_OUT = 10_000

STEPS_PER_CHECK = 500
ROWS_FOR_SIGMA = 100_000


PARTS, LEAST_ROWS = (8, 4, 2), 512
"""Numbers of parts of a large batch, which devices share, or one computes in turn; and fewest rows in a part."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights.

    Attributes:
        rows: Rows of numbers, shape (n, columns), which the codec encodes; may be mapped from a file.
        labels: Indices of classes, shape (n,); None if the network is shown none.
        codec: Maps the rows to what the network sees.
        process: What the network learns.
        method: How it is trained; a table with fewer rows than a batch is one batch.
        training: The configuration of the training, with a learning rate; if `epochs` is None, as many passes as make
            `default_steps`, but at most `most_default_epochs`.
        default_steps: Number of training steps if `epochs` is None.
        most_default_epochs: Most passes over the rows if `epochs` is None.
        seed: Seed, 0 … 2³² - 1.
        n_classes: Number of classes; 0 if the network is shown none.
        held_out: Positions of the rows that training does not see, in order.
        steps_per_check: Fewest training steps between two checks of the held-out rows, with early stopping.
        start: Weights to continue from; None to start anew.
        has_trial: Whether a trial on some of the rows is to choose the number of epochs.
        alternative: A process that a trial may choose in place of `process`; None for none.
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

    @cached_property
    def shards(self) -> "Shards":
        """The rows that training sees."""
        return Shards(self)

    @cached_property
    def shard_epochs(self) -> int:
        """Number of epochs of one shard each: `shards.count` of them are a pass over the rows.

        Raises:
            ValueError: If they cannot be counted.
        """
        shards, epochs = self.shards, self.training.epochs
        if epochs is None:
            epochs = min(-(-self.default_steps // (self.steps * shards.count)), self.most_default_epochs)
        if epochs * shards.count >= 2**31:
            raise ValueError(f"epochs = {epochs} is more than can be counted: give fewer")
        return epochs * shards.count

    @property
    def steps(self) -> int:
        """Number of training steps on a shard, of which the rows may be a single batch."""
        return self.shards.size // min(self.method.batch_size, self.shards.size)

    def recipe(self, epochs: int, steps: int) -> Recipe:
        """Returns what the engine is told, for a number of epochs of some steps each."""
        training = self.training
        assert training.learning_rate is not None
        return Recipe(
            dataset=0,
            schedule=self.process.noise[0],
            seed=self.seed,
            epochs=epochs,
            learning_rate=training.learning_rate,
            # Of a short training all would be warm-up.
            warmup=min(training.warmup, epochs * steps // 10),
            decay=training.decay,
            averaging=training.averaging,
            n_classes=self.n_classes,
            p_uncond=training.p_uncond,
            clip=training.gradient_clip or np.inf,
        )

    def encoded(self, indices: Int[np.ndarray, " m"] | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns rows as the network sees them, and their labels; those of all rows if `indices` is None."""
        rows = self.rows if indices is None else rows_at(self.rows, indices)
        labels = None if self.labels is None else self.labels if indices is None else self.labels[indices]
        return self.codec.encode(rows), labels


def parts_of(batch_size: int, width: int) -> int:
    """Returns the number of equal parts to cut a batch into: one if parts would be too little work to be worth it."""
    fitting = (n for n in PARTS if width >= 256 and batch_size % n == 0 and batch_size >= n * LEAST_ROWS)
    return next(fitting, 1)


def training_method(configuration: TrainingConfig, objective: AnyObjective, batch_size: int, parts: int = 1) -> Method:
    """Returns the training method for an objective; see `Method` for the parts of a batch."""
    is_clipped = configuration.gradient_clip is not None
    return Method(objective, batch_size, configuration.averaging > 0, is_clipped, configuration.precision, parts)


def rows_to_hold_out(
    n: int, labels: Int[np.ndarray, " n"] | None, n_classes: int, training: TrainingConfig, seed: int
) -> Int[np.ndarray, " v"]:
    """Chooses rows that training does not see, in order; training keeps two rows, and one of every class.

    Raises:
        ValueError: If there are too few.
    """
    if not training.early_stopping:
        return np.empty(0, np.int64)
    if n < max(3, n_classes + 1):
        raise ValueError(f"early_stopping holds out rows, and X has {n}: give more, or leave it out")
    wanted = min(max(1, round(training.validation_fraction * n)), MAX_HELD_OUT, n - max(2, n_classes))
    order = generator_of(seed, HostStream.HELD_OUT_ROWS).permutation(n)
    if labels is not None:
        kept = np.unique(labels[order], return_index=True)[1]
        order = np.concatenate([order[kept], np.delete(order, kept)])
    return np.sort(order[n - wanted :])


def training_sigma_data(
    rows: Float[np.ndarray, "n d"], codec: Codec, held_out: Int[np.ndarray, " v"]
) -> Float[np.ndarray, " k"]:
    """Returns the root mean square of each column that the network sees, over some of the rows if there are many."""
    train_indices = np.delete(np.arange(len(rows)), held_out) if len(held_out) else None
    n = len(rows) - len(held_out)
    indices = np.linspace(0, n - 1, min(n, ROWS_FOR_SIGMA)).astype(np.int64)
    return sigma_data_of(codec.encode(rows_at(rows, indices if train_indices is None else train_indices[indices])))


@dataclass(frozen=True)
class Shards:
    """Equal parts of the training rows, drawn again for every pass; a single part if there are few rows.

    They depend on the seed, and not on whether the rows are in memory.
    """

    plan: Plan
    limit: int = field(default_factory=lambda: SHARD_VALUES)

    @cached_property
    def train_indices(self) -> Int[np.ndarray, " m"] | None:
        """Positions of the rows to train on; None for all."""
        plan = self.plan
        return np.delete(np.arange(len(plan.rows)), plan.held_out) if len(plan.held_out) else None

    @property
    def n_rows(self) -> int:
        """Number of rows to train on."""
        return len(self.plan.rows) - len(self.plan.held_out)

    @cached_property
    def count(self) -> int:
        """Number of shards in a pass."""
        # Of a row: its values, its noise, their mixture, what the network is shown and is to give; what it is
        # conditioned on; time, noise level and weight.
        values = 5 * self.plan.codec.width + self.plan.process.architecture.n_features + 3
        rows, n_blocks = max(BLOCK, self.limit // values), self.n_rows // BLOCK
        if self.n_rows <= rows:
            return 1
        # Each has a batch at least, and together they have nearly all rows.
        most = max(1, n_blocks // -(-self.plan.method.batch_size // BLOCK))
        counts = range(min(-(-self.n_rows // rows), most), 0, -1)
        return next(count for count in counts if n_blocks // count * count >= FEWEST_SEEN * n_blocks)

    @property
    def size(self) -> int:
        """Number of rows in a shard."""
        return self.n_rows if self.count == 1 else self.n_rows // BLOCK // self.count * BLOCK

    def get(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns scaled rows and labels of the shard that an epoch trains on, each with a first axis of length one."""
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
    """Returns a hash of everything that decides the weights that a plan ends with."""
    schedule, sigma_data = plan.process.noise
    training, recipe = plan.training, replace(plan.recipe(plan.shard_epochs, plan.steps), schedule=None)
    facts = {
        "version": [version("pointillist"), TRAINING_VERSION],
        "rows": rows_fingerprint,
        "labels": None if plan.labels is None else fingerprint(plan.labels[:, None]),
        "schedule": None if schedule is None else fingerprint(np.asarray(schedule.alpha)[:, None]),
        "codec": [fingerprint(tensor.reshape(-1, 1)) for tensor in plan.codec.tensors().values()],
        "architecture": asdict(plan.process.architecture),
        "method": asdict(plan.method),
        "recipe": asdict(recipe),
        "sigma_data": None if sigma_data is None else fingerprint(sigma_data.reshape(-1, 1)),
        "stopping": training.early_stopping
        and [training.validation_fraction, training.n_iter_no_change, plan.steps_per_check],
        "start": None if plan.start is None else hashlib.sha256(weights.to_bytes(plan.start)).hexdigest(),
        "shards": plan.shards.limit,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
