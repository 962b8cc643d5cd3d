"""Evaluations as plain values that JSON knows."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.metrics import Estimate

if TYPE_CHECKING:
    from pointillist.evaluation.evaluation import Evaluation


def as_plain(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation's fields by name, with the verdict first. See `Evaluation.to_json`."""
    conclusions = {
        "verdict": evaluation.verdict,
        "can_be_told_apart": evaluation.can_be_told_apart,
        "p_values": evaluation.p_values,
        "adjusted_p_values": evaluation.adjusted_p_values,
    }
    return {**plain_value(conclusions), **plain_value(evaluation)}


def plain_value(value: Any) -> Any:
    """A value as what JSON knows."""
    if isinstance(value, Estimate):
        errors = {"standard_error": value.standard_error, "null_standard_error": value.null_standard_error}
        return {"value": plain_value(float(value)), **plain_value(errors)}
    if isinstance(value, np.ndarray):
        return plain_value(value.tolist())
    if isinstance(value, dict):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if is_dataclass(value):
        return {field.name: plain_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
