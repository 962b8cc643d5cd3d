"""How well the other columns of a table explain a column of numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from pointillist.tables.table import Column

_ROWS = 5000
_MOST_VALUES, _FEW = 64, 32
_RIDGE = 1e-3
_FEWEST_SHARED, _ROWS_A_FEATURE = 30, 4
"""Fewest rows that two columns with gaps share for one to explain the other, and fewest for each feature."""


def explained(columns: Sequence[Column]) -> Float[np.ndarray, " d"]:
    """Share of the variance of each column's normal scores that a linear regression on the other columns explains.

    Categories enter as one column per value, unless they have more than 64; numbers by their scores and, unless they
    have at most 32 values, by how far their rank is from the middle. If the share of the latter is the larger one, it
    counts: of points on a circle, no coordinate has a mean that depends on the other. The share is adjusted for the
    number of columns (Ezekiel 1930), of at most 5,000 rows, and 0 for columns of categories. In a table with too few
    rows for that, it is what the best single column explains. Missing cells enter as a column of their own, and
    correlations of numbers are those of the rows that have both.
    """
    n_rows = len(columns[0].values)
    indices = np.linspace(0, n_rows - 1, min(n_rows, _ROWS)).astype(np.int64)
    parts: list[np.ndarray] = []
    is_given: list[np.ndarray] = []
    own = {}
    for j, cells in enumerate(columns):
        values, is_missing = cells.values[indices], cells.is_missing[indices]
        if cells.categories is None:
            own[j] = sum(part.shape[1] for part in parts)
            parts.append(_of_numbers(values, is_missing))
            is_given.append(np.stack([~is_missing, ~is_missing, np.ones(len(indices), bool)], axis=1))
        else:
            kinds, inverse = np.unique(np.where(is_missing, -1, values), return_inverse=True)
            if len(kinds) <= _MOST_VALUES:
                parts.append(np.eye(len(kinds))[inverse])
                is_given.append(np.ones((len(indices), len(kinds)), bool))
    found = np.zeros(len(columns))
    if not own:
        return found
    features = np.concatenate(parts, axis=1)
    features -= features.mean(axis=0)
    spread = features.std(axis=0)
    features /= np.where(spread > 0, spread, 1)
    there = np.concatenate(is_given, axis=1)
    features[~there] = 0
    n, varies = len(features), spread > 0
    numbers = [*own.values()]
    shared = _shared(there, numbers)
    kept = _kept(shared[:, numbers], numbers, varies) if shared.min() < n else numbers
    used = varies.copy()
    for place in {*numbers} - {*kept}:
        # But whether it is missing may explain others.
        used[place : place + 2] = False
    p, rows = int(used.sum()), [numbers.index(place) for place in kept]
    n_least = int(shared[np.ix_(rows, kept)].min(initial=n))
    if n_least <= p + 1:
        kept = []
    if kept:
        chosen = np.flatnonzero(used)
        at = dict(zip(chosen.tolist(), range(p), strict=True))
        correlation = _correlation(features[:, chosen], there[:, chosen], [*range(p)])
        precision = np.linalg.inv(correlation + _RIDGE * np.eye(p))
    alone = _correlation(features, there, numbers) if len(kept) < len(numbers) else None
    for j, place in own.items():
        if place in kept and varies[place]:
            # The inverse of a block of inverse correlations is what the other columns leave of its variances.
            block = [at[place + i] for i in range(3) if used[place + i]]
            left = np.linalg.inv(precision[np.ix_(block, block)]).diagonal()
            found[j] = 1 - (n_least - 1) / (n_least - p - 1) * left[: 1 + varies[place + 1]].min()
        elif alone is not None and place not in kept:
            k = numbers.index(place)
            counts = shared[k]
            left = (counts - 1) / np.maximum(counts - 2, 1) * (1 - alone[k] ** 2)
            left[(counts < _FEWEST_SHARED) & (counts < n)] = 1
            found[j] = 1 - np.delete(left, range(place, place + 3)).min(initial=(n - 1) / max(n - 2, 1))
    return found


def _kept(pairs: Float[np.ndarray, "k k"], indices: list[int], varies: Bool[np.ndarray, " p"]) -> list[int]:
    """Places of columns of numbers of which enough rows have any two, for a regression on all their features."""
    kept, p = [*range(len(indices))], int(varies.sum())
    while kept:
        n_few = (pairs[np.ix_(kept, kept)] < max(_FEWEST_SHARED, _ROWS_A_FEATURE * p)).sum(axis=0)
        if not n_few.any():
            break
        worst = indices[kept.pop(int(n_few.argmax()))]
        p -= int(varies[worst : worst + 2].sum())
    return [indices[i] for i in kept]


def _of_numbers(values: Float[np.ndarray, " n"], is_missing: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Scores, distances of the rank from the middle, and whether cells are missing; 0 in place of missing numbers."""
    from scipy.special import ndtri

    given = values[~is_missing]
    _, inverse, counts = np.unique(given, return_inverse=True, return_counts=True)
    ranks = ((np.cumsum(counts) - counts / 2) / max(len(given), 1))[inverse]
    folded = np.abs(ranks - 0.5) * (len(counts) > _FEW)
    found = np.zeros((len(values), 3))
    for place, part in enumerate((ndtri(ranks), folded)):
        # Where all are given, centred with the others.
        found[~is_missing, place] = part - (part.mean() if is_missing.any() and len(part) else 0)
    found[:, 2] = is_missing
    return found


def _shared(is_given: Bool[np.ndarray, "n p"], indices: list[int]) -> Float[np.ndarray, "k p"]:
    """Numbers of rows that have both of two features."""
    if is_given.all():
        return np.full((len(indices), is_given.shape[1]), float(len(is_given)))
    return is_given[:, indices].T.astype(float) @ is_given


def _correlation(
    features: Float[np.ndarray, "n p"], is_given: Bool[np.ndarray, "n p"], indices: list[int]
) -> Float[np.ndarray, "k p"]:
    """Correlations of some features with all, each of the rows that have both."""
    products = features[:, indices].T @ features
    counts = np.maximum(_shared(is_given, indices), 1)
    if is_given.all():
        return products / counts
    # Of the rows that have both, the mean and the square of the one, and of the other.
    own, other = features[:, indices], is_given[:, indices].astype(float)
    mean, other_mean = own.T @ is_given / counts, other.T @ features / counts
    variance = own.T**2 @ is_given / counts - mean**2
    other_variance = other.T @ features**2 / counts - other_mean**2
    scale = np.sqrt(np.maximum(variance, 0) * np.maximum(other_variance, 0))
    found = np.where(scale > 0, (products / counts - mean * other_mean) / np.where(scale > 0, scale, 1), 0)
    if len(indices) < features.shape[1]:
        return np.clip(found, -1, 1)
    # Correlations of different rows need not be those of any table.
    values, vectors = np.linalg.eigh(found)
    found = (vectors * np.maximum(values, _RIDGE)) @ vectors.T
    scale = np.sqrt(found.diagonal())
    return found / scale[:, None] / scale
