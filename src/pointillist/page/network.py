"""A network of rows of numbers, with everything that a browser needs to draw rows with it."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.diffusion.networks import NOISE_LEVEL_FREQUENCIES, ROW_FREQUENCIES, Network
from pointillist.diffusion.schedules import Schedule
from pointillist.engine.recipes import Architecture
from pointillist.engine.weights import named
from pointillist.page.parts import packed
from pointillist.page.weights import Precision, weights_content

FINE = 0.25
"""Steps of the weights of a model of numbers, in usual ones: it is small, and rows keep their second digit."""


def network_content(
    network: Network,
    architecture: Architecture,
    prediction: str,
    schedule: Schedule,
    sigma_data: Float[np.ndarray, " k"],
    n_classes: int,
    precision: Precision,
    *,
    step: float = FINE,
    has_given: bool = False,
) -> dict[str, Any] | None:
    """Returns the network as JSON values; None if its weights are not finite in this precision.

    Args:
        network: The network.
        architecture: Its architecture.
        prediction: What it predicts, one of `parameterisations.PREDICTIONS`.
        schedule: The noise schedule.
        sigma_data: Root mean square of each column, shape (k,).
        n_classes: Number of classes; 0 without.
        precision: Precision of the weights.
        step: Steps of the weights, in usual ones.
        has_given: Whether weights of given columns are among them.
    """
    tensors = page_tensors(network, has_given=has_given)
    if architecture.network == "mlp":
        # As the other network has them: inputs first.
        tensors = {name: array.T if array.ndim == 2 else array for name, array in tensors.items()}
    weights = weights_content(tensors, precision, dict.fromkeys(tensors, np.full((1, 1), step)))
    if weights is None:
        return None
    layers = {
        kind: [f"{kind}.{i}" for i in range(architecture.depth) if f"{kind}.{i}.bias" in tensors]
        for kind in ("hidden", "inner", "outer")
    }
    return {
        "network": architecture.network,
        "prediction": prediction,
        "columns": len(sigma_data),
        "n_classes": n_classes,
        "time_embedding": architecture.time_embedding,
        "class_embedding": architecture.class_embedding,
        "row_frequencies": ROW_FREQUENCIES,
        "noise_level_frequencies": NOISE_LEVEL_FREQUENCIES,
        "sigma_data": np.asarray(sigma_data, np.float64).tolist(),
        "alpha": packed([schedule.alpha], "float32"),
        "sigma": packed([schedule.sigma], "float32"),
        **layers,
        **weights,
    }


def page_tensors(network: Network, *, has_given: bool) -> dict[str, np.ndarray]:
    """Returns the weights that a page needs: those of given columns multiply zeros where no column is given."""
    return {name: array for name, array in sorted(named(network).items()) if has_given or name != "given"}
