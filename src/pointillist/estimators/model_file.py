"""A fitted model as one safetensors file: tensors, and a JSON header. Nothing in such a file can run code.

A file is checked against its own size and against what its header says before any tensor is read: what it claims is
never allocated.
"""

import json
import math
import struct
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pointillist.files import naming, write_whole

FORMAT = 5
"""Of the header; a file of another one is refused."""

_MAX_HEADER = 2**22
_MAX_DIMENSIONS = 4
_KEY = "pointillist"
_DTYPES: dict[str, np.dtype] = {
    "F32": np.dtype("f4"),
    "F64": np.dtype("f8"),
    "I32": np.dtype("i4"),
    "I64": np.dtype("i8"),
}

Shape = tuple[tuple[int, ...], np.dtype]
"""Of a tensor, with its type."""


class ModelFileError(ValueError):
    """A file that is no model of this version, in one line."""


def write_model(path: Path, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Writes a model whole or not at all.

    Args:
        path: The file.
        header: JSON values.
        tensors: By name; float32, float64, int32 or int64.
    """
    content = {"format": FORMAT, "version": version("pointillist"), **header}
    write_whole(path, save({k: np.array(v, order="C") for k, v in tensors.items()}, {_KEY: json.dumps(content)}))


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, Shape]]:
    """The header, and by name every tensor's shape and type, without reading a tensor.

    Raises:
        ModelFileError: If the file is damaged, or is no model of this version.
        OSError: If it cannot be read.
    """
    with naming(path), path.open("rb") as file:
        size = path.stat().st_size
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise ModelFileError(f"{path}: is no model file (it has no safetensors header), or it is cut short")
        text = file.read(length)
    try:
        content = json.loads(text)
        metadata = content.pop("__metadata__", {})
        tensors = {name: _declared(entry) for name, entry in content.items()}
        header = json.loads(metadata[_KEY])
        given = header["format"], str(header["version"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path}: is no model file of pointillist (its header cannot be understood)") from error
    if given[0] != FORMAT:
        raise ModelFileError(
            f"{path}: has format {given[0]!r}, written by pointillist {given[1]}; this is {version('pointillist')}, "
            f"which reads format {FORMAT}: install the other version, or fit the model anew"
        )
    if sum(dtype.itemsize * math.prod(shape) for shape, dtype in tensors.values()) != size - 8 - length:
        raise ModelFileError(f"{path}: is not whole: its tensors do not fill it")
    return header, tensors


def _declared(entry: dict[str, Any]) -> Shape:
    shape = tuple(entry["shape"])
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError
    return shape, _DTYPES[entry["dtype"]]


def read_tensors(path: Path, expected: dict[str, Shape]) -> dict[str, np.ndarray]:
    """The tensors of a file whose names, types and shapes are exactly the expected ones, all finite.

    Raises:
        ModelFileError: If they are not.
    """
    _, found = read_header(path)
    if found != expected:
        differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise ModelFileError(
            f"{path}: tensors are missing, unknown or of another shape than its header says: {', '.join(differing[:3])}"
        )
    try:
        with naming(path):
            content = path.read_bytes()
        tensors = load(content)
    except SafetensorError as error:
        raise ModelFileError(f"{path}: is damaged: {error}") from error
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ModelFileError(f"{path}: {name} holds NaN or infinite numbers")
    return tensors
