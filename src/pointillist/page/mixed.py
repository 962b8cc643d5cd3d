"""Models of mixed columns as JSON values, from which a browser draws rows of their tables."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pointillist.diffusion.networks import NOISE_LEVEL_FREQUENCIES
from pointillist.diffusion.tokens.masking import OBSERVED_FREQUENCIES, WIDE, Tokens
from pointillist.diffusion.tokens.mixed_networks import LEVEL_FEATURES
from pointillist.diffusion.tokens.mixed_sampling import POINTS, SCHEDULE
from pointillist.engine.weights import named
from pointillist.lazy import pa
from pointillist.models.masked import masked_of
from pointillist.models.row_model import RowModel
from pointillist.page.numbers import RANGES, exact, limits
from pointillist.page.parts import packed
from pointillist.page.weights import weights_content
from pointillist.rules.combinations import Combination
from pointillist.rules.expressions import Expression
from pointillist.tables.table import kind_of

CHUNK, FIRST_ROWS = 64, 250
"""Rows that a worker draws at once (a block of its kernel), and when a page opens: a row takes many evaluations."""

OF_NUMBERS, OF_SLOTS, OF_OUTER = 0.5, 0.6, 1.5
"""Steps of the network of numbers, of the weights of single values, and of the outer layers, over the default.

Rounding the first two changes rows most, and rounding the last least.
"""

FACTORS = np.append(np.geomspace(0.5, 24, 24), [28, 32])
"""Possible factors of all steps; the smallest is taken whose text of weights is short enough, or the last.

With a factor of 24, 3 % of the species of iris differ (after 200 epochs), but a classifier does not tell rows from
others.
"""

LONGEST_OF_COLUMN, FEWEST = 80_000, 8
"""Longest text of weights, in characters for each column, and fewest columns that count.

