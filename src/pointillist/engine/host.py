"""Steering by a reward that JAX cannot trace: the steps are compiled, and the reward is called in between.

A callback from inside one compiled loop would do the same, but on CPU devices it waits forever once its rows take
more than some tens of kilobytes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import ConditionalDenoiser, Denoiser
from pointillist.diffusion.steering import ConditionalReward, Points, Steered


def is_traceable(reward: Callable[[Any], Any], columns: int) -> bool:
    """Whether JAX can trace a reward, (m, columns) → (m,).

    Raises:
        ValueError: If it can, but the result has another shape.
    """
    try:
        reward = reward.given(np.zeros((), np.int32)) if isinstance(reward, ConditionalReward) else reward
        result = jax.eval_shape(reward, jax.ShapeDtypeStruct((4, columns), jnp.float32))
    except Exception:
        # Whatever a function of NumPy raises when it meets a tracer; a mistake in it shows on real rows.
        return False
    _check_shape(result, 4)
    return True


def rewards_of(reward: Callable[[Any], Any], rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
    """Computes the rewards of rows, shape (m,), float32.

    Raises:
        ValueError: If they have another shape, or one is NaN or +inf.
    """
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
    shape = getattr(result, "shape", None)
    shape = np.shape(result) if shape is None else tuple(shape)
    if shape != (n_rows,):
        raise ValueError(
            f"the reward gave shape {shape} for {n_rows} rows; it must give one number per row, shape ({n_rows},)"
        )


class _OnHost(eqx.Module):
    """Stands in, within a compiled step, for the reward that is called outside it."""


def walk(
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
    """Makes one chunk of draws on every device; `starts` has the first of each device, `prior` their x_T if given."""
    reward = sampler.reward
    if labels is not None and isinstance(reward, ConditionalReward):
        raise ValueError("a reward that depends on the class must be one that JAX can trace")
    index = _Place(draws, columns, mesh)
    parts = (key, denoiser, replace(sampler, reward=_OnHost()), starts, labels)
    points = _begin(*parts, prior, index=index)

    def rewards() -> np.ndarray:
        # A device's chunk at a time: a reward's bits may depend on how many rows it gets.
        by_device = [rewards_of(reward, chunk.reshape(-1, columns)) for chunk in np.asarray(points.x0)]
        return np.stack(by_device).reshape(mesh.size, draws, -1)

    for i in range(int(sampler.sampler.n_steps) - 1):
        points = _step(*parts, np.asarray(i, np.int32), points, rewards(), index=index)
    return np.asarray(_finish(*parts, points, rewards(), index=index)).reshape(mesh.size, -1, columns)


class _Place(eqx.Module):
    draws: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    mesh: jax.sharding.Mesh = eqx.field(static=True)

    def map(self, function: Callable[..., Any], parts: tuple[Any, ...], *more: Any) -> Any:
        """Computes function(key of a draw, denoiser, sampler, *more of a draw) for all draws and devices."""
        key, denoiser, sampler, starts, labels = parts

        def on_device(
            key: PRNGKeyArray, denoiser: Denoiser, sampler: Steered, start: Array, labels: Array | None, more: Any
        ) -> Any:
            keys = jax.vmap(partial(jax.random.fold_in, key))(start[0] + jnp.arange(self.draws))

            def one(key: PRNGKeyArray, label: Array | None, more: Any) -> Any:
                own = (
                    denoiser.given(label)
                    if isinstance(denoiser, ConditionalDenoiser) and label is not None
                    else denoiser
                )
                return function(key, own, sampler, *more)

            own_labels = None if labels is None else labels[0]
            result = jax.vmap(one)(keys, own_labels, jax.tree.map(lambda leaf: leaf[0], more))
            return jax.tree.map(lambda leaf: leaf[None], result)

        axis = P(*self.mesh.axis_names)
        return jax.shard_map(
            on_device,
            mesh=self.mesh,
            in_specs=(P(), P(), P(), axis, axis, axis),
            out_specs=axis,
            check_vma=False,
        )(key, denoiser, sampler, starts, labels, more)


@partial(jax.jit, static_argnames="index")
def _begin(*parts_and_prior: Any, index: _Place) -> Points:
    *parts, prior = parts_and_prior

    def one(key: PRNGKeyArray, denoiser: Denoiser, sampler: Steered, x_T: Array | None) -> Points:
        return sampler.begin(denoiser, sampler.start(key, index.columns) if x_T is None else x_T)

    return index.map(one, tuple(parts), prior)


@partial(jax.jit, static_argnames="index")
def _step(*parts_and_more: Any, index: _Place) -> Points:
    *parts, i, points, rewards = parts_and_more

    def one(key: PRNGKeyArray, denoiser: Denoiser, sampler: Steered, points: Points, rewards: Array) -> Points:
        return sampler.step(key, denoiser, i, points, rewards)

    return index.map(one, tuple(parts), points, rewards)


@partial(jax.jit, static_argnames="index")
def _finish(*parts_and_more: Any, index: _Place) -> Float[Array, "devices draws rows d"]:
    *parts, points, rewards = parts_and_more

    def one(key: PRNGKeyArray, denoiser: Denoiser, sampler: Steered, points: Points, rewards: Array) -> Array:
        return sampler.finish(key, points, rewards)

    return index.map(one, tuple(parts), points, rewards)
