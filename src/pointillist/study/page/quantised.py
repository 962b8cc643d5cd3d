"""Weights of wide layers as bytes: a quarter of their size in single precision, and rows that no test tells apart."""

import base64
from typing import Any

import numpy as np

from pointillist.page.parts import packed

WIDE = 64
"""Layers with as many inputs and outputs are stored as bytes; what enters and leaves a network keeps its digits."""

_LARGEST = 127


def quantised(content: dict[str, Any]) -> dict[str, Any]:
    """Replaces a network's single-precision weights by bytes, scaled for each output of a layer.

    Args:
        content: What `network_content` returns for float32: each matrix has inputs first.

    Returns:
        The content with `weights` (bytes of the wide layers), `scales` (of their outputs), `rest` (all other tensors),
        and in `shapes` a third entry that says which is which.
    """
    flat = np.frombuffer(base64.b64decode(content["weights"]), "<f4")
    wide, scales, rest, shapes = [], [], [], []
    first = 0
    for name, shape in content["shapes"]:
        array = flat[first : first + int(np.prod(shape))].reshape(shape)
        first += array.size
        is_wide = _is_wide(array)
        shapes.append([name, shape, is_wide])
        if is_wide:
            of_bytes, scale = _bytes_of(array)
            wide.append(of_bytes)
            scales.append(scale)
        else:
            rest.append(array)
    content = content | {"weights_type": "int8", "shapes": shapes}
    content["weights"] = base64.b64encode(b"".join(array.tobytes() for array in wide)).decode()
    content["scales"] = packed(scales or [np.zeros(0)], "float32")
    content["rest"] = packed(rest, "float32")
    return content


def rounded(array: np.ndarray) -> np.ndarray:
    """A tensor of a network as a page has it; matrices have outputs first, as in `equinox.nn.Linear`."""
    if not _is_wide(array):
        return array
    of_bytes, scale = _bytes_of(array.T)
    return np.ascontiguousarray((of_bytes * scale).T, np.float32)


def _is_wide(array: np.ndarray) -> bool:
    return array.ndim == 2 and min(array.shape) >= WIDE


def _bytes_of(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and, for each output, what to multiply them by; inputs first."""
    scale = np.abs(array).max(axis=0).astype(np.float32) / _LARGEST
    scale[scale == 0] = 1
    return np.round(array / scale).astype(np.int8), scale
