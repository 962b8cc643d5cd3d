"""How well the other columns of a table explain a numeric column."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from pointillist.lazy import special
from pointillist.tables.numbers import spread_indices
from pointillist.tables.table import Column

_ROWS = 5000
_MOST_VALUES, _FEW = 64, 32
_RIDGE = 1e-3
_FEWEST_SHARED, _ROWS_A_FEATURE = 30, 4
"""Smallest number of rows with both values for one column to explain another, and smallest number per feature."""


def explained(columns: Sequence[Column]) -> Float[np.ndarray, " d"]:
    """Returns the fraction of each column's variance that a regression on the other columns explains.

    The variance is that of the column's normal scores. The features of categories are indicators of their values, if
    there are at most 64. The features of numbers are normal scores and, with more than 32 values, the distance of the
    rank from the middle. The larger of the fractions for scores and for distances is used: for points on a circle, the
    mean of one coordinate does not depend on the other. Fractions are adjusted for the number of features (Ezekiel
    1930), computed on at most 5,000 rows, and 0 for categories. In a table with too few rows, the fraction is that of
    the best single column. Missing cells have an indicator, and correlations of numbers use the rows with both values.
    """
    indices = spread_indices(len(columns[0].values), _ROWS)
    features_of_columns: list[np.ndarray] = []
    first_feature = {}
    for j, cells in enumerate(columns):
        values, is_missing = cells.values[indices], cells.is_missing[indices]
        if cells.categories is None:
            first_feature[j] = sum(part.shape[1] for part in features_of_columns)
            features_of_columns.append(_number_features(values, is_missing))
        else:
            kinds, inverse = np.unique(np.where(is_missing, -1, values), return_inverse=True)
            if len(kinds) <= _MOST_VALUES:
                features_of_columns.append(np.eye(len(kinds))[inverse])
    found = np.zeros(len(columns))
    if not first_feature:
        return found
    features = np.concatenate(features_of_columns, axis=1)
    is_present = ~np.isnan(features)
    features[~is_present] = 0
    features -= features.mean(axis=0)
    std = features.std(axis=0)
    features /= np.where(std > 0, std, 1)
    features[~is_present] = 0
    n, varies = len(features), std > 0
    numbers = [*first_feature.values()]
    shared = _shared(is_present, numbers)
    kept = _usable(shared[:, numbers], numbers, varies) if shared.min() < n else numbers
    used = varies.copy()
    for first in {*numbers} - {*kept}:
        # The indicator of its missing cells may still explain other columns.
        used[first : first + 2] = False
    p, at = int(used.sum()), np.cumsum(used) - 1
    n_least = int(shared[np.ix_([numbers.index(first) for first in kept], kept)].min(initial=n))
    if n_least <= p + 1:
        kept = []
    if kept:
        correlation = _correlation(features[:, used], is_present[:, used], [*range(p)])
        precision = np.linalg.inv(correlation + _RIDGE * np.eye(p))
    alone = _correlation(features, is_present, numbers) if len(kept) < len(numbers) else None
    for j, first in first_feature.items():
        if first in kept and varies[first]:
            # The inverse of a block of the precision matrix is the covariance that the other columns leave.
            block = at[first : first + 3][used[first : first + 3]]
            left = np.linalg.inv(precision[np.ix_(block, block)]).diagonal()
            found[j] = 1 - (n_least - 1) / (n_least - p - 1) * left[: 1 + varies[first + 1]].min()
        elif alone is not None and first not in kept:
            k = numbers.index(first)
            counts = shared[k]
            left = (counts - 1) / np.maximum(counts - 2, 1) * (1 - alone[k] ** 2)
            left[(counts < _FEWEST_SHARED) & (counts < n)] = 1
            found[j] = 1 - np.delete(left, range(first, first + 3)).min(initial=(n - 1) / max(n - 2, 1))
    return found


def _usable(pairs: Float[np.ndarray, "k k"], indices: list[int], varies: Bool[np.ndarray, " p"]) -> list[int]:
    """Feature indices of the numeric columns that pairwise share enough rows for a regression on all their features."""
    kept, p = [*range(len(indices))], int(varies.sum())
    while kept:
        n_few = (pairs[np.ix_(kept, kept)] < max(_FEWEST_SHARED, _ROWS_A_FEATURE * p)).sum(axis=0)
        if not n_few.any():
            break
        worst = indices[kept.pop(int(n_few.argmax()))]
        p -= int(varies[worst : worst + 2].sum())
    return [indices[i] for i in kept]


def _number_features(values: Float[np.ndarray, " n"], is_missing: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Scores, distances of the rank from the middle (NaN for missing numbers), and indicators of missing cells."""
    present = values[~is_missing]
    _, inverse, counts = np.unique(present, return_inverse=True, return_counts=True)
    ranks = ((np.cumsum(counts) - counts / 2) / max(len(present), 1))[inverse]
    folded = np.abs(ranks - 0.5) * (len(counts) > _FEW)
    found = np.full((len(values), 3), np.nan)
    for i, feature in enumerate((special.ndtri(ranks), folded)):
        # Without missing cells, all features are centred later.
        found[~is_missing, i] = feature - (feature.mean() if is_missing.any() and len(feature) else 0)
    found[:, 2] = is_missing
    return found


def _shared(is_present: Bool[np.ndarray, "n p"], indices: list[int]) -> Float[np.ndarray, "k p"]:
    """Number of rows that have both of two features."""
    if is_present.all():
        return np.full((len(indices), is_present.shape[1]), float(len(is_present)))
    return is_present[:, indices].T.astype(float) @ is_present


def _correlation(
    features: Float[np.ndarray, "n p"], is_present: Bool[np.ndarray, "n p"], indices: list[int]
) -> Float[np.ndarray, "k p"]:
    """Correlations of some features with all, over the rows that have both."""
    products = features[:, indices].T @ features
    counts = np.maximum(_shared(is_present, indices), 1)
    if is_present.all():
        return products / counts
    # Means and mean squares of both features, over the rows that have both.
    one, other = features[:, indices], is_present[:, indices].astype(float)
    mean, other_mean = one.T @ is_present / counts, other.T @ features / counts
    variance = one.T**2 @ is_present / counts - mean**2
    other_variance = other.T @ features**2 / counts - other_mean**2
    scale = np.sqrt(np.maximum(variance, 0) * np.maximum(other_variance, 0))
    found = np.where(scale > 0, (products / counts - mean * other_mean) / np.where(scale > 0, scale, 1), 0)
    if len(indices) < features.shape[1]:
        return np.clip(found, -1, 1)
    # Correlations over different rows may not be positive definite.
    values, vectors = np.linalg.eigh(found)
    found = (vectors * np.maximum(values, _RIDGE)) @ vectors.T
    scale = np.sqrt(found.diagonal())
    return found / scale[:, None] / scale
