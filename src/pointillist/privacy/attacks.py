"""Membership attacks of growing strength: scores of rows that are higher, the more a model seems to know the row."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy.special import logsumexp
from sklearn.metrics import pairwise_distances, pairwise_distances_argmin_min, pairwise_distances_chunked

from pointillist.diffusion.losses import CleanRows, Objective
from pointillist.diffusion.tokens.mixed_losses import MixedObjective
from pointillist.diffusion.tokens.token_losses import TokenObjective
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.recipes import AnyArchitecture, AnyObjective
from pointillist.metrics import Estimate
from pointillist.metrics.checks import Table as Columns
from pointillist.metrics.mixed_tables import encode
from pointillist.models.masked import masked_of
from pointillist.models.row_model import RowModel
from pointillist.privacy.inputs import Side
from pointillist.privacy.rates import Rate, area, epsilon_bound, rate_at

FALSE_POSITIVES = (0.01, 0.1)
"""False-positive rates at which an attack's true-positive rate is measured."""

SMALLEST_LOSS, LEAST_RANGE, LARGEST = 1e-12, 1e-3, 5.0
"""Limits of losses, of interquartile ranges of their logarithms, and of scores, so that no single draw decides."""

DRAWS = 64
"""Number of draws of noise, or of masked cells, over which the loss of a row is averaged."""

ROWS_AT_ONCE = 64

Points = Float[np.ndarray, "_ k"]

MEMORY = 32
"""Megabytes of distances that are in memory at once."""

WIDTHS = np.geomspace(0.02, 1.5, 14)
"""Possible widths of the kernel; the standard deviation of a column of numbers is about 1."""

ROWS_FOR_WIDTH = 300
"""Most rows whose likelihood decides the width."""


@dataclass(frozen=True, eq=False)
class Attack:
    """The result of an attack.

    Attributes:
        name: "nearest record", "density ratio" or "loss".
        auc: Area under its ROC curve, with a standard error: 0.5 if it cannot distinguish members from others, 1 if it
            always can.
        p_value: p-value of the one-sided Mann-Whitney test of an area above one half.
        p_value_below: p-value of the same test of an area below one half, which membership cannot explain.
        rates: Fraction of the members that it finds, at the false-positive rates `FALSE_POSITIVES`.
        epsilon: Lower bound of the ε that a differentially private fit could state; the bounds of all attacks of an
            audit hold together at the level 95 %.
    """

    name: str
    auc: Estimate
    p_value: float
    p_value_below: float
    rates: tuple[Rate, ...]
    epsilon: float
    member_scores: Float[np.ndarray, " m"]
    other_scores: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What attacks know: the model, rows drawn from it, reference rows, and the seed of noise and masked cells.

    Reference rows come from the population, and are neither training rows nor to be distinguished. Rows may be subjects
    of related tables; no attack on these sees the model, which is then None.
    """

    model: RowModel | None
    drawn: Columns
    reference: Side
    seed: int


@dataclass(frozen=True)
class Space:
    """A space of rows as points, whose squared distance is a sum over columns.

    A number becomes its rank in the reference, scaled so that its standard deviation is about 1. Two different
    categories, or a missing cell and a present one, have the distance 1 in their column. `sizes` are the numbers of
    categories of the categorical columns.
    """

    n_numbers: int
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, reference: Columns, *tables: Columns) -> tuple["Space", list[Points]]:
        """Turn rows of tables with the same columns into points; the reference decides the scale of numbers."""
        (ranking, *matrices), is_category = encode(reference, *tables)
        parts: list[list[Points]] = []
        sizes = []
        for j, is_categorical in enumerate(is_category):
            columns = [matrix[:, j] for matrix in matrices]
            if not is_categorical:
                parts.append(_of_numbers(ranking[:, j], columns))
                columns = [np.isnan(column).astype(float) for column in columns]
                if not any(column.any() for column in columns):
                    continue
            codes = [np.nan_to_num(column, nan=-1.0) for column in columns]
            values = np.unique(np.concatenate(codes))
            sizes.append(len(values))
            parts.append([(column[:, None] == values) * np.sqrt(0.5) for column in codes])
        return cls(int((~is_category).sum()), tuple(sizes)), [np.hstack(each) for each in zip(*parts, strict=True)]

    def log_density(self, queries: Points, records: Points) -> Float[np.ndarray, " n"]:
        """Estimate log-densities with a product of kernels.

        Numbers have Gaussian kernels, categories the kernel of Aitchison and Aitken. The width maximizes the likelihood
        of the records, each left out in turn.
        """
        some = np.random.default_rng(0).permutation(len(records))[:ROWS_FOR_WIDTH]
        squares = pairwise_distances(records[some], records, metric="sqeuclidean")
        squares[np.arange(len(some)), some] = np.inf
        width = max(WIDTHS, key=lambda width: self._log_kernels(squares, width).sum())
        blocks = pairwise_distances_chunked(
            queries,
            records,
            metric="sqeuclidean",
            working_memory=MEMORY,
            reduce_func=lambda squares, _: self._log_kernels(squares, width),
        )
        return np.concatenate(list(blocks))

    def _log_kernels(self, squares: np.ndarray, width: float) -> np.ndarray:
        normalizer = self.n_numbers * np.log(width)
        normalizer += sum(np.log1p((size - 1) * np.exp(-0.5 / width**2)) for size in self.sizes)
        return logsumexp(-squares / (2 * width**2), axis=1) - np.log(squares.shape[1]) - normalizer


def _of_numbers(reference: np.ndarray, columns: list[np.ndarray]) -> list[Points]:
    values, counts = np.unique(reference[~np.isnan(reference)], return_counts=True)
    if not len(values):
        return [np.zeros((len(column), 1)) for column in columns]
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    return [np.sqrt(12) * np.where(np.isnan(each), 0.5, np.interp(each, values, ranks))[:, None] for each in columns]


def nearest_record(known: Knowledge, side: Side) -> Float[np.ndarray, " n"]:
    """Return the negative distance to the nearest generated row."""
    _, (rows, drawn) = Space.of(known.reference.columns, side.columns, known.drawn)
    return -pairwise_distances_argmin_min(rows, drawn)[1]


def density_ratio(known: Knowledge, side: Side) -> Float[np.ndarray, " n"]:
    """Return the log ratio of the densities of generated and reference rows (DOMIAS, arXiv 2302.12580)."""
    columns = known.reference.columns
    space, (rows, drawn, reference) = Space.of(columns, side.columns, known.drawn, columns)
    return space.log_density(rows, drawn) - space.log_density(rows, reference)


def loss(known: Knowledge, side: Side) -> Float[np.ndarray, " n"]:
    """Return how far the model's loss of a row lies below the loss of reference rows, on average over draws.

    All rows share the noise levels, noise and masked cells of each draw, so that these do not hide the difference (as
    in arXiv 2503.12008). As losses at high and at low noise differ in size, the logarithms of the losses of each draw
    are standardized by the median and the interquartile range of the reference rows, and clipped to ±`LARGEST`.
    """
    assert known.model is not None
    found, usual = (
        np.log(np.maximum(row_losses(known.model, each.rows, each.labels, known.seed), SMALLEST_LOSS))
        for each in (side, known.reference)
    )
    low, middle, high = np.quantile(usual, (0.25, 0.5, 0.75), axis=0)
    scores = np.clip((middle - found) / np.maximum(high - low, LEAST_RANGE), -LARGEST, LARGEST).mean(axis=1)
    return np.where(side.is_foreign, -LARGEST, scores)


ATTACKS: dict[str, Callable[[Knowledge, Side], Float[np.ndarray, " n"]]] = {
    "nearest record": nearest_record,
    "density ratio": density_ratio,
    "loss": loss,
}
"""Scores of rows by the name of the attack, the weakest first."""

WITHOUT_MODEL = ("nearest record", "density ratio")
"""The attacks on subjects of related tables. There is no loss of a whole subject, because each table has a model, which
is given what the parent's other rows have left of its totals."""


