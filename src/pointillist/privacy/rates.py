"""How well an attack distinguishes members from non-members, with intervals that hold for few rows.

An attack gives each row a score, and takes rows whose score exceeds a threshold for members.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import beta, binom, mannwhitneyu

from pointillist.metrics import Estimate
from pointillist.metrics.nearest import placements

Scores = Float[np.ndarray, " _"]


@dataclass(frozen=True)
class Rate:
    """True-positive rate of an attack at a given false-positive rate.

    Attributes:
        false_positives: The false-positive rate α: the fraction of non-members taken for members.
        value: The true-positive rate: the fraction of members found, in [0, 1]; NaN with fewer than 1 / α - 1
            non-members.
        interval: A confidence interval of the level 95 %.
    """

    false_positives: float
    value: float
    interval: tuple[float, float]


def area(members: Scores, others: Scores) -> tuple[Estimate, float]:
    """Compute the area under the ROC curve, and the p-value of an area above one half.

    The area is the probability that the score of a member exceeds the score of a non-member, where ties count half,
    with its standard error (DeLong et al. 1988); the p-value is that of the one-sided Mann-Whitney test.
    """
    m, n = len(members), len(others)
    above, below = placements(members, others), 1 - placements(others, members)
    variance = above.var(ddof=1) / m + below.var(ddof=1) / n
    # Scores that separate the two entirely have an error too.
    error = math.sqrt(max(float(variance), 1 / (4 * min(m, n) ** 2)))
    p_value = float(mannwhitneyu(members, others, alternative="greater").pvalue)
    null = math.sqrt((m + n + 1) / (12 * m * n))
    return Estimate(float(above.mean()), error, math.inf, null), 1.0 if math.isnan(p_value) else p_value


def rate_at(members: Scores, others: Scores, false_positives: float, level: float = 0.05) -> Rate:
    """Compute the true-positive rate at a false-positive rate α.

    The threshold is the k-th largest score of n non-members, k = ⌊α (n + 1)⌋: a further non-member exceeds it with the
    probability k / (n + 1) ≤ α. It does not depend on the members.

    The interval holds for any distribution of scores. The threshold that exactly α of all non-members exceed lies
    between two of their scores, as the number of non-members above it is binomial; the ends of the interval are
    Clopper-Pearson bounds for the members above these two scores. It misses the rate with the probability `level` at
    most, and each of the four bounds fails with a quarter of the level.
    """
    n, m = len(others), len(members)
    falling = np.sort(others)[::-1]
    k = math.floor(false_positives * (n + 1) + 1e-9)
    value = float(np.mean(members > falling[k - 1])) if k else math.nan
    fewest, most = (int(binom.ppf(q, n, false_positives)) for q in (level / 4, 1 - level / 4))
    least = int((members >= falling[fewest - 1]).sum()) if fewest else 0
    largest = int((members > falling[most]).sum()) if most < n else m
    interval = float(lower_bound(least, m, level / 4)), float(upper_bound(largest, m, level / 4))
    return Rate(false_positives, value, interval)


def lower_bound(k: Any, n: int, level: float) -> Any:
    """Return the Clopper-Pearson lower bound of a probability after k of n trials succeeded; k may be an array."""
    with np.errstate(invalid="ignore"):
        return np.where(np.asarray(k) > 0, beta.ppf(level, k, n - k + 1), 0.0)


def upper_bound(k: Any, n: int, level: float) -> Any:
    """Return the Clopper-Pearson upper bound of a probability after k of n trials succeeded; k may be an array."""
    return 1 - lower_bound(n - k, n, level)


def epsilon_bound(
    members: Scores, others: Scores, rng: np.random.Generator, level: float = 0.05, delta: float = 0.0
) -> float:
    """Compute a lower bound, at least 0, of the ε that a differentially private fit could state.

    If the fit is (ε, δ)-differentially private, an attack with the true-positive rate TPR and the false-positive rate
    FPR has TPR ≤ exp(ε) FPR + δ, and 1 - FPR ≤ exp(ε) (1 - TPR) + δ (Kairouz et al. 2015, arXiv 1311.0776, theorem
    2.1). One half of the scores, by `rng`, selects the threshold and one of the two inequalities. The other half gives
    the rates, each replaced by the Clopper-Pearson bound that is less favorable to the attack. The bound exceeds ε with
    the probability `level` at most.
    """
    halves = [np.array_split(rng.permutation(scores), 2) for scores in (members, others)]
    (selecting_members, bounding_members), (selecting_others, bounding_others) = halves
    thresholds = np.unique(np.concatenate([selecting_members, selecting_others]))
    found = _bounds(selecting_members, selecting_others, thresholds, level, delta)
    inequality, index = np.unravel_index(np.argmax(found), found.shape)
    bounds = _bounds(bounding_members, bounding_others, thresholds[index : index + 1], level, delta)
    return max(0.0, float(bounds[inequality, 0]))


def _bounds(members: Scores, others: Scores, thresholds: Scores, level: float, delta: float) -> np.ndarray:
    """Return the bounds of ε by both inequalities, shape (2, thresholds), if members are scores ≥ a threshold."""
    m, n = len(members), len(others)
    true, false = (len(side) - np.searchsorted(np.sort(side), thresholds) for side in (members, others))
    half = level / 2
    larger = np.stack([lower_bound(true, m, half), lower_bound(n - false, n, half)])
    smaller = np.stack([upper_bound(false, n, half), upper_bound(m - true, m, half)])
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(larger - delta, 0.0)) - np.log(smaller)
