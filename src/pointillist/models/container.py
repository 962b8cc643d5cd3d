"""Model files: a fitted model as one safetensors file, which cannot execute code.

The header names the format and holds checksums. The tensor `description` holds all values except weights as JSON.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pointillist.atomic_files import check_regular, checking, naming, write_whole

FORMAT = 29
"""Format version; files with another version are refused."""

MAX_DESCRIPTION = 2**25
"""Largest size of the description in bytes, enough for about 100 columns with 10,000 categories each."""

_KEY = "pointillist"
_DESCRIPTION = "description"


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
    write_whole(path, whole)


def _digest(tensors: dict[str, np.ndarray]) -> str:
    """Hash of names, types, shapes and values, the same on machines of either byte order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        tensor = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([name, tensor.dtype.str, tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads the JSON values and the tensors of a model file; the numbers are finite.

    Raises a ModelFileError if the file is damaged, or not a model of this version, and an OSError if it cannot be read.
    """
    check_regular(path)
    # Python's errors say why a file cannot be opened.
    with naming(path), path.open("rb"), checking(path, ModelFileError):
        try:
            with safe_open(path, "np") as file:
                header, names = _header(path, file.metadata() or {}), file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise ModelFileError(f"{path}: is not a model file, or it is incomplete") from error
        text = tensors.pop(_DESCRIPTION).tobytes()
        if len(text) > MAX_DESCRIPTION:
            raise ValueError("its description is too large")
        if hashlib.sha256(text).hexdigest() != header["description"]:
            raise ValueError("the checksum of its description does not match")
        if _digest(tensors) != header.get("tensors"):
            raise ValueError("the checksum of its tensors does not match")
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError("its description is not a JSON object")
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise ValueError(f"{name} holds NaN or infinite numbers")
    return facts, tensors


def _header(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise ModelFileError(f"{path}: is not a model file of pointillist")
    header: dict[str, Any] = json.loads(metadata[_KEY])
    if header["format"] != FORMAT:
        raise ModelFileError(
            f"{path}: has format {header['format']!r:.20}, written by pointillist {header['version']!r:.20}; this is "
            f"{version('pointillist')}, which reads format {FORMAT}: install the other version, or fit the model again"
        )
    return header
