"""Drawing rows in chunks of one shape, sharded over devices.

The bits of a matrix product depend on its shape, so every chunk has the same number of rows and the last one is
padded; every row has a key of its own. A row then depends on the seed and its index, and on nothing else: not on how
many rows are asked for, in how many calls, or on how many devices.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.samplers import Ancestral, sample
from pointillist.engine import devices as engine_devices

ROWS_PER_CHUNK = 500
"""Few enough that a chunk's activations stay in a core's cache; a divisor of the round numbers people ask for."""

CHUNKS_PER_CALL = 16
"""Chunks that a device computes before it hands rows back: the memory of a call is bounded, whatever n."""

_AXIS = "rows"


def sampling_key(seed: int) -> PRNGKeyArray:
    """The key that rows' own keys are folded from; `training.training_key` folds another number into the seed."""
    return jax.random.fold_in(jax.random.key(seed), 1)


def stream_rows(
    denoiser: Denoiser,
    sampler: Ancestral,
    *,
    columns: int,
    n_rows: int,
    seed: int,
    devices: Sequence[jax.Device] | None = None,
) -> Iterator[Float[np.ndarray, "part d"]]:
    """Draws rows, in order, as they are computed.

    Args:
        denoiser: E[x_0 | x_t].
        sampler: Walks from x_T to x_0.
        columns: d.
        n_rows: At least 0.
        seed: 0 … 2³² - 1.
        devices: All by default.

    Yields:
        Parts of the rows, float32, scaled as the model sees them.
    """
    mesh = engine_devices.mesh(_AXIS, devices)
    key = sampling_key(seed)
    n_chunks = -(-n_rows // ROWS_PER_CHUNK)
    chunk = 0
    while chunk < n_chunks:
        in_call = min(n_chunks - chunk, CHUNKS_PER_CALL * mesh.size)
        counts = np.array([len(part) for part in np.array_split(np.arange(in_call), mesh.size)], np.int32)
        starts = (chunk + np.concatenate([[0], np.cumsum(counts)[:-1]])).astype(np.int32)
        rows = np.asarray(_chunks(key, denoiser, sampler, starts, counts, columns=columns, mesh=mesh))
        for device in range(mesh.size):
            begin = int(starts[device]) * ROWS_PER_CHUNK
            n_wanted = min(int(counts[device]) * ROWS_PER_CHUNK, n_rows - begin)
            if n_wanted > 0:
                yield rows[device, :n_wanted]
        chunk += in_call


def sample_rows(
    denoiser: Denoiser,
    sampler: Ancestral,
    *,
    columns: int,
    n_rows: int,
    seed: int,
    devices: Sequence[jax.Device] | None = None,
) -> Float[np.ndarray, "n d"]:
    """All rows of `stream_rows` at once, shape (n_rows, columns)."""
    parts = stream_rows(denoiser, sampler, columns=columns, n_rows=n_rows, seed=seed, devices=devices)
    return np.concatenate([np.empty((0, columns), np.float32), *parts])


@partial(jax.jit, static_argnames=("columns", "mesh"))
def _chunks(
    key: PRNGKeyArray,
    denoiser: Denoiser,
    sampler: Ancestral,
    starts: Int[Array, " devices"],
    counts: Int[Array, " devices"],
    *,
    columns: int,
    mesh: jax.sharding.Mesh,
) -> Float[Array, "devices rows d"]:
    def on_device(
        key: PRNGKeyArray, denoiser: Denoiser, sampler: Ancestral, start: Array, count: Array
    ) -> Float[Array, "1 rows d"]:
        def one_chunk(i: Array, out: Array) -> Array:
            first = (start[0] + i) * ROWS_PER_CHUNK
            keys = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(ROWS_PER_CHUNK))
            rows = jax.vmap(lambda key: sample(key, sampler, denoiser, columns))(keys)
            return jax.lax.dynamic_update_slice(out, rows, (i * ROWS_PER_CHUNK, 0))

        empty = jnp.zeros((CHUNKS_PER_CALL * ROWS_PER_CHUNK, columns))
        # A loop with a traced bound: one chunk and many compile to the same program.
        return jax.lax.fori_loop(0, count[0], one_chunk, empty)[None]

    by_device = P(_AXIS)
    return jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(P(), P(), P(), by_device, by_device),
        out_specs=by_device,
        check_vma=False,
    )(key, denoiser, sampler, starts, counts)
