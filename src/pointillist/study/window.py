"""The view in which pictures of a study show rows."""

from dataclasses import dataclass

import numpy as np

MARGIN = 0.12
"""Margin around the rows, as a fraction of half their range."""


@dataclass(frozen=True)
class Window:
    """A view of rows: up to three coordinates, within limits equally long on each axis.

    The axes go through `origin`, shape (d,), in `directions`, shape (d, dimensions), from `low` to `high`.
    """

    labels: tuple[str, ...]
    origin: np.ndarray
    directions: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def around(cls, rows: np.ndarray) -> "Window":
        """Makes the window that holds all the given rows, shape (n, d), with a margin.

        With more than three columns, it shows the first two principal axes.
        """
        rows = rows.astype(np.float64)
        d = rows.shape[1]
        labels = tuple(f"column {i + 1}" for i in range(d))
        origin, directions = np.zeros(d), np.eye(d)
        if d > 3:
            origin = rows.mean(axis=0)
            variances, axes = np.linalg.eigh(np.cov(rows, rowvar=False))
            directions = axes[:, [-1, -2]]
            # An eigenvector's sign is arbitrary; a fixed one keeps pictures of two machines alike.
            largest = np.abs(directions).argmax(axis=0)
            directions = directions * np.where(directions[largest, [0, 1]] < 0, -1.0, 1.0)
            fractions = variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)
            labels = tuple(f"principal axis {i} ({fraction:.0%})" for i, fraction in enumerate(fractions, 1))
        shown = (rows - origin) @ directions
        low, high = shown.min(axis=0), shown.max(axis=0)
        half = (high - low).max() / 2 * (1 + MARGIN) or 1.0
        middle = (low + high) / 2
        return cls(labels, origin, directions, middle - half, middle + half)

    @property
    def dimensions(self) -> int:
        """Number of coordinates that are shown, 1 to 3."""
        return len(self.labels)

    def split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes coordinates of rows, shape (n, dimensions), and which rows are inside, shape (n,)."""
        shown = (rows.astype(np.float64) - self.origin) @ self.directions
        return shown, ((shown >= self.low) & (shown <= self.high)).all(axis=1)
