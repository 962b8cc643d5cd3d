"""What scores of members and of non-members show: how well an attack does, with intervals that hold for few rows.

An attack gives each row a score, and says of the rows whose score exceeds a threshold that they are members.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import beta, binom, mannwhitneyu

from pointillist.metrics import Estimate
from pointillist.metrics.nearest import placements

Scores = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Rate:
    """Share of the members that an attack finds, if it takes a given share of the non-members for members.

    Attributes:
        false_positives: The share of the non-members, α.
        value: The share of the members, in [0, 1]; NaN with fewer than 1 / α - 1 non-members.
        interval: An interval of the level 95 % for it.
    """

    false_positives: float
    value: float
    interval: tuple[float, float]


def area(members: Scores, others: Scores) -> tuple[Estimate, float]:
    """Computes the area under the ROC curve, and the p-value of an area above one half.

    Args:
        members: Scores of members, shape (m,).
        others: Scores of non-members, shape (n,).

    Returns:
        The probability that a member's score exceeds that of a non-member, ties counting half, with its standard error
        (DeLong et al. 1988); and the p-value of Mann and Whitney's one-sided test.
    """
    m, n = len(members), len(others)
    above = placements(members, others)
    below = 1 - placements(others, members)
    value = float(above.mean())
    variance = above.var(ddof=1) / m + below.var(ddof=1) / n
    # Scores that separate the two entirely are not without error.
    floor = 1 / (4 * min(m, n) ** 2)
    error = math.sqrt(max(float(variance), floor))
    p_value = float(mannwhitneyu(members, others, alternative="greater").pvalue)
    null = math.sqrt((m + n + 1) / (12 * m * n))
    return Estimate(value, error, math.inf, null), 1.0 if math.isnan(p_value) else p_value


def rate_at(members: Scores, others: Scores, false_positives: float, level: float = 0.05) -> Rate:
    """Computes the share of the members found at a share α of false positives.

    The threshold is the k-th largest score of n non-members, k = ⌊α (n + 1)⌋: the chance that the score of one more
    non-member exceeds it is k / (n + 1), at most α. The members have no part in it.

    The interval holds for any distribution of scores. The number of non-members above the threshold that exactly α of
    all non-members exceed is binomial, so that it lies between two of their scores; and of the members above these two,
    the interval has the bounds of Clopper and Pearson. Each of the four events has a quarter of the level.

    Args:
        members: Scores of members.
        others: Scores of non-members.
        false_positives: α, in (0, 1).
        level: Probability that the interval misses the share.
    """
    n, m = len(others), len(members)
    falling = np.sort(others)[::-1]
    k = math.floor(false_positives * (n + 1) + 1e-9)
    value = float(np.mean(members > falling[k - 1])) if k else math.nan
    fewest, most = (int(binom.ppf(q, n, false_positives)) for q in (level / 4, 1 - level / 4))
    least = int((members >= falling[fewest - 1]).sum()) if fewest else 0
    largest = int((members > falling[most]).sum()) if most < n else m
    return Rate(
        false_positives, value, (float(lower_bound(least, m, level / 4)), float(upper_bound(largest, m, level / 4)))
    )


def lower_bound(k: Any, n: int, level: float) -> Any:
    """Clopper and Pearson's lower bound of a probability, if k of n trials succeeded; k may be an array."""
    with np.errstate(invalid="ignore"):
        return np.where(np.asarray(k) > 0, beta.ppf(level, k, n - k + 1), 0.0)


def upper_bound(k: Any, n: int, level: float) -> Any:
    """Clopper and Pearson's upper bound of a probability, if k of n trials succeeded; k may be an array."""
    return 1 - lower_bound(n - k, n, level)


def epsilon_bound(
    members: Scores, others: Scores, rng: np.random.Generator, level: float = 0.05, delta: float = 0.0
) -> float:
    """Computes a lower bound of the ε that a differentially private fit could state, given an attack's scores.

    If the fit is (ε, δ)-differentially private, an attack with the true-positive rate TPR and the false-positive rate
    FPR has TPR ≤ exp(ε) FPR + δ, and 1 - FPR ≤ exp(ε) (1 - TPR) + δ (Kairouz et al. 2015, arXiv 1311.0776, theorem
    2.1). One half of the scores chooses the threshold and which of the two is used. Of the other half, the rates are
    replaced by the bounds of Clopper and Pearson that are less favourable to the attack.

    Args:
        members: Scores of members.
        others: Scores of non-members.
        rng: Generator that halves the scores.
        level: Probability that the bound exceeds ε.
        delta: δ.

    Returns:
        The bound, at least 0.
    """
    halves = [np.array_split(rng.permutation(scores), 2) for scores in (members, others)]
    (choosing_members, own_members), (choosing_others, own_others) = halves
    thresholds = np.unique(np.concatenate([choosing_members, choosing_others]))
    found = _bounds(choosing_members, choosing_others, thresholds, level, delta)
    kind, index = np.unravel_index(np.argmax(found), found.shape)
    bound = _bounds(own_members, own_others, thresholds[index : index + 1], level, delta)[kind, 0]
    return max(0.0, float(bound))


def _bounds(members: Scores, others: Scores, thresholds: Scores, level: float, delta: float) -> np.ndarray:
    """The bounds of ε by both inequalities, shape (2, thresholds), for attacks that take scores ≥ a threshold."""
    m, n = len(members), len(others)
    true, false = (len(side) - np.searchsorted(np.sort(side), thresholds) for side in (members, others))
    half = level / 2
    larger = np.stack([lower_bound(true, m, half), lower_bound(n - false, n, half)])
    smaller = np.stack([upper_bound(false, n, half), upper_bound(m - true, m, half)])
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(larger - delta, 0.0)) - np.log(smaller)
