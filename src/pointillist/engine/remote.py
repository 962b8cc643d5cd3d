"""Draws rows on many machines: ranges of rows are Ray tasks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.diffusion.samplers import Sampler
from pointillist.engine.cluster import cluster, results
from pointillist.engine.sampling import AnyDenoiser, rows_per_chunk, stream_rows

CHUNKS_PER_TASK = 200
"""Size of a task, which draws 100,000 rows with 20 evaluations in about a second on one core."""


def stream_rows_on_ray(
    denoiser: AnyDenoiser,
    sampler: Sampler,
    *,
    columns: int,
    n_rows: int,
    seed: int,
    labels: Int[np.ndarray, " n_rows"] | None = None,
    prior: Float[np.ndarray, "n_rows d"] | None = None,
    address: str | None = None,
    first_row: int = 0,
) -> Iterator[Float[np.ndarray, "part d"]]:
    """Yield the rows of `sampling.stream_rows` from the workers of a cluster, by default one on this machine.

    Labels and prior are for samplers of one row per draw; a prior of one row is that of all rows.
    """
    step = rows_per_chunk(sampler) * CHUNKS_PER_TASK
    ranges = ((first, min(first + step, n_rows)) for first in range(first_row, n_rows, step))
    arguments = (
        (first, last, *(_part(each, first - first_row, last - first_row) for each in (labels, prior)))
        for first, last in ranges
    )
    with cluster(address):
        for _, rows in results(drawn, (denoiser, sampler, columns, seed), arguments, in_order=True):
            yield rows


def _part(each: np.ndarray | None, first: int, last: int) -> np.ndarray | None:
    return each if each is None or len(each) == 1 else each[first:last]


def drawn(shared: tuple[Any, ...], first: int, last: int, labels: Any, prior: Any) -> Float[np.ndarray, "part d"]:
    """Draw the rows `first` … `last` - 1 of one task."""
    denoiser, sampler, columns, seed = shared
    options = {"columns": columns, "seed": seed, "labels": labels, "prior": prior}
    return np.concatenate(list(stream_rows(denoiser, sampler, n_rows=last, first_row=first, **options)))
