"""Membership attacks of growing strength: scores of rows that are higher, the more a model seems to know the row."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sklearn.metrics import pairwise_distances_argmin_min

from pointillist.metrics import Estimate
from pointillist.metrics.mixed_tables import Table as Columns
from pointillist.models.row_model import RowModel
from pointillist.privacy.distances import Space
from pointillist.privacy.inputs import Side
from pointillist.privacy.losses import row_losses
from pointillist.privacy.rates import Rate, area, epsilon_bound, rate_at

FALSE_POSITIVES = (0.01, 0.1)
"""Shares of false positives at which an attack's true positives are given."""

SMALLEST_LOSS, LEAST_SPREAD, LARGEST = 1e-12, 1e-3, 5.0
"""Limits of the logarithms of losses, so that no single draw decides."""


@dataclass(frozen=True, eq=False)
class Attack:
    """What an attack finds out.

    Attributes:
        name: "nearest record", "density ratio" or "loss".
        auc: Area under its ROC curve, with a standard error: 0.5 if it cannot tell members from others, 1 if it always
            can.
        p_value: p-value of Mann and Whitney's one-sided test of an area above one half.
        p_value_below: p-value of the same test of an area below one half, which membership cannot explain.
        rates: Share of the members that it finds, at the shares `FALSE_POSITIVES` of false positives.
        epsilon: Lower bound of the ε that a differentially private fit could state; those of all attacks of an audit
            hold together at the level 95 %.
        member_scores: Scores of the members, shape (m,).
        other_scores: Scores of the non-members, shape (n,).
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
    """What attacks know.

    Attributes:
        model: The model.
        drawn: Rows drawn from it.
        reference: Rows of the population that were not in training, and are not among those to distinguish.
        seed: Seed of noise and hidden cells.
    """

    model: RowModel
    drawn: Columns
    reference: Side
    seed: int


Score = Callable[[Knowledge, Side], Float[np.ndarray, " n"]]


def nearest_record(known: Knowledge, side: Side) -> Float[np.ndarray, " n"]:
    """Negative distance to the nearest generated row."""
    _, (rows, drawn) = Space.of(known.reference.columns, side.columns, known.drawn)
    return -pairwise_distances_argmin_min(rows, drawn)[1]


def density_ratio(known: Knowledge, side: Side) -> Float[np.ndarray, " n"]:
    """Log of the density of generated rows, less that of the population (van Breugel et al. 2023, arXiv 2302.12580)."""
    columns = known.reference.columns
    space, (rows, drawn, reference) = Space.of(columns, side.columns, known.drawn, columns)
    return space.log_density(rows, drawn) - space.log_density(rows, reference)


def loss(known: Knowledge, side: Side) -> Float[np.ndarray, " n"]:
    """How far the model's loss of a row lies below that of reference rows, on average over draws.

    All rows share the noise levels, noise and hidden cells of each draw, so that these do not hide the difference (as
    in arXiv 2503.12008). Losses at high and at low noise are not of one size: of each draw, the logarithm of the loss
    is taken, less the median over reference rows and in units of their interquartile range, and at most `LARGEST`.
    """
    reference = known.reference
    found, usual = (
        np.log(np.maximum(row_losses(known.model, own.rows, own.labels, known.seed), SMALLEST_LOSS))
        for own in (side, reference)
    )
    low, middle, high = np.quantile(usual, (0.25, 0.5, 0.75), axis=0)
    scores = np.clip((middle - found) / np.maximum(high - low, LEAST_SPREAD), -LARGEST, LARGEST).mean(axis=1)
    return np.where(side.is_foreign, -LARGEST, scores)


ATTACKS: dict[str, Score] = {"nearest record": nearest_record, "density ratio": density_ratio, "loss": loss}
"""Attacks by name, the weakest first."""


def attacked(
    name: str, known: Knowledge, members: Side, others: Side, rng: np.random.Generator, delta: float, level: float
) -> Attack:
    """Runs an attack on members and others, none of them among the reference.

    Args:
        name: Name of the attack.
        known: What it knows.
        members: Rows that the model was fitted to.
        others: Rows that it was not fitted to.
        rng: Generator that halves the scores, to bound ε.
        delta: δ of the bound.
        level: Probability that the bound exceeds ε.
    """
    scores = ATTACKS[name](known, members.with_more(others))
    inside, outside = scores[: len(members)], scores[len(members) :]
    auc, p_value = area(inside, outside)
    rates = tuple(rate_at(inside, outside, share) for share in FALSE_POSITIVES)
    bound = epsilon_bound(inside, outside, rng, level, delta)
    return Attack(name, auc, p_value, area(outside, inside)[1], rates, bound, inside, outside)