The page of a table with eight columns then has less than 800 kB.
"""

RAREST = 1e-3
"""Fractions of rows with a value count as at least this much, so that rare values do not get too fine steps."""

_OF_SEEN = "token_network.input.weight", "number_network.context.weight", "joint_network.context.weight"


def mixed_content(model: RowModel) -> dict[str, Any]:
    """Return a model of mixed columns as JSON values: its networks and its columns.

    Raise a ValueError if a page cannot write a column or draw by the network, or if the weights are not finite.
    """
    codec, process = model.codec, masked_of(model)
    for rule in codec.rules:
        if isinstance(rule, Expression):
            raise ValueError(
                f"a page draws no row again that breaks {rule.text(codec.column_names)}: leave the rule out"
            )
    architecture, tokens = process.architecture, process.architecture.tokens
    if architecture.network != "residual":
        raise ValueError(f"a page cannot draw rows by network={architecture.network!r}")
    guided = None
    if model.classes is not None and process.can_guide:
        assert model.classes.column is not None
        guided = codec.encoding.index(model.classes.column[0])
    drawing = {
        "id": "model",
        "kind": "mixed",
        "sizes": tokens.sizes,
        "with_number": tokens.with_number,
        "number_values": tokens.number_values,
        "with_intervals": tokens.with_intervals,
        "missing_values": [encoder.n_values if encoder.has_missing else -1 for encoder in codec.encoding.columns],
        "given_frequencies": OBSERVED_FREQUENCIES,
        "most_steps": WIDE if tokens.is_wide else 0,
        "in_column_order": tokens.in_column_order,
        "guided": guided,
        "depth": architecture.depth,
        "ranges": RANGES | {"points": POINTS},
        "row_frequencies": [2.0**i for i in range(architecture.frequencies)],
        "level_features": LEVEL_FEATURES,
        "noise_level_frequencies": NOISE_LEVEL_FREQUENCIES,
        "alpha": packed([SCHEDULE.alpha], "float32"),
        "sigma": packed([SCHEDULE.sigma], "float32"),
        "covariance": _packed(process.covariance),
        "has_joint_network": process.basis is not None,
        "basis": _packed(process.basis),
        "width": codec.width,
        "chunk": CHUNK,
        **_weights(model, tokens),
    }
    return {
        "model": drawing,
        "first_rows": FIRST_ROWS,
        "can_fill": True,
        "columns": _columns(model),
        "rules": [rule.to_json() for rule in codec.rules],
        "rule_texts": [rule.text(codec.column_names) for rule in codec.rules],
        "classes": None,
        "carried": _carried(model),
        "shown_of_data": "Line: the numbers of the training data, where the model knows their distribution."
        if model.summary is None
        else "Line: the training data.",
    }


def _packed(matrix: Float[np.ndarray, "c c"] | None) -> str | None:
    return None if matrix is None or not len(matrix) else packed([matrix], "float32")


def _weights(model: RowModel, tokens: Tokens) -> dict[str, Any]:
    """Return the weights, with finer steps for values of more rows; raise a ValueError if they are not finite."""
    tensors = named(model.network)
    if not any(name.startswith("token_network.") for name in tensors):
        tensors = {f"token_network.{name}": array for name, array in tensors.items()}
    tensors = {name: array for name, array in sorted(tensors.items()) if array.size}
    scales = {name: np.full((1, 1), 1.0 if name.startswith("token_network.") else OF_NUMBERS) for name in tensors}
    scales |= {name: OF_OUTER * scales[name] for name in tensors if ".outer." in name}
    rare = OF_SLOTS * _rarity(model.network, tokens)[:, None]
    # After the slots come features of observed numbers.
    seen = np.pad(rare, ((0, tokens.n_number_features), (0, 0)), constant_values=OF_SLOTS)
    scales |= {name: scales[name] * seen[: len(tensors[name])] for name in _OF_SEEN if name in tensors}
    scales["token_network.output.weight"] = rare.T

    def content_of(factor: float) -> dict[str, Any] | None:
        return weights_content(tensors, "steps", {name: factor * scale for name, scale in scales.items()})

    longest = LONGEST_OF_COLUMN * max(FEWEST, model.codec.n_columns)

    def is_short(factor: float) -> bool:
        content = content_of(factor)
        return content is not None and len(content["weights"]) <= longest

    # The coarser the steps, the shorter the text.
    first = bisect_left(FACTORS, True, hi=len(FACTORS) - 1, key=is_short)
    found = content_of(FACTORS[first]) or weights_content(tensors, "float32")
    if found is None:
        raise ValueError("the model's weights are not finite: fit it again")
    return found


def _rarity(network: Any, tokens: Tokens) -> Float[np.ndarray, " slots"]:
    """Return 1 / √(fraction of rows) of the value of each slot, over the geometric mean.

    The fractions are the network's predictions if all cells are masked.
    """
    token_network = network.token_network
    logits = np.asarray(token_network(jnp.zeros(token_network.input.weight.shape[0])), float)
    weights = np.exp(logits - np.maximum.reduceat(logits, tokens.starts)[tokens.token_of_slot])
    fractions = weights / np.add.reduceat(weights, tokens.starts)[tokens.token_of_slot]
    rarity = -0.5 * np.log(fractions + RAREST)
    return np.exp(rarity - rarity.mean())


def _columns(model: RowModel) -> list[dict[str, Any]]:
    codec, encoders = model.codec, model.codec.encoding.columns
    counts: Sequence[np.ndarray | None] = [None] * len(encoders)
    if model.summary is not None and model.summary.values is not None:
        counts = np.split(model.summary.values.astype(float), np.cumsum([each.size for each in encoders])[:-1])
    columns = []
    for i, encoder in enumerate(encoders):
        column = encoder.describe() | {"counts": counts[i], "token": i}
        column["score"] = codec.encoding.number_index(encoder.name)
        if encoder.categories is not None:
            column["categories"] = exact(encoder.categories)
        is_label = i >= codec.n_columns
        written = {"format": "category"} if is_label else _written(encoder.name, codec.layout.column_types[i])
        columns.append(column | written)
    order = list(range(codec.n_columns))
    if model.label_index is not None:
        order.insert(model.label_index, codec.n_columns)
    names = model.file_columns()[0] or range(len(order))
    return [columns[i] | {"name": str(name)} for name, i in zip(names, order, strict=True)]


def _written(name: Any, kind: Any) -> dict[str, Any]:
    """Say how to write the cells of a column of an Arrow type; raise a ValueError if a page cannot."""
    content = kind_of(kind)
    if content == "date":
        if not (pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)):
            raise ValueError(f"a page cannot write {kind}, which column {name!r} holds: make it a number or text")
        if pa.types.is_date(kind):
            return {"format": "day", "per_second": 1 / 86_400 if pa.types.is_date32(kind) else 1000}
        # Models round nanoseconds to microseconds.
        return {"format": "time", "per_second": {"s": 1, "ms": 1000}.get(kind.unit, 1_000_000)}
    if content == "integer":
        return {"format": "whole", "limits": limits(kind.to_pandas_dtype())}
    if pa.types.is_decimal(kind):
        end = 10.0 ** (kind.precision - kind.scale) - 10.0**-kind.scale
        return {"format": "decimal", "scale": max(kind.scale, 0), "limits": [-end, end]}
    if content == "number":
        return {"format": "number", "type": {16: "float16", 32: "float32"}.get(kind.bit_width, "float64")}
    return {"format": "category"}


def _carried(model: RowModel) -> list[str]:
    """List what a page holds of the model and of its training data."""
    encoders = model.codec.encoding.columns
    n_weights = sum(np.size(leaf) for leaf in jax.tree.leaves(model.network))
    lines = [
        f"{n_weights:,} weights of networks, rounded, from which it draws rows",
        "the name and the type of each column",
    ]
    if any(encoder.categories is not None for encoder in encoders):
        lines.append("all categories of the training rows, even of a single row")
    if any(len(encoder.atoms) for encoder in encoders):
        lines.append("values of numbers that many rows have, or all values of columns with few")
    if model.summary is not None:
        lines.append("how many training rows have each of these categories and values, or a number, or none")
    if any(encoder.scores is not None for encoder in encoders):
        lines.append(
            "of each other column of numbers its distribution: its values, or up to 1,001 quantiles, which are values "
            "of training rows or lie between two, and the lowest and the highest value"
        )
    if sum(encoder.has_number for encoder in encoders) > 1:
        lines.append("how those numbers vary together, two by two")
    if model.codec.rules:
        lines.append(
            "sums, products, powers and orders of columns that training rows obey, and which values decide others"
        )
    if any(isinstance(rule, Combination) for rule in model.codec.rules):
        lines.append("all combinations of values of some columns, even of a single row")
    return lines
