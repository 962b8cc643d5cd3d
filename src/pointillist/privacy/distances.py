"""Distances and densities of rows of mixed tables, in which every column has the same weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from sklearn.metrics import pairwise_distances, pairwise_distances_chunked

from pointillist.metrics.mixed_tables import Table, encode

Points = Float[np.ndarray, "_ k"]

MEMORY = 32
"""Megabytes of distances that are in memory at once."""

WIDTHS = np.geomspace(0.02, 1.5, 14)
"""Possible widths of the kernel; the standard deviation of a column of numbers is about 1."""

ROWS_FOR_WIDTH = 300
"""Most rows whose likelihood decides the width."""


@dataclass(frozen=True)
class Space:
    """A space of rows as points, whose squared distance is a sum over columns.

    A number becomes its rank in the reference, scaled so that its standard deviation is about 1. Two different
    categories, or a missing cell and a present one, have the distance 1 in their column. `sizes` are the numbers of
    categories of the categorical columns.
    """

    n_numbers: int
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, reference: Table, *tables: Table) -> tuple[Space, list[Points]]:
        """Turn rows of tables with the same columns into points; the reference decides the scale of numbers."""
        (ranking, *matrices), is_category = encode(reference, *tables)
        parts: list[list[Points]] = []
        sizes = []
        for j, is_categorical in enumerate(is_category):
            columns = [matrix[:, j] for matrix in matrices]
            if not is_categorical:
                parts.append(_of_numbers(ranking[:, j], columns))
                columns = [np.isnan(column).astype(float) for column in columns]
                if not any(column.any() for column in columns):
                    continue
            codes = [np.nan_to_num(column, nan=-1.0) for column in columns]
            values = np.unique(np.concatenate(codes))
            sizes.append(len(values))
            parts.append([(column[:, None] == values) * np.sqrt(0.5) for column in codes])
        return cls(int((~is_category).sum()), tuple(sizes)), [np.hstack(each) for each in zip(*parts, strict=True)]

    def log_density(self, queries: Points, records: Points) -> Float[np.ndarray, " n"]:
        """Estimate log-densities with a product of kernels.

        Numbers have Gaussian kernels, categories the kernel of Aitchison and Aitken. The width maximizes the likelihood
        of the records, each left out in turn.
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
        normalizer = self.n_numbers * np.log(width)
        normalizer += sum(np.log1p((size - 1) * np.exp(-0.5 / width**2)) for size in self.sizes)
        return logsumexp(-squares / (2 * width**2), axis=1) - np.log(squares.shape[1]) - normalizer


def _of_numbers(reference: np.ndarray, columns: list[np.ndarray]) -> list[Points]:
    values, counts = np.unique(reference[~np.isnan(reference)], return_counts=True)
    if not len(values):
        return [np.zeros((len(column), 1)) for column in columns]
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    return [np.sqrt(12) * np.where(np.isnan(each), 0.5, np.interp(each, values, ranks))[:, None] for each in columns]
