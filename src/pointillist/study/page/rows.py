"""Encodes real and generated rows in the few bytes that a picture of them needs."""

import base64
from typing import Any

import numpy as np

from pointillist.study.figures.window import Window
from pointillist.study.results import Results
from pointillist.study.spec import Section, short_name

MAX_ROWS = 1000
"""Most rows of one draw that the page holds."""

_FULL_SCALE = 32767


def pictures(results: Results) -> tuple[dict[str, Any], dict[str, Any]]:
    """Collects the rows of all sections; a draw that sections share is included once.

    Returns:
        Window and real rows of each data set, by its short name; and generated rows of each draw, by its key.
    """
    sets: dict[str, Any] = {}
    draws: dict[str, Any] = {}
    for section in results.spec.sections:
        for name in section.datasets if section.kind != "classifier" else ():
            dataset = results.dataset(name)
            window = Window.around(dataset.rows)
            if short_name(name) not in sets:
                real = _packed(window, dataset.rows, dataset.labels)
                is_projected = dataset.rows.shape[1] > window.dimensions
                sets[short_name(name)] = {"axes": window.labels, "projected": is_projected, "real": real}
            for column, key in zip(section.columns, draw_keys(results, section, name), strict=True):
                generated = results.generated(name, column.settings) if key not in draws else None
                if generated is not None:
                    labels = dataset.labels_to_draw(len(generated)) if section.kind == "classes" else None
                    draws[key] = _packed(window, generated, labels)
    return sets, draws


def draw_keys(results: Results, section: Section, name: str) -> list[str]:
    """The key of each column's draw of seed 0."""
    return [results.cells(name, column.settings)[0].rows_key for column in section.columns]


def _packed(window: Window, rows: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
    """Packs coordinates within the window as 16-bit little-endian integers by class, and counts the rows outside."""
    is_finite = np.isfinite(rows).all(axis=1)
    if not is_finite.all():
        return {"n": len(rows), "lost": int((~is_finite).sum())}
    shown, is_inside = window.split(rows)
    chosen = evenly(len(rows))
    chosen = chosen[is_inside[chosen]]
    packed: dict[str, Any] = {"n": len(rows), "outside": int((~is_inside).sum())}
    if labels is not None:
        chosen = chosen[np.argsort(labels[chosen], kind="stable")]
        packed["classes"] = np.bincount(labels[chosen], minlength=int(labels.max()) + 1).tolist()
    scaled = (shown[chosen] - window.low) / (window.high - window.low) * 2 - 1
    packed["rows"] = base64.b64encode(np.round(scaled * _FULL_SCALE).astype("<i2").tobytes()).decode()
    return packed


def evenly(n: int) -> np.ndarray:
    """Indices of at most `MAX_ROWS` of n rows, evenly spaced because rows may be sorted, for instance by class."""
    return np.arange(n) if n <= MAX_ROWS else np.linspace(0, n - 1, MAX_ROWS).round().astype(np.int64)
