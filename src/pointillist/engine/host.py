"""Steering by a reward that JAX cannot trace: the steps are compiled, and the reward is called in between.

A callback from inside one compiled loop waits forever on CPU devices once its rows take some tens of kilobytes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser, has_classes
from pointillist.diffusion.steering import ConditionalReward, Steered


def is_traceable(reward: Callable[[Any], Any], columns: int) -> bool:
    """Return whether JAX can trace a reward, (m, columns) → (m,); a ValueError says if it has another shape."""
    try:
        reward = reward.given(np.zeros((), np.int32)) if isinstance(reward, ConditionalReward) else reward
        result = jax.eval_shape(reward, jax.ShapeDtypeStruct((4, columns), jnp.float32))
    except Exception:
        # Whatever a function of NumPy raises when it meets a tracer; a mistake in it shows on real rows.
        return False
    _check_shape(result, 4)
    return True


def rewards_of(reward: Callable[[Any], Any], rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
    """Compute the rewards of rows, (m,), float32; a ValueError says if the shape differs, or one is NaN or +inf."""
    result = reward(rows)
    _check_shape(result, len(rows))
    rewards = np.asarray(result, np.float64)
    is_bad = np.isnan(rewards) | (rewards == np.inf)
    if is_bad.any():
        i = int(np.argmax(is_bad))
        raise ValueError(
            f"the reward gave {rewards[i]} for the row {np.array2string(rows[i], precision=3, threshold=6)}; "
            "it must give a finite number, or -inf to forbid a row"
        )
    return rewards.astype(np.float32)


def _check_shape(result: Any, n_rows: int) -> None:
    shape = tuple(np.shape(result))
    if shape != (n_rows,):
        raise ValueError(
            f"the reward gave shape {shape} for {n_rows} rows; it must give one number per row, shape ({n_rows},)"
        )


class _OnHost(eqx.Module):
    """Placeholder, within a compiled step, for the reward that is called outside it."""


def draw_chunks(
    key: PRNGKeyArray,
    denoiser: Denoiser,
    sampler: Steered,
    starts: Int[np.ndarray, " devices"],
    labels: Int[np.ndarray, "devices draws"] | None,
    prior: Float[np.ndarray, "devices draws d"] | None,
    *,
    draws: int,
    columns: int,
    mesh: jax.sharding.Mesh,
) -> Float[np.ndarray, "devices rows d"]:
    """Draw one chunk on every device; `starts` is the first draw of each device, `prior` the x_T of its draws."""
    reward = sampler.reward
    if labels is not None and isinstance(reward, ConditionalReward):
        raise ValueError("a reward that depends on the class must be one that JAX can trace")
    pair = replace(sampler, reward=_OnHost()), denoiser
    advanced = partial(_advanced, key, pair, (starts, labels), draws=draws, columns=columns, mesh=mesh)
    points = advanced(np.int32(0), (prior,), phase="begin")
    n_steps = int(sampler.sampler.n_steps)
    for i in range(n_steps):
        # A device's chunk at a time: a reward's bits may depend on how many rows it gets.
        rewards = np.stack([rewards_of(reward, chunk.reshape(-1, columns)) for chunk in np.asarray(points.x0)])
        arguments = points, rewards.reshape(mesh.size, draws, -1)
        points = advanced(np.int32(i), arguments, phase="step" if i < n_steps - 1 else "finish")
    return np.asarray(points).reshape(mesh.size, -1, columns)


@partial(jax.jit, static_argnames=("phase", "draws", "columns", "mesh"))
def _advanced(
    key: PRNGKeyArray,
    pair: tuple[Steered, Denoiser],
    starts_and_labels: tuple[Int[Array, " devices"], Int[Array, "devices draws"] | None],
    i: Int[Array, ""],
    arguments: tuple[Any, ...],
    *,
    phase: Literal["begin", "step", "finish"],
    draws: int,
    columns: int,
    mesh: jax.sharding.Mesh,
) -> Any:
    """Begin all draws from their x_T, or take step i, or finish, from their points and rewards."""

    def on_device(key: PRNGKeyArray, pair: tuple[Any, Any], i: Array, start: Array, by_draw: tuple[Any, Any]) -> Any:
        sampler, denoiser = pair
        labels, arguments = jax.tree.map(lambda leaf: leaf[0], by_draw)
        keys = jax.vmap(partial(jax.random.fold_in, key))(start[0] + jnp.arange(draws))

        def one(key: PRNGKeyArray, label: Array | None, arguments: Any) -> Any:
            given = denoiser.given(label) if label is not None and has_classes(denoiser) else denoiser
            if phase == "begin":
                (x_T,) = arguments
                return sampler.begin(given, sampler.start(key, columns) if x_T is None else x_T)
            return sampler.finish(key, *arguments) if phase == "finish" else sampler.step(key, given, i, *arguments)

        return jax.tree.map(lambda leaf: leaf[None], jax.vmap(one)(keys, labels, arguments))

    by_device = P(*mesh.axis_names)
    starts, labels = starts_and_labels
    specs = P(), P(), P(), by_device, by_device
    mapped = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=by_device, check_vma=False)
    return mapped(key, pair, i, starts, (labels, arguments))
