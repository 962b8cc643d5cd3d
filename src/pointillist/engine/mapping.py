"""Maps functions of one row over many, in chunks of one shape, sharded over devices: likelihoods and classes."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.likelihood import RowFunction, hutchinson_probes, log_density, n_tangents
from pointillist.diffusion.schedules import LOWEST_LAMBDA
from pointillist.engine import devices as engine_devices
from pointillist.engine.devices import QUICKLY
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.sampling import CHUNKS_PER_CALL, ROWS_PER_CHUNK

_AXIS = "rows"


class LogDensity(RowFunction):
    """Log-density log p(x) of a row in nats, by the probability-flow ODE; see `likelihood.log_density`.

    By default this is the density of rows from the deterministic solvers, which start from N(0, I) at λ = `lowest`.
    Higher noise levels decide almost nothing, and a network's predictions are unreliable there.
    """

    denoiser: Denoiser
    steps: int | None = eqx.field(static=True, default=None)
    lowest: float = eqx.field(static=True, default=LOWEST_LAMBDA)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " d"]) -> Float[Array, ""]:
        """Compute the log-density; the key decides the probes of Hutchinson's estimate, beyond 64 columns."""
        probes = hutchinson_probes(key, len(x))
        return log_density(self.denoiser, x, probes=probes, steps=self.steps, lowest=self.lowest)

    def width(self, columns: int) -> int:
        return n_tangents(columns) + 1


def map_rows(
    function: RowFunction, rows: Float[np.ndarray, "n d"], *, seed: int = 0, is_brief: bool = False
) -> Float[np.ndarray, "n *values"]:  # noqa: F821 - a shape
    """Compute function(key of the row, row) for every row, shape (n, d), scaled as the model sees it.

    A value depends only on the row and the seed, 0 … 2³² - 1: equal rows get equal keys, whatever their positions. The
    last bits may depend on the position, and with `is_brief`, they differ because the program is not optimized.
    """
    mesh = engine_devices.mesh(_AXIS)
    mapped = _mapped_briefly if is_brief else _mapped
    n, columns = rows.shape
    chunk_rows = max(1, ROWS_PER_CHUNK // function.width(columns))
    per_call = mesh.size * CHUNKS_PER_CALL * chunk_rows
    key = key_of(seed, Stream.MAPPING)
    parts = []
    for first in range(0, n, per_call):
        part = rows[first : first + per_call]
        chunks = -(-len(part) // (mesh.size * chunk_rows))
        padded = np.pad(part, ((0, per_call - len(part)), (0, 0)), mode="edge")
        # Chunks go to the devices in turn, so that a few rows are not all on the first.
        in_turn = padded.reshape(CHUNKS_PER_CALL, mesh.size, chunk_rows, columns).swapaxes(0, 1)
        values = np.asarray(mapped(key, function, in_turn.astype(np.float32), np.int32(chunks), mesh=mesh))
        parts.append(values.swapaxes(0, 1).reshape(per_call, *values.shape[3:])[: len(part)])
    return np.concatenate(parts) if parts else np.empty((0,), np.float32)


def _map(
    key: PRNGKeyArray,
    function: Any,
    rows: Float[Array, "devices chunks rows d"],
    chunks: Array,
    mesh: jax.sharding.Mesh,
) -> Float[Array, "devices chunks rows *values"]:
    _, capacity, chunk_rows, _ = rows.shape

    def on_device(key: PRNGKeyArray, function: Any, rows: Array, chunks: Array) -> Array:
        def one_chunk(i: Array, out: Array) -> Array:
            bits = jax.lax.bitcast_convert_type(rows[0, i], jnp.uint32)
            odd_powers = np.cumprod(np.full(rows.shape[3], 2654435761, np.uint32), dtype=np.uint32)
            hashes = ((bits ^ (bits >> 15)) * odd_powers[None]).sum(axis=1, dtype=jnp.uint32)
            keys = jax.vmap(partial(jax.random.fold_in, key))(hashes)
            return out.at[i].set(jax.vmap(function)(keys, rows[0, i]))

        shape = jax.eval_shape(function, key, rows[0, 0, 0]).shape
        return jax.lax.fori_loop(0, chunks, one_chunk, jnp.zeros((capacity, chunk_rows, *shape)))[None]

    specs = P(), P(), P(_AXIS), P()
    mapped = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=P(_AXIS), check_vma=False)
    return mapped(key, function, rows, chunks)


_mapped = jax.jit(_map, static_argnames="mesh")
_mapped_briefly = jax.jit(_map, static_argnames="mesh", compiler_options=QUICKLY)
