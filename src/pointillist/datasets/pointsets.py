"""The named point sets: five of a published study, scikit-learn's digits as 64 columns, and five of the literature.

Each set has one canonical draw, with `random_state=42` and the default number of rows. The columns of this draw are
scaled to the range [-1, 1]. All other draws are scaled by the same factors, so they can serve as held-out rows. The
published draws of blobs, manycircles and helix were not kept, so these sets are scaled by the published ranges.

The last five sets follow Grathwohl et al. 2019 (FFJORD, arXiv 1810.01367, section 5.1) and the code published with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.scaling import AffineScaling
from pointillist.lazy import datasets, stats

_CANONICAL_SEED = 42

Rows = Float[np.ndarray, "n d"]
Labels = Int[np.ndarray, " n"]
Draw = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class PointSet:
    """A named set of labelled rows.

    Attributes:
        draw: Function `(n_rows, random_state) -> (rows, labels)`, before scaling.
        n_rows: Number of rows of the canonical draw.
        n_columns: Number of columns.
        is_generated: Whether any number of fresh rows can be drawn; otherwise the rows are a fixed table.
        class_probabilities: Function for p(y | x) of rows before scaling, (n, d) → (n, classes); None if not known.
        log_density: Function for log p(x) of these rows in nats, (n, d) → (n,); None if not known.
        bounds: Lowest and highest value of each column, shape (2, d), which are scaled to -1 and 1; None for the range
            of the canonical draw.
    """

    draw: Callable[[int, int], Draw]
    n_rows: int
    n_columns: int
    is_generated: bool = True
    class_probabilities: Callable[[np.ndarray], np.ndarray] | None = None
    log_density: Callable[[np.ndarray], np.ndarray] | None = None
    bounds: tuple[tuple[float, ...], tuple[float, ...]] | None = None


_BLOBS_F = 0.005 * np.eye(2)
_BLOBS_G = 0.004 * np.array([[0.0, 1.0], [1.0, 0.0]])
_BLOBS_MEANS = np.array([[0.3, 0.4], [0.2, 0.3], [0.8, 0.8]])
_BLOBS_COVARIANCES = np.stack([_BLOBS_F, 2 * _BLOBS_F + _BLOBS_G, _BLOBS_F - _BLOBS_G])

_BLOBS_COUNTS = (6433, 315, 1252)
"""Number of rows of each component in the published draw, on which the report's NLL depends."""


def _blobs(n_rows: int, random_state: int) -> Draw:
    rng = np.random.default_rng(random_state)
    if (n_rows, random_state) == (sum(_BLOBS_COUNTS), _CANONICAL_SEED):
        component = rng.permutation(np.repeat(np.arange(3), _BLOBS_COUNTS))
    else:
        is_second = rng.random(n_rows) < 0.2
        component = np.where(is_second, np.where(rng.random(n_rows) < 0.2, 1, 2), 0)
    factors = np.linalg.cholesky(_BLOBS_COVARIANCES)
    noise = rng.standard_normal((len(component), 2))
    rows = _BLOBS_MEANS[component] + np.einsum("nij,nj->ni", factors[component], noise)
    return rows, (component > 0).astype(np.int64)


def _blobs_log_joint(rows: np.ndarray) -> np.ndarray:
    distributions = zip(_BLOBS_MEANS, _BLOBS_COVARIANCES, strict=True)
    # SciPy returns a number for a single row.
    label_0, low, high = (
        np.atleast_1d(stats.multivariate_normal(mean, cov).logpdf(rows)) for mean, cov in distributions
    )
    return np.stack([np.log(0.8) + label_0, np.log(0.2) + np.logaddexp(np.log(0.2) + low, np.log(0.8) + high)], axis=1)


_EIGHT_CENTERS = np.stack([f(np.arange(8) * (2 * np.pi / 8)) for f in (np.cos, np.sin)], axis=1)


def _manycircles_log_joint(rows: np.ndarray) -> np.ndarray:
    squares = ((rows[:, None] - _EIGHT_CENTERS) ** 2).sum(axis=2)
    return -squares / (2 * 0.25**2) - np.log(2 * np.pi * 0.25**2 * 8)


