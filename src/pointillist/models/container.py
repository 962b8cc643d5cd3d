"""Model files: a fitted model as one safetensors file, which cannot execute code.

The header names the format and holds checksums. The tensor `description` holds all values except weights as JSON. A
file's size and header are checked before any tensor is read, so false declarations allocate no memory.
"""

import hashlib
import json
import math
import struct
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pointillist.atomic_files import check_regular, checking, naming, write_whole
from pointillist.engine.weights import Shape, check_shapes

FORMAT = 28
"""Format version; files with another version are refused."""

MAX_DESCRIPTION = 2**25
"""Largest size of the description in bytes, enough for about 100 columns with 10,000 categories each."""

_MAX_HEADER = 2**22
_MAX_DIMENSIONS = 4
_KEY = "pointillist"
_DESCRIPTION = "description"
_DTYPES: dict[str, np.dtype] = {
    "F32": np.dtype("f4"),
    "F64": np.dtype("f8"),
    "I32": np.dtype("i4"),
    "I64": np.dtype("i8"),
    "U8": np.dtype("u1"),
}


class ModelFileError(ValueError):
    """Raised for a file that is not a model of this version; the message is one line."""


def description_of(facts: dict[str, Any]) -> bytes:
    """Encodes JSON values for a model file; raises a ValueError if they exceed `MAX_DESCRIPTION`."""
    text = json.dumps(facts).encode()
    if len(text) > MAX_DESCRIPTION:
        raise ValueError(
            f"the columns' names and categories take {len(text) / 2**20:.0f} MiB, and a model file holds "
            f"at most {MAX_DESCRIPTION >> 20} MiB: drop columns with long or many categories"
        )
    return text


def write_model(path: Path, facts: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Writes a model file atomically; raises a ValueError if it would be too large to be read again."""
    text = description_of(facts)
    content = {name: np.array(each, each.dtype.newbyteorder("="), order="C") for name, each in tensors.items()}
    header = {
        "format": FORMAT,
        "version": version("pointillist"),
        "description": hashlib.sha256(text).hexdigest(),
        "tensors": _digest(content),
    }
    whole = save({**content, _DESCRIPTION: np.frombuffer(text, np.uint8)}, {_KEY: json.dumps(header)})
    if struct.unpack("<Q", whole[:8])[0] > _MAX_HEADER:
        raise ValueError(f"{path}: the model has {len(tensors):,} tensors, too many for a model file: lower depth")
    write_whole(path, whole)


def _digest(tensors: dict[str, np.ndarray]) -> str:
    """Hash of names, types, shapes and values, the same on machines of either byte order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].astype(tensors[name].dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([name, tensor.dtype.str, tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def read_description(path: Path) -> tuple[dict[str, Any], dict[str, Shape]]:
    """Reads the JSON values, and the shape and type of every other tensor by name, without reading these tensors.

    Raises a ModelFileError if the file is damaged, or not a model of this version, and an OSError if it cannot be read.
    """
    content, start, size = _header(path)
    with checking(path, ModelFileError):
        header, offsets = _pointillist_header(path, content)
        tensors = {name: _declared(entry) for name, entry in content.items()}
        if sum(dtype.itemsize * math.prod(shape) for shape, dtype in tensors.values()) != size - start:
            raise ModelFileError(f"{path}: is incomplete: its tensors do not fill it")
        (length,), kind = tensors.pop(_DESCRIPTION)
        if kind != np.dtype("u1") or offsets[1] - offsets[0] != length or not 0 < length <= MAX_DESCRIPTION:
            raise ValueError("its description is too large")
        with naming(path), path.open("rb") as file:
            file.seek(start + offsets[0])
            text = file.read(length)
        if hashlib.sha256(text).hexdigest() != header["description"]:
            raise ValueError("the checksum of its description does not match")
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError("its description is not a JSON object")
    return facts, tensors


def _header(path: Path) -> tuple[dict[str, Any], int, int]:
    """The safetensors header of a file, the offset of its tensors, and the file's size."""
    check_regular(path)
    with naming(path), path.open("rb") as file:
        size = path.stat().st_size
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise ModelFileError(f"{path}: is not a model file (it has no safetensors header), or it is cut short")
        text = file.read(length)
    try:
        content = json.loads(text)
        content["__metadata__"][_KEY]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path}: is not a model file of pointillist (its header cannot be understood)") from error
    return content, 8 + length, size


def _pointillist_header(path: Path, content: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, int]]:
    """Removes this package's header from the safetensors header; returns it with the offsets of the description."""
    header = json.loads(content.pop("__metadata__")[_KEY])
    if header["format"] != FORMAT:
        raise ModelFileError(
            f"{path}: has format {header['format']!r:.20}, written by pointillist {header['version']!r:.20}; this is "
            f"{version('pointillist')}, which reads format {FORMAT}: install the other version, or fit the model again"
        )
    first, last = content[_DESCRIPTION]["data_offsets"]
    if not (type(first) is type(last) is int and 0 <= first <= last):
        raise ValueError("the offsets of its description are invalid")
    return header, (first, last)


def _declared(entry: dict[str, Any]) -> Shape:
    shape = tuple(entry["shape"])
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"a tensor has the shape {shape!s:.40}")
    return shape, _DTYPES[entry["dtype"]]


def read_tensors(path: Path, expected: dict[str, Shape]) -> dict[str, np.ndarray]:
    """Reads the tensors of a file; their names, types and shapes must be as expected, and their values finite.

    Raises a ModelFileError if they are not, or if a checksum does not match.
    """
    content, _, _ = _header(path)
    with checking(path, ModelFileError):
        check_shapes(read_description(path)[1], expected)
    try:
        with naming(path):
            tensors = load(path.read_bytes())
    except SafetensorError as error:
        raise ModelFileError(f"{path}: is damaged: {error}") from error
    del tensors[_DESCRIPTION]
    if _digest(tensors) != json.loads(content["__metadata__"][_KEY]).get("tensors"):
        raise ModelFileError(f"{path}: is damaged: the checksum of its tensors does not match")
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ModelFileError(f"{path}: {name} holds NaN or infinite numbers")
    return tensors
