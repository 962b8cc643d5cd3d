"""The named point sets: five of a published study, scikit-learn's digits as 64 columns, and five of the literature.

Each set has one canonical draw (`random_state=42` and its own number of rows). Its scale is the canonical draw's range
per column, which becomes [-1, 1]; the published draws of blobs, manycircles and helix were not kept, only their ranges,
and these are the scale of those sets. Any other draw is put on the same scale, so that it can serve as held-out rows of
the same distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.scaling import AffineScaling
from pointillist.datasets import toy_sets

_CANONICAL_SEED = 42

Rows = Float[np.ndarray, "n d"]
Labels = Int[np.ndarray, " n"]


@dataclass(frozen=True)
class PointSet:
    """A named set of labelled rows.

    Attributes:
        draw: Function `(n_rows, random_state) -> (rows, labels)`, in the generator's own units.
        n_rows: Number of rows of the canonical draw.
        n_columns: Number of columns.
        is_generated: Whether any number of fresh rows can be drawn; otherwise the rows are a fixed table.
        class_probabilities: Function for p(y | x) of rows in the generator's own units, (n, d) → (n, classes); None if
            it is not known.
        log_density: Function for log p(x) of such rows in nats, (n, d) → (n,); None if it is not known.
        bounds: Lowest and highest value of each column, shape (2, d), that the scale maps to -1 and 1; None for those
            of the canonical draw.
        canonical: Function for the rows and labels of the canonical draw; None for `draw` with the canonical seed.
    """

    draw: Callable[[int, int], tuple[np.ndarray, np.ndarray]]
    n_rows: int
    n_columns: int
    is_generated: bool = True
    class_probabilities: Callable[[np.ndarray], np.ndarray] | None = None
    log_density: Callable[[np.ndarray], np.ndarray] | None = None
    bounds: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    canonical: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None


def _moons(n_rows: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_moons

    return make_moons(n_rows, noise=0.04, random_state=random_state)


def _circles(n_rows: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_circles

    return make_circles(n_rows, noise=0.04, factor=0.7, random_state=random_state)


_BLOBS_F = 0.005 * np.eye(2)
_BLOBS_G = 0.004 * np.array([[0.0, 1.0], [1.0, 0.0]])
_BLOBS_MEANS = np.array([[0.3, 0.4], [0.2, 0.3], [0.8, 0.8]])
_BLOBS_COVARIANCES = np.stack([_BLOBS_F, 2 * _BLOBS_F + _BLOBS_G, _BLOBS_F - _BLOBS_G])


_BLOBS_COUNTS = (6433, 315, 1252)
"""Number of rows of each component in the published draw, whose shares the report NLL depends on."""


def _blobs(n_rows: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(random_state)
    labels = (rng.random(n_rows) < 0.2).astype(np.int64)
    return _blobs_of(np.where(labels == 0, 0, np.where(rng.random(n_rows) < 0.2, 1, 2)), rng)


def _canonical_blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(_CANONICAL_SEED)
    return _blobs_of(rng.permutation(np.repeat(np.arange(3), _BLOBS_COUNTS)), rng)


def _blobs_of(component: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    factors = np.linalg.cholesky(_BLOBS_COVARIANCES)
    noise = rng.standard_normal((len(component), 2))
    rows = _BLOBS_MEANS[component] + np.einsum("nij,nj->ni", factors[component], noise)
    return rows, (component > 0).astype(np.int64)


def _blobs_log_joint(rows: np.ndarray) -> np.ndarray:
    from scipy.stats import multivariate_normal

    distributions = zip(_BLOBS_MEANS, _BLOBS_COVARIANCES, strict=True)
    # SciPy makes a number of a single row's.
    label_0, low, high = (np.atleast_1d(multivariate_normal(mean, cov).logpdf(rows)) for mean, cov in distributions)
    return np.stack([np.log(0.8) + label_0, np.log(0.2) + np.logaddexp(np.log(0.2) + low, np.log(0.8) + high)], axis=1)


_EIGHT_CENTRES = np.stack([f(np.arange(8) * (2 * np.pi / 8)) for f in (np.cos, np.sin)], axis=1)


def _manycircles_log_joint(rows: np.ndarray) -> np.ndarray:
    squares = ((rows[:, None] - _EIGHT_CENTRES) ** 2).sum(axis=2)
    return -squares / (2 * 0.25**2) - np.log(2 * np.pi * 0.25**2 * 8)


def _posterior(log_joint: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda rows: np.exp(log_joint(rows) - np.logaddexp.reduce(log_joint(rows), axis=1, keepdims=True))


def _marginal(log_joint: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda rows: np.logaddexp.reduce(log_joint(rows), axis=1)


def _helix_classes(rows: np.ndarray) -> np.ndarray:
    p_one = (np.sin(4 * rows.prod(axis=1)) + 1) / 2
    return np.stack([1 - p_one, p_one], axis=1)


def _manycircles(n_rows: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 8, n_rows)
    return _EIGHT_CENTRES[labels] + 0.25 * rng.standard_normal((n_rows, 2)), labels


def _helix(n_rows: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(random_state)
    z = rng.uniform(-2.0, -1.0, n_rows)
    curve = np.stack([np.cos(14 * z), np.sin(14 * z), z], axis=1)
    rows = curve + 0.03 * rng.standard_normal((n_rows, 3))
    return rows, (rng.random(n_rows) < _helix_classes(rows)[:, 1]).astype(np.int64)


def _digits(n_rows: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    if n_rows > len(rows):
        raise ValueError(f"digits is a fixed table of {len(rows)} rows; n_rows = {n_rows} asks for more")
    if n_rows == len(rows):
        return rows, labels
    chosen = np.random.default_rng(random_state).choice(len(rows), n_rows, replace=False)
    return rows[chosen], labels[chosen]


POINTSETS: dict[str, PointSet] = {
    "moons": PointSet(_moons, 8000, 2),
    "circles": PointSet(_circles, 8000, 2),
    "blobs": PointSet(
        _blobs,
        8000,
        2,
        class_probabilities=_posterior(_blobs_log_joint),
        log_density=_marginal(_blobs_log_joint),
        bounds=((-0.11891929, 0.00406744), (1.01889227, 1.02566315)),
        canonical=_canonical_blobs,
    ),
    "manycircles": PointSet(
        _manycircles,
        8000,
        2,
        class_probabilities=_posterior(_manycircles_log_joint),
        log_density=_marginal(_manycircles_log_joint),
        bounds=((-1.90880006, -1.92209132), (1.84434573, 1.98558275)),
    ),
    "helix": PointSet(
        _helix,
        10000,
        3,
        class_probabilities=_helix_classes,
        bounds=((-1.09179386, -1.11152191, -2.06045209), (1.1011553, 1.09112796, -0.91758362)),
    ),
    "digits": PointSet(_digits, 1797, 64, is_generated=False),
    "checkerboard": PointSet(toy_sets.checkerboard, 8000, 2),
    "two_spirals": PointSet(toy_sets.two_spirals, 8000, 2),
    "pinwheel": PointSet(toy_sets.pinwheel, 8000, 2),
    "swiss_roll": PointSet(toy_sets.swiss_roll, 8000, 2),
    "eight_gaussians": PointSet(toy_sets.eight_gaussians, 8000, 2),
}
"""Every named set, by name."""


def _drawn(pointset: PointSet, n_rows: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    if pointset.canonical is not None and (n_rows, random_state) == (pointset.n_rows, _CANONICAL_SEED):
        return pointset.canonical()
    return pointset.draw(n_rows, random_state)


@lru_cache(maxsize=len(POINTSETS))
def _scaling(name: str) -> AffineScaling:
    pointset = POINTSETS[name]
    bounds = pointset.bounds
    return AffineScaling.minmax(
        _drawn(pointset, pointset.n_rows, _CANONICAL_SEED)[0] if bounds is None else np.array(bounds)
    )


def load_pointset(name: str, n_rows: int | None = None, random_state: int = _CANONICAL_SEED) -> tuple[Rows, Labels]:
    """Draws rows of a named set, scaled per column by the range of its canonical draw.

    The canonical draw (`n_rows=None, random_state=42`) lies in [-1, 1]; that of blobs, manycircles and helix does but
    for a few rows, because their scale is the range of the published draws. Other draws are independent rows from the
    same distribution on the same scale. `digits` is a fixed table: a smaller `n_rows` takes a random subset of it.

    Args:
        name: One of `POINTSETS`: moons, circles, blobs, manycircles, helix, digits; checkerboard, two_spirals,
            pinwheel, swiss_roll, eight_gaussians.
        n_rows: Number of rows, at least 2; by default the set's own number.
        random_state: Seed of the draw, a non-negative integer.

    Returns:
        Rows of shape (n_rows, d), float32, and labels of shape (n_rows,), int64, from 0.

    Raises:
        ValueError: If the name is unknown, or `n_rows` is below 2 or above what a fixed table has.

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
    rows, labels = _drawn(pointset, n_rows, random_state)
    return _scaling(name).transform(rows), labels.astype(np.int64)


def true_class_probabilities(name: str, rows: Rows) -> Float[np.ndarray, "n classes"] | None:
    """Class probabilities p(y | x) of the generator, which the best possible classifier has; None if not known.

    Args:
        name: One of `POINTSETS`; known for blobs, manycircles and helix.
        rows: Shape (n, d), on the scale of `load_pointset`.
    """
    probabilities = POINTSETS[name].class_probabilities
    return None if probabilities is None else probabilities(_scaling(name).inverse(rows))


def true_log_density(name: str, rows: Rows) -> Float[np.ndarray, " n"] | None:
    """Log-density log p(x) of the generator in nats, on the scale of `load_pointset`; None if not known.

    Args:
        name: One of `POINTSETS`; known for blobs and manycircles.
        rows: Shape (n, d), on the scale of `load_pointset`.
    """
    log_density = POINTSETS[name].log_density
    if log_density is None:
        return None
    scaling = _scaling(name)
    # Of scaled rows: over the slope of scaling.
    return log_density(scaling.inverse(rows)) - scaling.log_slope(rows)
