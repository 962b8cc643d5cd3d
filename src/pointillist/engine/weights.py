"""Converts pytrees of arrays to safetensors bytes and back. Safetensors cannot contain code."""

from typing import Any, TypeVar

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

Tree = TypeVar("Tree")

Shape = tuple[tuple[int, ...], np.dtype]
"""Shape and type of a tensor."""


def to_bytes(tree: object) -> bytes:
    """Write every leaf under its path in the tree, such as `network.hidden.0.weight`."""
    return save(named(tree))


def named(tree: object) -> dict[str, np.ndarray]:
    """Map each leaf's path in the tree to the leaf."""
    return {name: np.array(leaf, order="C") for name, leaf in _named_leaves(tree)}


def from_bytes(template: Tree, data: bytes) -> Tree:
    """Read what `to_bytes` wrote as a tree like the template; a ValueError says which tensors differ."""
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"not whole safetensors data: {error}") from error
    return from_named(template, tensors)


def check_shapes(found: dict[str, Shape], expected: dict[str, Shape]) -> None:
    """Raise a ValueError if tensors are not those that are expected, by their names, shapes and types."""
    differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    if differing:
        raise ValueError(
            "tensors are missing, unknown or differ in shape from its description: "
            f"{', '.join(map(repr, differing[:3]))}"
        )


def shapes(template: object) -> dict[str, Shape]:
    """Map each leaf's path to its shape and dtype."""
    return {name: (tuple(leaf.shape), np.dtype(leaf.dtype)) for name, leaf in _named_leaves(template)}


def from_named(template: Tree, tensors: dict[str, np.ndarray]) -> Tree:
    """Make a tree of the template's structure from tensors; a ValueError says which tensors differ from its leaves."""
    check_shapes(shapes(tensors), shapes(template))
    leaves = [tensors[name] for name, _ in _named_leaves(template)]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _named_leaves(tree: object) -> list[tuple[str, Any]]:
    with_paths = jax.tree.leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in with_paths]
