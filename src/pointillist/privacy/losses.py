"""The loss of single rows under a model: what it has learned of each, by its own measure."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import CleanRows, Objective
from pointillist.diffusion.tokens.mixed_losses import MixedObjective
from pointillist.diffusion.tokens.token_losses import TokenObjective
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.recipes import AnyArchitecture, AnyObjective
from pointillist.models.masked import masked_of
from pointillist.models.row_model import RowModel

DRAWS = 64
"""Number of draws of noise, or of hidden cells, over which the loss of a row is averaged."""

ROWS_AT_ONCE = 64


def objective_of(model: RowModel) -> AnyObjective:
    """Returns the objective that a model was trained for."""
    if model.codec.encoding.n_tokens:
        architecture, has_missing = masked_of(model).architecture, model.codec.missing == "unknown"
        tokens = architecture.tokens
        if not tokens.with_number:
            return TokenObjective(tokens, has_missing)
        return MixedObjective(tokens, has_missing=has_missing, has_joint_network=architecture.has_joint_network)
    asked = model.parameters
    return Objective(model.trained_with["prediction"], asked["weighting"], asked["noise_levels"])


def row_losses(
    model: RowModel,
    rows: Float[np.ndarray, "n width"],
    labels: Int[np.ndarray, " n"] | None,
    seed: int,
    draws: int = DRAWS,
) -> Float[np.ndarray, "n draws"]:
    """Computes the training loss of each row, at draws of noise levels, noise and hidden cells that all rows share.

    Args:
        model: The model.
        rows: Rows as the network sees them, shape (n, width).
        labels: Index of each row's class; that of "no class" is the number of classes. None without classes.
        seed: Seed of the draws.
        draws: Number of draws.
    """
    schedule, sigma_data = model.process.noise
    padded = np.pad(np.asarray(rows, np.float32), ((0, -len(rows) % ROWS_AT_ONCE), (0, 0)), mode="edge")
    own = None if labels is None else np.pad(labels.astype(np.int32), (0, len(padded) - len(rows)), mode="edge")
    found = _losses(
        key_of(seed, Stream.HELD_OUT_LOSS),
        model.network,
        (schedule, sigma_data),
        padded,
        own,
        architecture=model.process.architecture,
        objective=objective_of(model),
        draws=draws,
    )
    return np.asarray(found)[: len(rows)]


@partial(jax.jit, static_argnames=("architecture", "objective", "draws"))
def _losses(
    key: PRNGKeyArray,
    network: Any,
    noise: Any,
    rows: Float[Array, "n width"],
    labels: Int[Array, " n"] | None,
    *,
    architecture: AnyArchitecture,
    objective: AnyObjective,
    draws: int,
) -> Float[Array, "n draws"]:
    keys = jax.random.split(key)

    def of_row(row: tuple[Array, Array | None]) -> Float[Array, " draws"]:
        x0, label = row
        labels = None if label is None else jnp.repeat(label, draws)
        clean = CleanRows(jnp.repeat(x0[None], draws, axis=0), labels, noise[0], noise[1], architecture.features)
        examples = objective.examples((keys[0], keys[1]), clean, draws)
        return jax.vmap(lambda one: objective.loss(network, jax.tree.map(lambda a: a[None], one), "float32"))(examples)

    return jax.lax.map(of_row, (rows, labels), batch_size=ROWS_AT_ONCE)
