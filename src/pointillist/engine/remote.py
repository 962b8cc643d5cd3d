"""Drawing rows on many machines: ranges of rows are tasks of Ray."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.tokens import TokenDenoiser
from pointillist.engine.cluster import cluster, results
from pointillist.engine.sampling import rows_per_chunk, stream_rows

CHUNKS_PER_TASK = 200
"""A task then draws 100,000 rows with 20 evaluations in about a second on a core."""


def stream_rows_on_ray(
    denoiser: Denoiser | TokenDenoiser,
    sampler: Sampler,
    *,
    columns: int,
    n_rows: int,
    seed: int,
    labels: Int[np.ndarray, " n_rows"] | None = None,
    prior: Float[np.ndarray, "n_rows d"] | None = None,
    address: str | None = None,
) -> Iterator[Float[np.ndarray, "part d"]]:
    """The rows of `sampling.stream_rows`, for samplers of one row a draw, from the workers of a cluster.

    Args:
        denoiser: As of `stream_rows`.
        sampler: As of `stream_rows`.
        columns: d.
        n_rows: At least 0.
        seed: 0 … 2³² - 1.
        labels: As of `stream_rows`.
        prior: As of `stream_rows`.
        address: Of the cluster; None for one of this machine's cores.
    """
    step = rows_per_chunk(sampler) * CHUNKS_PER_TASK
    ranges = ((first, min(first + step, n_rows)) for first in range(0, n_rows, step))
    arguments = (
        (first, last, *(None if each is None else each[first:last] for each in (labels, prior)))
        for first, last in ranges
    )
    with cluster(address):
        for _, rows in results(drawn, (denoiser, sampler, columns, seed), arguments, in_order=True):
            yield rows


def drawn(shared: tuple[Any, ...], first: int, last: int, labels: Any, prior: Any) -> Float[np.ndarray, "part d"]:
    """A task: rows `first` … `last` - 1."""
    denoiser, sampler, columns, seed = shared
    options = {"columns": columns, "seed": seed, "labels": labels, "prior": prior}
    return np.concatenate(list(stream_rows(denoiser, sampler, n_rows=last, first_row=first, **options)))
