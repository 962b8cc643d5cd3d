"""Networks as JSON values of a page, with weights as float32, or rounded to multiples of a step and deflated."""

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
"""How weights are stored: for "steps", weights of wide layers as multiples of a step, and all others as float16."""

WIDE = 32
"""Fewest inputs, and fewest outputs, of a wide layer."""

STEPS = 72
"""Number of default steps in the root mean square of a layer's weights, about eight bits per weight."""

FINE = 0.25
"""Steps of the weights of a model of numbers, over the default: it is small, and rows keep their second digit."""

_MOST = 2**17 - 1

_TEXT = bytes.maketrans(b"<", b",")
"""A page's JSON would write the first in six characters."""


def weights_content(
    tensors: Mapping[str, np.ndarray],
    precision: Precision,
    scales: Mapping[str, Float[np.ndarray, "n m"]] | None = None,
) -> dict[str, Any] | None:
    """Return weights as JSON values; None if they are not finite in this precision. Matrices have inputs first.

    `scales` are steps of tensors by their names, over the default: shape (1, 1), or one step per input, shape (n, 1),
    or per output, shape (1, m).

    Returns:
        `weights`, and `shapes`: name and shape of each tensor, and what its steps belong to ("all", "inputs" or
        "outputs"; null without steps). For "steps" also `low_bits`, as `_deflated` takes it, `scales`, the steps, and
        `rest`, the tensors without steps.
    """
    exact: Literal["float16", "float32"] = "float16" if precision == "steps" else "float32"
    with np.errstate(over="ignore"):
        if not all(np.isfinite(array.astype(exact)).all() for array in tensors.values()):
            return None
    shapes: list[list[Any]] = []
    multiples, steps, rest = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)], [np.zeros(0)]
    for name, array in tensors.items():
        if precision != "steps" or array.ndim != 2 or min(array.shape) < WIDE:
            shapes.append([name, array.shape, None])
            rest.append(array)
            continue
        step = np.sqrt(np.mean(array.astype(float) ** 2, keepdims=True)) / STEPS
        step[step == 0] = 1
        step = (step * (scales or {}).get(name, 1.0)).astype(np.float32)
        shapes.append([name, array.shape, "all" if step.size == 1 else "outputs" if len(step) == 1 else "inputs"])
        multiples.append(np.round(array / step).astype(np.int32).ravel())
        steps.append(step.ravel())
    content: dict[str, Any] = {"weights_type": precision, "shapes": shapes}
    if precision != "steps":
        return content | {"weights": packed(rest, exact)}
    values = np.concatenate(multiples)
    if np.abs(values).max(initial=0) > _MOST:
        return None
    # Low bits are as good as random, unless the steps are coarse.
    weights, low_bits = min(((_deflated(values, bits), bits) for bits in (0, 2)), key=lambda each: len(each[0]))
    tables = {"scales": packed(steps, "float32"), "rest": packed(rest, exact)}
    return content | {"weights": weights, "low_bits": low_bits} | tables


def _deflated(values: np.ndarray, low_bits: Literal[0, 2]) -> str:
    """Encode integers as planes of bytes: perhaps the last two bits of four integers per byte, and the rest in two."""
    rest = values >> low_bits
    # Small numbers of either sign become small numbers without a sign.
    rest = np.where(rest < 0, -2 * rest - 1, 2 * rest)
    parts = [rest & 255, rest >> 8]
    if low_bits:
        low = np.pad((values & 3).astype(np.uint8), (0, -len(values) % 4)).reshape(-1, 4)
        parts.insert(0, (low << np.array([0, 2, 4, 6], np.uint8)).sum(axis=1, dtype=np.uint8))
    return deflated(b"".join(plane.astype(np.uint8).tobytes() for plane in parts))


def deflated(data: bytes, *, has_repeats: bool = False) -> str:
    """Deflate bytes and encode them as text of 85 characters; search for repetitions only if there are any."""
    deflate = zlib.compressobj(9, strategy=zlib.Z_DEFAULT_STRATEGY if has_repeats else zlib.Z_RLE)
    return base64.b85encode(deflate.compress(data) + deflate.flush()).translate(_TEXT).decode()


def network_content(
    network: Network, process: GaussianProcess, precision: Precision, *, step: float = FINE, has_observed: bool = False
) -> dict[str, Any] | None:
    """Return the network of a process of numbers as JSON values; None if its weights are not finite in this precision.

    `step` is the step of the weights, over the default; `has_observed` includes the weights of observed columns.
    """
    architecture, schedule = process.architecture, process.schedule
    tensors = page_tensors(network, has_observed=has_observed)
    if architecture.network == "mlp":
        # The other networks have inputs first already.
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
    """Return the weights that a page needs; without observed columns, their weights would multiply zeros."""
    return {name: array for name, array in sorted(named(network).items()) if has_observed or name != "observed"}
