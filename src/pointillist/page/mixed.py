"""Models of mixed columns, with everything that a browser needs to draw rows of their tables."""

from typing import Any

import jax
import numpy as np

from pointillist.diffusion.mixed_networks import LEVEL_FEATURES
from pointillist.diffusion.mixed_sampling import POINTS, SCHEDULE
from pointillist.diffusion.networks import NOISE_LEVEL_FREQUENCIES
from pointillist.diffusion.tokens import WIDE, Tokens
from pointillist.engine.weights import named
from pointillist.models.headings import headings
from pointillist.models.masked import MaskedProcess
from pointillist.models.row_model import RowModel
from pointillist.page.parts import Precision, packed
from pointillist.points.column_code import ColumnCode
from pointillist.points.mixed import kind_of
from pointillist.points.token_codec import TokenCodec

CHUNK = 64
"""Rows that a worker draws at once: a block of its kernel."""

FIRST_ROWS = 250
"""Rows that a page draws when it opens: these models take many evaluations of their networks for a row."""

MOST_CHOICES = 1000
"""Most values of a column that can be given."""


def mixed_content(model: RowModel) -> dict[str, Any]:
    """Returns a model of mixed columns as JSON values: its network, what becomes of drawn values, and its classes.

    Raises:
        ValueError: If a page cannot write a column, or if the model's weights are not finite.
    """
    codec, process = model.codec, model.process
    assert isinstance(codec, TokenCodec) and isinstance(process, MaskedProcess)
    tokens = process.architecture.tokens
    tensors, precision = _weights(model, tokens)
    drawing = {
        "id": "model",
        "kind": "mixed",
        "sizes": tokens.sizes,
        "with_number": tokens.with_number,
        "number_values": tokens.number_values,
        "with_intervals": tokens.with_intervals,
        "most_steps": WIDE if tokens.is_wide else 0,
        "guided": None if model.classes is None else _label_place(model, codec),
        "depth": process.architecture.depth,
        "steps": POINTS,
        "row_frequencies": [2.0**i for i in range(process.architecture.frequencies)],
        "level_features": LEVEL_FEATURES,
        "noise_level_frequencies": NOISE_LEVEL_FREQUENCIES,
        "alpha": packed([SCHEDULE.alpha], "float32"),
        "sigma": packed([SCHEDULE.sigma], "float32"),
        "width": codec.width,
        "chunk": CHUNK,
        "shapes": [[name, array.shape] for name, array in tensors.items()],
        "weights_type": precision,
        "weights": packed(tensors.values(), precision),
    }
    return {
        "model": drawing,
        "first_rows": FIRST_ROWS,
        "columns": _columns(model, codec),
        "relations": [relation.to_json() for relation in codec.relations],
        "classes": None,
        "carried": _carried(model, codec, precision),
        "shown_of_data": "Line: the numbers of the training data, where the model knows their distribution.",
    }


def _weights(model: RowModel, tokens: Tokens) -> tuple[dict[str, np.ndarray], Precision]:
    tensors = named(model.network)
    if not any(name.startswith("of_tokens.") for name in tensors):
        tensors = {f"of_tokens.{name}": array for name, array in tensors.items()}
    # No numbers are given in a page, so the weights of theirs are not needed.
    for name in ("of_tokens.input.weight", "of_numbers.context.weight"):
        if name in tensors:
            tensors[name] = tensors[name][: tokens.n_slots]
    tensors = {name: array for name, array in sorted(tensors.items()) if array.size}
    precisions: tuple[Precision, ...] = ("float16", "float32")
    for precision in precisions:
        with np.errstate(over="ignore"):
            if all(np.isfinite(array.astype(precision)).all() for array in tensors.values()):
                return tensors, precision
    raise ValueError("the model's weights are not finite: fit it again")


def _label_place(model: RowModel, codec: TokenCodec) -> int:
    assert model.classes is not None and model.classes.column is not None
    return codec.encoding.place(model.classes.column[0])


def _columns(model: RowModel, codec: TokenCodec) -> list[dict[str, Any]]:
    columns = []
    for place, code in enumerate(codec.encoding.columns):
        column = _code(code)
        column["token"] = place
        own = codec.encoding.score_place(code.name)
        column["score"] = own
        column |= {"kind": "category"} if place >= codec.n_columns else _written(code.name, codec.types[place])
        columns.append(column)
    names = headings(model)[0]
    order = list(range(codec.n_columns))
    if model.label_place is not None:
        order.insert(model.label_place, codec.n_columns)
    for name, place in zip(names or range(len(order)), order, strict=True):
        columns[place]["name"] = str(name)
    return [columns[place] for place in order]


def _code(code: ColumnCode) -> dict[str, Any]:
    """What becomes of a column's token and score."""
    column: dict[str, Any] = {"n_values": code.n_values, "has_missing": code.has_missing}
    if code.categories is not None:
        return column | {"categories": list(code.categories), "can_be_given": code.size <= MOST_CHOICES}
    low, high = code.ends
    column |= {
        "atoms": packed([code.atoms], "float64"),
        "minimum": low,
        "maximum": high,
        "decimals": code.decimals,
        "step": code.step,
        "first": code.first,
        "can_be_given": code.scores is None and code.size <= MOST_CHOICES,
    }
    if code.scores is not None:
        column["scores"] = {
            "points": packed([code.scores.points], "float64"),
            "levels": packed([code.scores.levels], "float64"),
            "edges": packed([code.scores.edges], "float64"),
            "is_discrete": code.scores.is_discrete,
            "has_intervals": code.has_intervals,
        }
    return column


def _written(name: Any, kind: Any) -> dict[str, Any]:
    """How the cells of a column are written.

    Raises:
        ValueError: If a page cannot write them.
    """
    from pyarrow import types

    of = kind_of(kind)
    if of == "date":
        is_plain = types.is_date(kind) or (types.is_timestamp(kind) and kind.tz is None)
        if not is_plain:
            raise ValueError(f"a page cannot write {kind}, which column {name!r} holds: make it a number or text")
        if types.is_date(kind):
            return {"kind": "day", "per_second": 1 / 86_400 if types.is_date32(kind) else 1000}
        # Nanoseconds are known to the microsecond.
        return {"kind": "time", "per_second": {"s": 1, "ms": 1000}.get(kind.unit, 1_000_000)}
    if of == "whole":
        return {"kind": "whole"}
    if types.is_decimal(kind):
        return {"kind": "decimal", "scale": kind.scale}
    if of == "number":
        return {"kind": "number", "type": {16: "float16", 32: "float32"}.get(kind.bit_width, "float64")}
    return {"kind": "category"}


def _carried(model: RowModel, codec: TokenCodec, precision: str) -> list[str]:
    """What a page holds of the model and of its training data, a line each."""
    codes = codec.encoding.columns
    n_weights = sum(np.size(leaf) for leaf in jax.tree.leaves(model.network))
    lines = [
        f"{n_weights:,} weights of networks ({precision}), from which it draws rows",
        "the name and the type of each column",
    ]
    if any(code.categories is not None for code in codes):
        lines.append("all categories of the training rows, those of a single row too")
    if any(len(code.atoms) for code in codes):
        lines.append("values of numbers that many rows have, or all values of columns with few")
    if any(code.scores is not None for code in codes):
        lines.append(
            "of each other column of numbers its distribution: its values, or up to 1,001 quantiles, which are values "
            "of training rows or lie between two, and the lowest and the highest value"
        )
    if codec.relations:
        lines.append("sums and orders of columns that all training rows obey")
    return lines
