"""Draws rows in chunks of one shape, sharded over devices.

As chunks have one shape, and the key of a draw follows from its index, a row depends only on the seed, its index and
its label: not on the number of rows, calls or devices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser, has_classes
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.steering import Steered
from pointillist.diffusion.tokens.mixed_sampling import MixedDenoiser
from pointillist.diffusion.tokens.token_sampling import TokenDenoiser
from pointillist.engine import devices as engine_devices
from pointillist.engine import host
from pointillist.engine.cluster import cluster, results
from pointillist.engine.random_streams import Stream, key_of

ROWS_PER_CHUNK = 500
"""Number of network evaluations in parallel; the activations of so few rows stay in a core's cache."""

CHUNKS_PER_CALL = 16
"""Number of chunks that a device computes per call, which bounds the memory."""

CHUNKS_PER_TASK = 200
"""Size of a Ray task, which draws 100,000 rows with 20 evaluations in about a second on one core."""


@dataclass(frozen=True)
class Division:
    """How rows are divided among calls and devices.

    Attributes:
        chunk_rows: Number of rows that a device computes together, `rows_per_chunk` by default; it decides the last
            bits of the rows.
        chunks_per_call: Largest number of chunks that a device computes before it yields them.
        devices: Devices to use, all by default.
    """

    chunk_rows: int | None = None
    chunks_per_call: int = CHUNKS_PER_CALL
    devices: Sequence[jax.Device] | None = None


BY_DEFAULT = Division()

AnyDenoiser = Denoiser | TokenDenoiser | MixedDenoiser

_AXIS = "rows"


