"""The named point sets."""

from pointillist.datasets.pointsets import (
    POINTSETS,
    PointSet,
    load_pointset,
    true_class_probabilities,
    true_log_density,
)

__all__ = ["POINTSETS", "PointSet", "load_pointset", "true_class_probabilities", "true_log_density"]
