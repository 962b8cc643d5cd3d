"""The coordinates of rows that a picture shows."""

from dataclasses import dataclass

import numpy as np

MARGIN = 0.12
"""Margin around the rows, as a fraction of half their range."""


@dataclass(frozen=True)
class Window:
    """The view of rows in a figure's panels: up to three coordinates, within limits equally long on each axis.

    Attributes:
        labels: Labels of the coordinates.
        origin: The point that the axes go through, shape (d,).
        directions: Directions of the axes, shape (d, dimensions).
        low: Lower limits, shape (dimensions,).
        high: Upper limits, shape (dimensions,).
    """

    labels: tuple[str, ...]
    origin: np.ndarray
    directions: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def around(cls, rows: np.ndarray) -> "Window":
        """Makes the window that holds all the given rows, shape (n, d), with a margin."""
        rows = rows.astype(np.float64)
        d = rows.shape[1]
        if d <= 3:
            labels = tuple(f"column {i + 1}" for i in range(d))
            origin, directions = np.zeros(d), np.eye(d)
        else:
            labels, origin, directions = _principal_axes(rows)
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


def _principal_axes(rows: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    origin = rows.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(rows, rowvar=False))
    directions = axes[:, [-1, -2]]
    # An eigenvector's sign is arbitrary; a fixed one keeps pictures of two machines alike.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.where(directions[largest, [0, 1]] < 0, -1.0, 1.0)
    shares = variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)
    labels = tuple(f"principal axis {i} ({share:.0%})" for i, share in enumerate(shares, 1))
    return labels, origin, directions
