"""Five point sets in the plane from the literature on flows and diffusion models, as FFJORD defines them.

The definitions are those of Grathwohl et al. 2019, arXiv 1810.01367, section 5.1; the constants are those of the code
published with it. Each function takes a number of rows and a seed, and returns rows, in the generator's own units, and
labels.
"""

import numpy as np

SamplingRun = tuple[np.ndarray, np.ndarray]


def checkerboard(n_rows: int, random_state: int) -> SamplingRun:
    """Uniform rows on the eight dark squares of a 4 × 4 board; labels: the board's four columns."""
    rng = np.random.default_rng(random_state)
    x = rng.uniform(-2, 2, n_rows)
    column = np.floor(x).astype(np.int64)
    y = rng.random(n_rows) - 2 * rng.integers(0, 2, n_rows) + column % 2
    return 2 * np.stack([x, y], axis=1), column + 2


def two_spirals(n_rows: int, random_state: int) -> SamplingRun:
    """Two arms of one and a half turns; labels: the arm."""
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 2, n_rows)
    angle = np.sqrt(rng.random(n_rows)) * 3 * np.pi
    arm = np.stack([-np.cos(angle) * angle, np.sin(angle) * angle], axis=1) + rng.random((n_rows, 2)) / 2
    return np.where(labels == 0, 1, -1)[:, None] * arm / 3 + 0.1 * rng.standard_normal((n_rows, 2)), labels


def pinwheel(n_rows: int, random_state: int) -> SamplingRun:
    """Five blades, bent by their radius, the mirror image of FFJORD's; labels: the blade."""
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 5, n_rows)
    radial, tangential = (rng.standard_normal((n_rows, 2)) * [0.3, 0.1] + [1, 0]).T
    angle = 2 * np.pi / 5 * labels + 0.25 * np.exp(radial)
    cos, sin = np.cos(angle), np.sin(angle)
    return 2 * np.stack([radial * cos - tangential * sin, radial * sin + tangential * cos], axis=1), labels


def swiss_roll(n_rows: int, random_state: int) -> SamplingRun:
    """scikit-learn's Swiss roll (noise 1) seen from the side; labels: its inner and its outer half."""
    from sklearn.datasets import make_swiss_roll

    rows, angle = make_swiss_roll(n_rows, noise=1.0, random_state=random_state)
    return rows[:, [0, 2]] / 5, (angle > 3 * np.pi).astype(np.int64)


def eight_gaussians(n_rows: int, random_state: int) -> SamplingRun:
    """Eight normal groups of standard deviation 0.5 on a circle of radius 4; labels: the group."""
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, 8, n_rows)
    angle = labels * (np.pi / 4)
    centres = 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (centres + 0.5 * rng.standard_normal((n_rows, 2))) / np.sqrt(2), labels
