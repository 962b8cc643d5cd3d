"""Distances and densities of rows of mixed tables, in which every column counts the same, whatever its tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from sklearn.metrics import pairwise_distances, pairwise_distances_chunked

from pointillist.metrics.mixed_tables import Table, encode

Points = Float[np.ndarray, "n k"]

MEMORY = 32
"""Megabytes of distances that are in memory at once."""

WIDTHS = np.geomspace(0.02, 1.5, 14)
"""Widths of the kernel to choose from; the standard deviation of a column of numbers is about 1."""

ROWS_FOR_WIDTH = 300
"""Most rows by whose likelihood the width is chosen."""


@dataclass(frozen=True)
class Space:
    """Rows as points, whose squared distance is a sum over columns.

    A number is its share of the reference's rows below it, times √12, so that its standard deviation is about 1. Two
    categories that differ, and a missing cell beside one that is not, are at distance 1 in their column.

    Attributes:
        n_numbers: Number of columns of numbers.
        sizes: Number of categories of each column of categories.
    """

    n_numbers: int
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, reference: Table, *tables: Table) -> tuple[Space, list[Points]]:
        """Turns the rows of tables into points.

        Args:
            reference: Table that decides the scale of numbers.
            tables: Tables with the same columns.
        """
        matrices, is_category = encode(reference, *tables)
        parts: list[list[Points]] = [[] for _ in tables]
        sizes = []
        for j, of_categories in enumerate(is_category):
            columns = [side[:, j] for side in matrices]
            if not of_categories:
                is_missing = [np.isnan(column).astype(float) for column in columns[1:]]
                for part, own in zip(parts, _of_numbers(columns), strict=True):
                    part.append(own)
                if not any(each.any() for each in is_missing):
                    continue
                columns = [columns[0], *is_missing]
            found = _of_categories(columns[1:])
            sizes.append(found[0].shape[1])
            for part, own in zip(parts, found, strict=True):
                part.append(own)
        return cls(int((~is_category).sum()), tuple(sizes)), [np.hstack(part) for part in parts]

    def log_density(self, queries: Points, records: Points) -> Float[np.ndarray, " n"]:
        """Estimates log-densities with a product of kernels, of the width that suits the records best.

        Kernels of numbers are Gaussian, those of categories as Aitchison and Aitken's. The width is the one under which
        the records, each left out in turn, are likeliest.
        """
        some = np.random.default_rng(0).permutation(len(records))[:ROWS_FOR_WIDTH]
        squares = pairwise_distances(records[some], records, metric="sqeuclidean")
        squares[np.arange(len(some)), some] = np.inf
        width = max(WIDTHS, key=lambda width: self._log_kernels(squares, width).sum())
        blocks = pairwise_distances_chunked(
            queries,
            records,
            metric="sqeuclidean",
            working_memory=MEMORY,
            reduce_func=lambda squares, _: self._log_kernels(squares, width),
        )
        return np.concatenate(list(blocks))

    def _log_kernels(self, squares: np.ndarray, width: float) -> np.ndarray:
        spread = self.n_numbers * np.log(width)
        spread += sum(np.log1p((size - 1) * np.exp(-0.5 / width**2)) for size in self.sizes)
        return logsumexp(-squares / (2 * width**2), axis=1) - np.log(squares.shape[1]) - spread


def _of_categories(columns: list[np.ndarray]) -> list[Points]:
    codes = [np.nan_to_num(column, nan=-1.0) for column in columns]
    known = np.unique(np.concatenate(codes))
    return [(column[:, None] == known) * np.sqrt(0.5) for column in codes]


def _of_numbers(columns: list[np.ndarray]) -> list[Points]:
    values, counts = np.unique(columns[0][~np.isnan(columns[0])], return_counts=True)
    if not len(values):
        return [np.zeros((len(column), 1)) for column in columns[1:]]
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    scaled = [np.where(np.isnan(column), 0.5, np.interp(column, values, middles)) for column in columns[1:]]
    return [np.sqrt(12) * own[:, None] for own in scaled]