def _known(log_joint: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """Make the functions of a `PointSet` from log p(x, y) of rows and all classes."""

    def log_density(rows: np.ndarray) -> np.ndarray:
        return np.logaddexp.reduce(log_joint(rows), axis=1)

    return {
        "class_probabilities": lambda rows: np.exp(log_joint(rows) - log_density(rows)[:, None]),
        "log_density": log_density,
    }


def _helix_classes(rows: np.ndarray) -> np.ndarray:
    p_one = (np.sin(4 * rows.prod(axis=1)) + 1) / 2
    return np.stack([1 - p_one, p_one], axis=1)


def _manycircles(n_rows: int, random_state: int) -> Draw:
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 8, n_rows)
    return _EIGHT_CENTERS[labels] + 0.25 * rng.standard_normal((n_rows, 2)), labels


def _helix(n_rows: int, random_state: int) -> Draw:
    rng = np.random.default_rng(random_state)
    z = rng.uniform(-2.0, -1.0, n_rows)
    curve = np.stack([np.cos(14 * z), np.sin(14 * z), z], axis=1)
    rows = curve + 0.03 * rng.standard_normal((n_rows, 3))
    return rows, (rng.random(n_rows) < _helix_classes(rows)[:, 1]).astype(np.int64)


def _digits(n_rows: int, random_state: int) -> Draw:
    rows, labels = datasets.load_digits(return_X_y=True)
    if n_rows > len(rows):
        raise ValueError(f"digits is a fixed table of {len(rows)} rows; n_rows = {n_rows} asks for more")
    if n_rows == len(rows):
        return rows, labels
    chosen = np.random.default_rng(random_state).choice(len(rows), n_rows, replace=False)
    return rows[chosen], labels[chosen]


def _checkerboard(n_rows: int, random_state: int) -> Draw:
    """Draw uniform rows on the eight dark squares of a 4 × 4 board; the labels are the columns of the board."""
    rng = np.random.default_rng(random_state)
    x = rng.uniform(-2, 2, n_rows)
    column = np.floor(x).astype(np.int64)
    y = rng.random(n_rows) - 2 * rng.integers(0, 2, n_rows) + column % 2
    return 2 * np.stack([x, y], axis=1), column + 2


def _two_spirals(n_rows: int, random_state: int) -> Draw:
    """Draw two arms of one and a half turns; the labels are the arms."""
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 2, n_rows)
    angle = np.sqrt(rng.random(n_rows)) * 3 * np.pi
    arm = np.stack([-np.cos(angle) * angle, np.sin(angle) * angle], axis=1) + rng.random((n_rows, 2)) / 2
    return np.where(labels == 0, 1, -1)[:, None] * arm / 3 + 0.1 * rng.standard_normal((n_rows, 2)), labels


def _pinwheel(n_rows: int, random_state: int) -> Draw:
    """Draw five blades, bent by their radius, the mirror image of FFJORD's; the labels are the blades."""
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 5, n_rows)
    radial, tangential = (rng.standard_normal((n_rows, 2)) * [0.3, 0.1] + [1, 0]).T
    angle = 2 * np.pi / 5 * labels + 0.25 * np.exp(radial)
    cos, sin = np.cos(angle), np.sin(angle)
    return 2 * np.stack([radial * cos - tangential * sin, radial * sin + tangential * cos], axis=1), labels


def _swiss_roll(n_rows: int, random_state: int) -> Draw:
    """Draw scikit-learn's Swiss roll (noise 1), seen from the side; the labels are the inner and the outer half."""
    rows, angle = datasets.make_swiss_roll(n_rows, noise=1.0, random_state=random_state)
    return rows[:, [0, 2]] / 5, (angle > 3 * np.pi).astype(np.int64)


def _eight_gaussians(n_rows: int, random_state: int) -> Draw:
    """Draw eight normal groups of standard deviation 0.5 on a circle of radius 4; the labels are the groups."""
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 8, n_rows)
    return (4 * _EIGHT_CENTERS[labels] + 0.5 * rng.standard_normal((n_rows, 2))) / np.sqrt(2), labels


_BLOBS_BOUNDS = (-0.11891929, 0.00406744), (1.01889227, 1.02566315)
_MANYCIRCLES_BOUNDS = (-1.90880006, -1.92209132), (1.84434573, 1.98558275)
_HELIX_BOUNDS = (-1.09179386, -1.11152191, -2.06045209), (1.1011553, 1.09112796, -0.91758362)

