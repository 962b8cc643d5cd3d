"""Matches rows to rows of another table: to similar rows, as often as each of them is wanted."""

import numpy as np
from jaxtyping import Float, Int

from pointillist.lazy import spatial
from pointillist.relational.features import Cells, Feature

_JITTER = 1e-3
"""Weight of the random coordinate that decides between equally similar rows."""

_MOST_ROUNDS = 100


def coordinates(features: tuple[Feature, ...], cells: Cells, scales: Cells, n: int) -> Float[np.ndarray, "n k"]:
    """Returns n rows as points whose distances measure how much rows differ; `scales` has cells for the units."""
    points = [np.zeros((n, 0))]
    for feature in features:
        coded = feature.coded(cells[feature.name])
        present = ~coded.is_missing
        if feature.categories is None:
            unit = np.std(feature.coded(scales[feature.name]).values) or 1.0
            points.append(np.stack([np.where(present, coded.values / unit, 0.0), ~present], axis=1))
        else:
            values = np.where(present, coded.values, -1)
            points.append((values[:, None] == np.arange(len(feature.categories))).astype(float))
    return np.concatenate(points, axis=1)


def fitted_counts(wanted: Float[np.ndarray, " r"], n: int, rng: np.random.Generator) -> Int[np.ndarray, " r"]:
    """Returns integers with the sum n that are in proportion to the wanted numbers, rounded at random."""
    wanted = wanted.astype(float) if wanted.sum() > 0 else np.ones(len(wanted))
    order = rng.permutation(len(wanted))
    counts = np.empty(len(wanted), np.int64)
    ends = np.cumsum(wanted[order]) * (n / wanted.sum())
    ends[-1] = n
    counts[order] = np.diff(np.floor(ends + 1e-9), prepend=0).astype(np.int64)
    return counts


def matched(
    points: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "r k"],
    counts: Int[np.ndarray, " r"],
    rng: np.random.Generator,
) -> Int[np.ndarray, " n"]:
    """Assigns each point to a near target, so that each target gets its number of points, which sum to n.

    In each round, every point that is left proposes to the nearest target with room, and targets accept at random.
    """
    room, found = counts.copy(), np.full(len(points), -1)
    for _ in range(_MOST_ROUNDS):
        left, free = np.flatnonzero(found < 0), np.flatnonzero(room > 0)
        if not len(left):
            return found
        # Among equal targets, a target is proposed to in proportion to its room.
        slots = np.repeat(free, np.minimum(room[free], 8))
        jitter = _JITTER * rng.random(len(slots))
        tree = spatial.cKDTree(np.column_stack([targets[slots], jitter]))
        near = slots[tree.query(np.column_stack([points[left], _JITTER * rng.random(len(left))]))[1]]
        order = rng.permutation(len(left))
        order = order[np.argsort(near[order], kind="stable")]
        left, near = left[order], near[order]
        turn = np.arange(len(near)) - np.searchsorted(near, near)
        is_accepted = turn < room[near]
        found[left[is_accepted]] = near[is_accepted]
        room -= np.bincount(near[is_accepted], minlength=len(room))
    left = np.flatnonzero(found < 0)
    found[left] = rng.permutation(np.repeat(np.arange(len(room)), room))[: len(left)]
    return found


def earlier_rows(
    is_missing: np.ndarray, wanted: Float[np.ndarray, " n"], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Assigns rows to other rows of the table, in proportion to `wanted` and without cycles; -1 where missing."""
    order = np.concatenate([rng.permutation(np.flatnonzero(is_missing)), rng.permutation(np.flatnonzero(~is_missing))])
    total = np.concatenate([[0.0], np.cumsum(wanted[order] + 1e-6)])
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    # Without a row that refers to none, the first one refers to itself.
    before = total[np.maximum(position, 1)]
    chosen = order[np.searchsorted(total, rng.random(len(order)) * before, side="right") - 1]
    return np.where(is_missing, -1, chosen)


def without_repeats(
    rows: Int[np.ndarray, " n"], others: Int[np.ndarray, " n"], n_rows: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Changes entries of `rows`, which are below `n_rows`, until no pair with `others` repeats.

    An entry of `others` occurs at most `n_rows` times. Random swaps keep how often each entry of `rows` occurs; what
    still repeats after 100 rounds gets a free entry.
    """
    rows = rows.copy()
    for _ in range(_MOST_ROUNDS):
        repeated = _repeated(others * n_rows + rows)
        if not len(repeated):
            return rows
        partners = rng.integers(len(rows), size=len(repeated))
        for i, j in zip(repeated, partners, strict=True):
            rows[i], rows[j] = rows[j], rows[i]
    for other in np.unique(others[_repeated(others * n_rows + rows)]):
        here = np.flatnonzero(others == other)
        again = here[_repeated(rows[here])]
        # Twice as many rows as needed, drawn at random, include enough that are free.
        free = np.setdiff1d(rng.choice(n_rows, min(n_rows, 2 * len(here)), replace=False), rows[here])
        rows[again] = rng.permutation(free)[: len(again)]
    return rows


def _repeated(values: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Indices of the values that occur before."""
    return np.setdiff1d(np.arange(len(values)), np.unique(values, return_index=True)[1])