def rows_per_chunk(sampler: Sampler) -> int:
    """Return the number of rows that a device computes together."""
    return max(1, ROWS_PER_CHUNK // sampler.width) * sampler.rows_per_draw


def stream_rows(
    denoiser: AnyDenoiser,
    sampler: Sampler,
    *,
    columns: int,
    n_rows: int,
    seed: int,
    labels: Int[np.ndarray, " rows"] | None = None,
    prior: Float[np.ndarray, "draws start"] | None = None,
    first_row: int = 0,
    division: Division = BY_DEFAULT,
) -> Iterator[Float[np.ndarray, "part d"]]:
    """Yield rows in order, as they are computed, in parts: float32, scaled as the model sees them.

    `labels` are the class indices of the rows from `first_row` on, a multiple of the number of rows per chunk; rows
    that a sampler draws together share a label. `prior` is the x_T of every draw from there on, shape (draws, d), or
    one x_T for all, shape (1, d); by default it is drawn from N(0, I).

    Raises a ValueError if a reward does not return one number per row or, outside compiled code, returns NaN.
    """
    mesh = engine_devices.mesh(_AXIS, division.devices)
    key = key_of(seed, Stream.SAMPLING)
    chunk_rows = division.chunk_rows or rows_per_chunk(sampler)
    draws = chunk_rows // sampler.rows_per_draw
    by_draw = None
    if labels is not None:
        # A stream without rows has one label too.
        by_draw = labels[:: sampler.rows_per_draw] if len(labels) else np.zeros(1, np.int32)
    is_compiled = not isinstance(sampler, Steered) or host.is_traceable(sampler.reward, columns)
    most_chunks = CHUNKS_PER_CALL if is_compiled else 1
    n_chunks = -(-n_rows // chunk_rows)
    first_chunk = chunk = first_row // chunk_rows
    while chunk < n_chunks:
        in_call = min(n_chunks - chunk, min(division.chunks_per_call, most_chunks) * mesh.size)
        counts = np.array([len(part) for part in np.array_split(np.arange(in_call), mesh.size)], np.int32)
        starts = (chunk + np.concatenate([[0], np.cumsum(counts)[:-1]])).astype(np.int32)
        at_draw = (starts - first_chunk)[:, None] * draws + np.arange(most_chunks * draws)
        call_labels = None if by_draw is None else by_draw[np.minimum(at_draw, len(by_draw) - 1)].astype(np.int32)
        call_prior = None if prior is None else prior[np.minimum(at_draw, len(prior) - 1)].astype(np.float32)
        shape: dict[str, Any] = {"draws": draws, "columns": columns, "mesh": mesh}
        if isinstance(sampler, Steered) and not is_compiled:
            first_draws = starts * np.int32(draws)
            assert isinstance(denoiser, Denoiser)
            rows = host.draw_chunks(key, denoiser, sampler, first_draws, call_labels, call_prior, **shape)
        else:
            rows = np.asarray(_chunks(key, denoiser, sampler, starts, counts, (call_labels, call_prior), **shape))
        for device in range(mesh.size):
            begin = int(starts[device]) * chunk_rows
            n_wanted = min(int(counts[device]) * chunk_rows, n_rows - begin)
            if n_wanted > 0:
                yield rows[device, :n_wanted]
        chunk += in_call


def sample_rows(
    denoiser: AnyDenoiser, sampler: Sampler, *, columns: int, n_rows: int, seed: int, **options: Any
) -> Float[np.ndarray, "n d"]:
    """Draw all rows of `stream_rows`, which has the same options, shape (n_rows, columns)."""
    parts = stream_rows(denoiser, sampler, columns=columns, n_rows=n_rows, seed=seed, **options)
    return np.concatenate([np.empty((0, columns), np.float32), *parts])


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
    """Yield the rows of `stream_rows` from the workers of a Ray cluster, by default one on this machine.

    Labels and prior require a sampler of one row per draw.
    """
    step = rows_per_chunk(sampler) * CHUNKS_PER_TASK

    def part(each: np.ndarray | None, first: int) -> np.ndarray | None:
        return each if each is None or len(each) == 1 else each[first - first_row :][:step]

    ranges = ((first, min(first + step, n_rows)) for first in range(first_row, n_rows, step))
    arguments = ((*ends, part(labels, ends[0]), part(prior, ends[0])) for ends in ranges)
    with cluster(address):
        yield from results(_rows_of_task, (denoiser, sampler, columns, seed), arguments, in_order=True)


def _rows_of_task(shared: tuple[Any, ...], first: int, last: int, labels: Any, prior: Any) -> np.ndarray:
    denoiser, sampler, columns, seed = shared
    options = {"columns": columns, "seed": seed, "labels": labels, "prior": prior}
    return np.concatenate(list(stream_rows(denoiser, sampler, n_rows=last, first_row=first, **options)))


def whole_draws(labels: Int[np.ndarray, " n"], sampler: Sampler) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " n"]]:
    """Extend labels, in any order, to whole draws, whose rows share a label; also return the rows' indices."""
    together = sampler.rows_per_draw
    values, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    in_draws = -(-counts // together) * together
    order = np.argsort(index, kind="stable")
    indices = np.empty(len(labels), np.int64)
    # Before the extended rows of a label come the rows that were added to smaller labels.
    indices[order] = np.arange(len(labels)) + np.repeat(np.cumsum(in_draws - counts) - (in_draws - counts), counts)
    return np.repeat(values, in_draws).astype(np.int32), indices


@partial(jax.jit, static_argnames=("draws", "columns", "mesh"))
def _chunks(
    key: PRNGKeyArray,
    denoiser: AnyDenoiser,
    sampler: Sampler,
    starts: Int[Array, " devices"],
    counts: Int[Array, " devices"],
    labels_and_prior: tuple[Int[Array, "devices draws"] | None, Float[Array, "devices draws start"] | None],
    *,
    draws: int,
    columns: int,
    mesh: jax.sharding.Mesh,
) -> Float[Array, "devices rows d"]:
    chunk_rows = draws * sampler.rows_per_draw

    def on_device(
        key: PRNGKeyArray, denoiser: Any, sampler: Any, start: Array, count: Array, by_draw: tuple[Any, Any]
    ) -> Float[Array, "1 rows d"]:
        def one_draw(key: PRNGKeyArray, label: Array | None, x_T: Array | None) -> Float[Array, "rows d"]:
            given, steered = denoiser, sampler
            if label is not None:
                given = denoiser.given(label) if has_classes(denoiser) else denoiser
                steered = sampler.given(label) if isinstance(sampler, Steered) else sampler
            return steered.draw(key, given, steered.start(key, columns) if x_T is None else x_T)

        def one_chunk(i: Array, out: Array) -> Array:
            keys = jax.vmap(partial(jax.random.fold_in, key))((start[0] + i) * draws + jnp.arange(draws))
            part = jax.tree.map(lambda each: jax.lax.dynamic_slice_in_dim(each[0], i * draws, draws), by_draw)
            rows = jax.vmap(one_draw)(keys, *part)
            return jax.lax.dynamic_update_slice(out, rows.reshape(chunk_rows, columns), (i * chunk_rows, 0))

        empty = jnp.zeros((CHUNKS_PER_CALL * chunk_rows, columns))
        # A loop with a traced bound: one chunk and many compile to the same program.
        return jax.lax.fori_loop(0, count[0], one_chunk, empty)[None]

    specs = P(), P(), P(), P(_AXIS), P(_AXIS), P(_AXIS)
    mapped = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=P(_AXIS), check_vma=False)
    return mapped(key, denoiser, sampler, starts, counts, labels_and_prior)