POINTSETS: dict[str, PointSet] = {
    "moons": PointSet(lambda n, seed: datasets.make_moons(n, noise=0.04, random_state=seed), 8000, 2),
    "circles": PointSet(lambda n, seed: datasets.make_circles(n, noise=0.04, factor=0.7, random_state=seed), 8000, 2),
    "blobs": PointSet(_blobs, 8000, 2, bounds=_BLOBS_BOUNDS, **_known(_blobs_log_joint)),
    "manycircles": PointSet(_manycircles, 8000, 2, bounds=_MANYCIRCLES_BOUNDS, **_known(_manycircles_log_joint)),
    "helix": PointSet(_helix, 10000, 3, bounds=_HELIX_BOUNDS, class_probabilities=_helix_classes),
    "digits": PointSet(_digits, 1797, 64, is_generated=False),
    "checkerboard": PointSet(_checkerboard, 8000, 2),
    "two_spirals": PointSet(_two_spirals, 8000, 2),
    "pinwheel": PointSet(_pinwheel, 8000, 2),
    "swiss_roll": PointSet(_swiss_roll, 8000, 2),
    "eight_gaussians": PointSet(_eight_gaussians, 8000, 2),
}
"""Every named set, by name."""


@lru_cache(maxsize=len(POINTSETS))
def _scaling(name: str) -> AffineScaling:
    pointset = POINTSETS[name]
    if pointset.bounds is not None:
        return AffineScaling.minmax(np.array(pointset.bounds))
    return AffineScaling.minmax(pointset.draw(pointset.n_rows, _CANONICAL_SEED)[0])


def load_pointset(name: str, n_rows: int | None = None, random_state: int = _CANONICAL_SEED) -> tuple[Rows, Labels]:
    """Draw rows of a named set, scaled per column by the range of its canonical draw.

    The canonical draw (`n_rows=None, random_state=42`) lies in [-1, 1]; in blobs, manycircles and helix, which are
    scaled by the range of the published draws, a few rows lie outside. Other draws are independent rows from the same
    distribution, scaled by the same factors. `digits` is a fixed table: a smaller `n_rows` takes a random subset.

    Args:
        name: One of `POINTSETS`: moons, circles, blobs, manycircles, helix, digits; checkerboard, two_spirals,
            pinwheel, swiss_roll, eight_gaussians.
        n_rows: Number of rows, at least 2; 8,000 by default (10,000 of helix, 1,797 of digits).
        random_state: Seed of the draw, a non-negative integer.

    Returns:
        Rows of shape (n_rows, d), float32, and labels of shape (n_rows,), int64, from 0.

    Raises:
        ValueError: If the name is unknown, or `n_rows` is below 2 or above the size of a fixed table.

    Example:
        >>> X, y = load_pointset("moons")
        >>> X.shape, X.dtype, float(X.min()), float(X.max()), sorted(set(y.tolist()))
        ((8000, 2), dtype('float32'), -1.0, 1.0, [0, 1])
    """
    if name not in POINTSETS:
        raise ValueError(f"unknown point set {name!r}: choose one of {', '.join(POINTSETS)}")
    pointset = POINTSETS[name]
    n_rows = pointset.n_rows if n_rows is None else n_rows
    if n_rows < 2:
        raise ValueError(f"n_rows must be at least 2, not {n_rows}")
    rows, labels = pointset.draw(n_rows, random_state)
    return _scaling(name).transform(rows), labels.astype(np.int64)


def true_class_probabilities(name: str, rows: Rows) -> Float[np.ndarray, "n classes"] | None:
    """Compute p(y | x) of rows as `load_pointset` scales them, the predictions of the best possible classifier.

    It is known for blobs, manycircles and helix, and None for the other sets.
    """
    probabilities = POINTSETS[name].class_probabilities
    return None if probabilities is None else probabilities(_scaling(name).inverse(rows))


def true_log_density(name: str, rows: Rows) -> Float[np.ndarray, " n"] | None:
    """Compute log p(x) in nats of rows as `load_pointset` scales them.

    It is known for blobs and manycircles, and None for the other sets.
    """
    log_density = POINTSETS[name].log_density
    if log_density is None:
        return None
    scaling = _scaling(name)
    return log_density(scaling.inverse(rows)) - scaling.log_slope(rows)
