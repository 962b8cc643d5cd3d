"""The training loss on held-out rows."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import CleanRows
from pointillist.diffusion.schedules import Schedule
from pointillist.engine.compiled import QUICKLY
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.recipes import AnyArchitecture, AnyObjective, Weights

FEW = 500
"""Most rows of which a loss takes less time than optimising its program would."""


def held_out_loss(
    network: Weights,
    architecture: AnyArchitecture,
    objective: AnyObjective,
    schedule: Schedule | None,
    sigma_data: Float[np.ndarray, "..."] | None,
    rows: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"] | None,
    seed: int,
) -> float:
    """Computes the mean loss over rows; see the objective's `held_out_loss`.

    Noise levels and noise depend on the seed alone, so losses of a model at different epochs can be compared.

    Args:
        network: The network.
        architecture: Its architecture.
        objective: The objective that it is trained for.
        schedule: The schedule that it is trained with; None for tokens.
        sigma_data: See `CleanRows`.
        rows: Rows, shape (n, d), scaled.
        labels: Indices of classes, shape (n,), for a model with classes; each row is shown with its own label.
        seed: Seed, 0 … 2³² - 1.
    """
    key = key_of(seed, Stream.HELD_OUT_LOSS)
    compute = _loss_of_few if len(rows) <= FEW else _loss_of_many
    return float(
        compute(key, network, schedule, sigma_data, rows, labels, architecture=architecture, objective=objective)
    )


def _loss(
    key: PRNGKeyArray,
    network: Any,
    schedule: Schedule | None,
    sigma_data: Float[Array, "..."] | None,
    rows: Float[Array, "n d"],
    labels: Int[Array, " n"] | None,
    *,
    architecture: AnyArchitecture,
    objective: AnyObjective,
) -> Float[Array, ""]:
    return objective.held_out_loss(key, network, CleanRows(rows, labels, schedule, sigma_data, architecture.features))


_loss_of_many = jax.jit(_loss, static_argnames=("architecture", "objective"))
_loss_of_few = jax.jit(_loss, static_argnames=("architecture", "objective"), compiler_options=QUICKLY)