def attacked(
    name: str, known: Knowledge, members: Side, others: Side, rng: np.random.Generator, delta: float, level: float
) -> Attack:
    """Run an attack on members and others; `rng`, `delta` and `level` are for `epsilon_bound`."""
    scores = ATTACKS[name](known, members.with_more(others))
    inside, outside = scores[: len(members)], scores[len(members) :]
    auc, p_value = area(inside, outside)
    rates = tuple(rate_at(inside, outside, each) for each in FALSE_POSITIVES)
    bound = epsilon_bound(inside, outside, rng, level, delta)
    return Attack(name, auc, p_value, area(outside, inside)[1], rates, bound, inside, outside)


def row_losses(
    model: RowModel,
    rows: Float[np.ndarray, "n width"],
    labels: Int[np.ndarray, " n"] | None,
    seed: int,
    draws: int = DRAWS,
) -> Float[np.ndarray, "n draws"]:
    """Compute the training loss of each row, at draws of noise levels, noise and masked cells that all rows share.

    Rows are as the network sees them; a label is an index of a class, or the number of classes for "no class".
    """
    architecture, parameters = model.process.architecture, model.parameters
    objective: AnyObjective
    if not model.codec.encoding.n_tokens:
        objective = Objective(model.trained_with["prediction"], parameters["weighting"], parameters["noise_levels"])
    else:
        token_architecture, has_missing = masked_of(model).architecture, model.codec.missing == "unknown"
        tokens, has_joint_network = token_architecture.tokens, token_architecture.has_joint_network
        objective = TokenObjective(tokens)
        if tokens.with_number:
            objective = MixedObjective(tokens, has_missing=has_missing, has_joint_network=has_joint_network)
    n_more = -len(rows) % ROWS_AT_ONCE
    padded = np.pad(np.asarray(rows, np.float32), ((0, n_more), (0, 0)), mode="edge")
    padded_labels = None if labels is None else np.pad(labels.astype(np.int32), (0, n_more), mode="edge")
    key, noise = key_of(seed, Stream.HELD_OUT_LOSS), model.process.noise
    losses = _losses(key, model.network, noise, padded, padded_labels, architecture, objective, draws)
    return np.asarray(losses)[: len(rows)]


@partial(jax.jit, static_argnames=("architecture", "objective", "draws"))
def _losses(
    key: PRNGKeyArray,
    network: Any,
    noise: Any,
    rows: Float[Array, "n width"],
    labels: Int[Array, " n"] | None,
    architecture: AnyArchitecture,
    objective: AnyObjective,
    draws: int,
) -> Float[Array, "n draws"]:
    keys = jax.random.split(key)

    def row_loss(row: tuple[Array, Array | None]) -> Float[Array, " draws"]:
        x0, label = row
        labels = None if label is None else jnp.repeat(label, draws)
        clean = CleanRows(jnp.repeat(x0[None], draws, axis=0), labels, noise[0], noise[1], architecture.features)
        examples = objective.examples((keys[0], keys[1]), clean, draws)
        return jax.vmap(lambda one: objective.loss(network, jax.tree.map(lambda a: a[None], one), "float32"))(examples)

    return jax.lax.map(row_loss, (rows, labels), batch_size=ROWS_AT_ONCE)
