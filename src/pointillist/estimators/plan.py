"""Everything that decides the weights of a training, and its hash."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.diffusion.schedules import Schedule
from pointillist.engine import weights
from pointillist.engine.epochs import TRAINING_VERSION
from pointillist.engine.keys import HostStream, generator_of
from pointillist.engine.recipes import AnyArchitecture, Method, Weights
from pointillist.engine.training import spread_of
from pointillist.points import AffineScaling, QuantileScaling, TableScaling, blocks, rows_at

SHARD_VALUES = 2**23
"""Most numbers that an epoch may hold in memory at once; a larger table is trained on in shards."""

BLOCK = 64
"""Number of neighboring rows that go to the same shard: reading a file row by row would be slow."""

MAX_HELD_OUT = 10_000
ROWS_FOR_SPREAD = 100_000


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
        order = generator_of(self.seed, HostStream.HELD_OUT_ROWS).permutation(n)
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
            rng = generator_of(self.plan.seed, HostStream.SHARDS, turn)
            n_blocks = self.n_rows // BLOCK
            first = rng.integers(self.n_rows - n_blocks * BLOCK + 1)
            per_shard = self.size // BLOCK
            chosen = np.sort(rng.permutation(n_blocks)[shard * per_shard : (shard + 1) * per_shard])
            places = (first + chosen[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            rows, labels = self.plan.scaled(places if self.seen is None else self.seen[places])
        return rows[None], None if labels is None else labels[None].astype(np.int32)


def fingerprint(rows: np.ndarray) -> str:
    """Returns a hash of the training rows."""
    digest = hashlib.sha256(str(rows.shape).encode())
    for block in blocks(rows):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:32]


def plan_key(plan: Plan, rows_fingerprint: str) -> str:
    """Returns a hash of everything that decides the weights that a plan ends with."""
    facts = {
        "version": [version("pointillist"), TRAINING_VERSION],
        "rows": rows_fingerprint,
        "labels": None if plan.labels is None else fingerprint(plan.labels[:, None]),
        "schedule": fingerprint(np.asarray(plan.schedule.alpha)[:, None]),
        "scaling": [fingerprint(tensor.reshape(-1, 1)) for tensor in scaling_tensors(plan.scaling).values()],
        "architecture": asdict(plan.architecture),
        "method": asdict(plan.method),
        "spread": fingerprint(plan.spread[:, None]),
        "stopping": None if plan.stopping is None else asdict(plan.stopping),
        "start": None if plan.start is None else hashlib.sha256(weights.to_bytes(plan.start)).hexdigest(),
        "shards": plan.shards.limit,
    }
    facts |= {
        name: getattr(plan, name)
        for name in (
            *("n_classes", "epochs", "default_steps", "most_default_epochs", "p_uncond", "seed"),
            *("learning_rate", "warmup", "decay", "averaging", "clip"),
        )
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def scaling_tensors(scaling: TableScaling | Unscaled) -> dict[str, np.ndarray]:
    """Returns a scaling as named arrays, as a model file holds it."""
    if isinstance(scaling, Unscaled):
        return {}
    common = {"minimum": scaling.minimum, "maximum": scaling.maximum}
    if isinstance(scaling.varying, QuantileScaling):
        return {**common, "quantiles": scaling.varying.quantiles}
    assert isinstance(scaling.varying, AffineScaling)
    return {**common, "centre": scaling.varying.centre, "unit": scaling.varying.unit}
