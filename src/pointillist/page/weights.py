"""Networks as JSON values of a page, with weights as they are, or as whole multiples of steps, deflated."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from pointillist.diffusion.networks import NOISE_LEVEL_FREQUENCIES, ROW_FREQUENCIES, Network
from pointillist.engine.weights import named
from pointillist.models.gaussian import GaussianProcess
from pointillist.page.parts import packed

Precision = Literal["steps", "float32"]
"""How weights are stored: of "steps", those of wide layers as whole numbers, and all others as float16."""

WIDE = 32
"""Fewest inputs, and fewest outputs, of a wide layer."""

STEPS = 72
"""Number of steps of "steps" in the root mean square of a layer's weights, about eight bits a weight."""

_MOST = 2**17 - 1

_TEXT = bytes.maketrans(b"<", b",")
"""A page's JSON would write the first in six characters."""

Scales = Mapping[str, Float[np.ndarray, "n m"]]
"""Steps of a tensor, shape (1, 1), or of its inputs, shape (n, 1), or of its outputs, shape (1, m), in usual ones."""


def weights_content(
    tensors: Mapping[str, np.ndarray], precision: Precision, scales: Scales | None = None
) -> dict[str, Any] | None:
    """Returns weights as JSON values; None if they are not finite in this precision.

    Args:
        tensors: The weights by name; matrices have inputs first.
        precision: How they are stored.
        scales: Steps of tensors by their names, for "steps".

    Returns:
        `shapes` (of every tensor its name, its shape, and along what its steps change: null for one that has none),
        `weights`, and for "steps" `scales`, the steps, and `rest`, the tensors that have none.
    """
    exact: Literal["float16", "float32"] = "float16" if precision == "steps" else "float32"
    with np.errstate(over="ignore"):
        if not all(np.isfinite(array.astype(exact)).all() for array in tensors.values()):
            return None
    shapes: list[list[Any]] = []
    whole, steps, rest = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)], [np.zeros(0)]
    for name, array in tensors.items():
        if precision != "steps" or not _is_wide(array):
            shapes.append([name, array.shape, None])
            rest.append(array)
            continue
        step = _steps(array, (scales or {}).get(name))
        shapes.append([name, array.shape, "all" if step.size == 1 else "outputs" if len(step) == 1 else "inputs"])
        whole.append(np.round(array / step).astype(np.int32).ravel())
        steps.append(step.ravel())
    content: dict[str, Any] = {"weights_type": precision, "shapes": shapes}
    if precision != "steps":
        return content | {"weights": packed(rest, exact)}
    values = np.concatenate(whole)
    if np.abs(values).max(initial=0) > _MOST:
        return None
    return content | {"weights": _deflated(values), "scales": packed(steps, "float32"), "rest": packed(rest, exact)}


def rounded(array: np.ndarray, scale: Float[np.ndarray, "n m"] | None = None) -> np.ndarray:
    """Returns a tensor as "steps" has it.

    Args:
        array: The tensor, inputs first.
        scale: Its steps in usual ones.
    """
    if not _is_wide(array):
        return array.astype(np.float16).astype(np.float32)
    step = _steps(array, scale)
    return (np.round(array / step) * step).astype(np.float32)


def _is_wide(array: np.ndarray) -> bool:
    return array.ndim == 2 and min(array.shape) >= WIDE


def _steps(array: np.ndarray, scale: Float[np.ndarray, "n m"] | None) -> Float[np.ndarray, "n m"]:
    step = np.sqrt(np.mean(array.astype(float) ** 2, keepdims=True)) / STEPS
    step[step == 0] = 1
    return (step if scale is None else step * scale).astype(np.float32)


def _deflated(values: np.ndarray) -> str:
    """Encodes whole numbers as planes of bytes: the last two bits of four of them, and the rest in two planes."""
    low = np.pad((values & 3).astype(np.uint8), (0, -len(values) % 4)).reshape(-1, 4)
    rest = values >> 2
    # Small ones of either sign become small ones without.
    rest = np.where(rest < 0, -2 * rest - 1, 2 * rest)
    parts = (low << np.array([0, 2, 4, 6], np.uint8)).sum(axis=1, dtype=np.uint8), rest & 255, rest >> 8
    return deflated(b"".join(plane.astype(np.uint8).tobytes() for plane in parts))


def planes(numbers: Float[np.ndarray, " n"]) -> bytes:
    """Bytes of numbers of double precision, all first bytes before all second ones: neighbors are then alike."""
    return np.asarray(numbers, "<f8").view(np.uint8).reshape(-1, 8).T.tobytes()


def deflated(data: bytes, *, has_repeats: bool = False) -> str:
    """Encodes bytes as text of 85 characters, of which five stand for four bytes.

    Args:
        data: The bytes.
        has_repeats: Whether to search for repetitions, which what looks random has only by chance.
    """
    deflate = zlib.compressobj(9, strategy=zlib.Z_DEFAULT_STRATEGY if has_repeats else zlib.Z_RLE)
    return base64.b85encode(deflate.compress(data) + deflate.flush()).translate(_TEXT).decode()


FINE = 0.25
"""Steps of the weights of a model of numbers, in usual ones: it is small, and rows keep their second digit."""


def network_content(
    network: Network, process: GaussianProcess, precision: Precision, *, step: float = FINE, has_observed: bool = False
) -> dict[str, Any] | None:
    """Returns the network of a process of numbers as JSON values; None if its weights are not finite in this precision.

    Args:
        network: The network.
        process: Its process.
        precision: Precision of the weights.
        step: Steps of the weights, in usual ones.
        has_observed: Whether weights of given columns are among them.
    """
    architecture, schedule = process.architecture, process.schedule
    tensors = page_tensors(network, has_observed=has_observed)
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
        "prediction": process.prediction,
        "columns": len(process.sigma_data),
        "n_classes": process.n_classes,
        "time_embedding": architecture.time_embedding,
        "class_embedding": architecture.class_embedding,
        "row_frequencies": ROW_FREQUENCIES,
        "noise_level_frequencies": NOISE_LEVEL_FREQUENCIES,
        "sigma_data": np.asarray(process.sigma_data, np.float64).tolist(),
        "alpha": packed([schedule.alpha], "float32"),
        "sigma": packed([schedule.sigma], "float32"),
        **layers,
        **weights,
    }


def page_tensors(network: Network, *, has_observed: bool) -> dict[str, np.ndarray]:
    """Returns the weights that a page needs: those of given columns multiply zeros where no column is given."""
    return {name: array for name, array in sorted(named(network).items()) if has_observed or name != "observed"}
