"""How well the other columns of a table explain a column of numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from pointillist.points.mixed import Cells

_ROWS = 5000
_MOST_VALUES, _FEW = 64, 32
_RIDGE = 1e-3


def explained(columns: Sequence[Cells]) -> Float[np.ndarray, " d"]:
    """Share of the variance of each column's normal scores that a linear regression on the other columns explains.

    Categories enter as one column per value, unless they have more than 64; numbers by their scores and, unless they
    have at most 32 values, by how far their rank is from the middle. If the share of the latter is the larger one, it
    counts: of points on a circle, no coordinate has a mean that depends on the other. The share is adjusted for the
    number of columns (Ezekiel 1930), of at most 5,000 rows, and 0 for columns of categories. In a table with too few
    rows for that, it is what the best single column explains.
    """
    from scipy.special import ndtri

    n_rows = len(columns[0].values)
    places = np.linspace(0, n_rows - 1, min(n_rows, _ROWS)).astype(np.int64)
    parts: list[np.ndarray] = []
    own = {}
    for j, cells in enumerate(columns):
        values, is_missing = cells.values[places], cells.is_missing[places]
        if cells.categories is None:
            own[j] = sum(part.shape[1] for part in parts)
            _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
            ranks = ((np.cumsum(counts) - counts / 2) / len(values))[inverse]
            scores, folded = (np.where(is_missing, 0, part) for part in (ndtri(ranks), np.abs(ranks - 0.5)))
            parts.append(np.stack([scores, folded * (len(counts) > _FEW), is_missing], axis=1))
        else:
            kinds, inverse = np.unique(np.where(is_missing, -1, values), return_inverse=True)
            if len(kinds) <= _MOST_VALUES:
                parts.append(np.eye(len(kinds))[inverse])
    found = np.zeros(len(columns))
    if not own:
        return found
    features = np.concatenate([np.empty((len(places), 0)), *parts], axis=1)
    features -= features.mean(axis=0)
    spread = features.std(axis=0)
    features /= np.where(spread > 0, spread, 1)
    n, p = len(features), int((spread > 0).sum())
    if n <= p + 1:
        correlation = features[:, [*own.values()]].T @ features / n
        for (j, place), row in zip(own.items(), correlation, strict=True):
            others = np.delete(row, range(place, place + 3))
            found[j] = 1 - (n - 1) / max(n - 2, 1) * (1 - (others**2).max(initial=0))
        return found
    inverse = np.linalg.inv(features.T @ features / n + _RIDGE * np.eye(features.shape[1]))
    for j, place in own.items():
        if spread[place] > 0:
            # The inverse of a block of inverse correlations is what the other columns leave of its variances.
            both = slice(place, place + 2 if spread[place + 1] > 0 else place + 1)
            found[j] = 1 - (n - 1) / (n - p - 1) * np.linalg.inv(inverse[both, both]).diagonal().min()
    return found
