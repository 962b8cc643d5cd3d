"""Converts values to those of JSON."""

import math
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from pointillist.metrics import Estimate


def json_value(value: Any) -> Any:
    """Convert a value to JSON values, with None for numbers that are not finite."""
    if isinstance(value, Estimate):
        errors = {"standard_error": value.standard_error, "null_standard_error": value.null_standard_error}
        return {"value": json_value(float(value)), **json_value(errors)}
    if isinstance(value, np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, SimpleNamespace):
        return json_value(vars(value))
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if is_dataclass(value):
        return {field.name: json_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
