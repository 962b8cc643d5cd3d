"""Models of rows of numbers as JSON values, from which a browser draws rows of their tables."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pointillist.arguments import LARGEST_INTEGER
from pointillist.diffusion.conditioning.twisting import POINTS
from pointillist.diffusion.registries import DPM_POINTS
from pointillist.models.conditioning import KEPT, MOST_TRIES, POPULATION, SMALLEST_MASS
from pointillist.models.gaussian import GaussianProcess, gaussian_of
from pointillist.models.row_model import RowModel
from pointillist.page.weights import network_content, page_tensors

CHUNK, FIRST_ROWS = 512, 1000
"""Rows that a worker draws at once, and rows that a page draws when it opens."""

RANGES = {
    "points": POINTS,
    "population": POPULATION,
    "kept": KEPT,
    "most_tries": MOST_TRIES,
    "smallest_mass": SMALLEST_MASS,
}
"""Settings for drawing rows in ranges."""


def number_content(model: RowModel) -> dict[str, Any]:
    """Return a model of numbers as JSON values: its network, columns and classes; weights must be finite."""
    codec, process = model.codec, gaussian_of(model, "this page is")
    has_observed = process.architecture.has_observed
    network = network_content(model.network, process, "steps", has_observed=has_observed)
    network = network or network_content(model.network, process, "float32", has_observed=has_observed)
    if network is None:
        raise ValueError("the model's weights are not finite: fit it again")
    drawing = {
        "kind": "numbers",
        "sampler": "dpm",
        "steps": DPM_POINTS,
        "bounds": codec.scaling.bounds.astype(float).tolist(),
        "width": network["columns"],
        "chunk": CHUNK,
        "ranges": RANGES,
    }
    carried, shown_of_data = _carried(model, process)
    return {
        "model": {"id": "model", **network, **drawing},
        "first_rows": FIRST_ROWS,
        "can_fill": has_observed,
        "columns": _columns(model, has_observed),
        "classes": _classes(model, process),
        "carried": carried,
        "shown_of_data": shown_of_data,
    }


def _columns(model: RowModel, can_be_given: bool) -> list[dict[str, Any]]:
    codec, (names, _) = model.codec, model.file_columns()
    columns = []
    for i, encoder in enumerate(codec.encoding.columns):
        index = codec.encoding.number_index(encoder.name)
        kind = codec.layout.types[i]
        format_ = "boolean" if kind == "bool" else "whole" if encoder.is_discrete else "number"
        column = encoder.describe() | {"type": kind, "pair": i, "format": format_}
        if index is not None:
            # Under "minmax", the center is only the middle of the range.
            column |= {"index": index, "can_be_given": can_be_given, "is_standard": _is_standard(model)}
        if format_ == "whole":
            column["limits"] = limits(kind)
        columns.append(column)
    if model.label_index is not None:
        columns.insert(model.label_index, {"kind": "label", "format": "category", "pair": len(columns)})
    for i, column in enumerate(columns):
        column["name"] = str(i) if names is None else names[i]
    return columns


def limits(kind: Any) -> list[int]:
    """Return the lowest and the highest integer that a NumPy type holds and a model reads."""
    info = np.iinfo(kind)
    return [max(int(info.min), -LARGEST_INTEGER), min(int(info.max), LARGEST_INTEGER)]


def exact(values: Iterable[Any]) -> list[Any]:
    """Return categories or labels for a browser: integers as text, if one is too large for a JavaScript number."""
    listed = list(values)
    is_beyond = any(type(value) is int and abs(value) > LARGEST_INTEGER for value in listed)
    return list(map(str, listed)) if is_beyond else listed


def _is_standard(model: RowModel) -> bool:
    """Return whether columns are scaled by mean and standard deviation; private fits scale by the domain."""
    return model.trained_with["scaling"] == "standard" and model.record.guarantee is None


def _classes(model: RowModel, process: GaussianProcess) -> dict[str, Any] | None:
    classes = model.classes
    if classes is None:
        return None
    return {
        "labels": exact(classes.labels.tolist()),
        "counts": classes.counts.tolist(),
        "name": "class" if classes.column is None else str(classes.column[0]),
        # A model that was always shown a class has never seen "no class", and a column of classes needs one.
        "are_drawn": process.p_uncond == 0 or model.label_index is not None,
        "can_guide": process.p_uncond > 0,
    }


def _carried(model: RowModel, process: GaussianProcess) -> tuple[list[str], str]:
    """List what a page holds of the training data, and say what histograms show of them."""
    tensors = page_tensors(model.network, has_observed=process.architecture.has_observed)
    n_weights, shown = sum(array.size for array in tensors.values()), ""
    lines = [
        f"{n_weights:,} weights of a network, rounded, from which it draws rows",
        "the name, the type, the lowest and the highest value, and the decimals of each column",
    ]
    if _is_standard(model):
        lines.append("the mean and the standard deviation of each column")
        shown = "Marks: mean and standard deviation of the training data, which the model holds."
    if model.classes is not None:
        lines.append(f"the {len(model.classes)} classes, and how many training rows each has")
    return lines, shown
