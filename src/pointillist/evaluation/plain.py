"""Converts values to those of JSON."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from pointillist.metrics import Estimate


def plain_value(value: Any) -> Any:
    """Convert a value to JSON values, with None in place of numbers that are not finite."""
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
