"""Content of the page's charts of metrics against settings, and of its pictures of rows."""

import base64
from typing import Any

import numpy as np

from pointillist.study.figures import HALF_LENGTH
from pointillist.study.page.conclusions import column_head, n_steps
from pointillist.study.quantities import QUANTITIES
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name
from pointillist.study.window import Window

MAX_ROWS = 1000
"""Most generated rows of one setting that the page holds."""

_FULL_SCALE = 32767


def chart(results: Results, section: Section) -> dict[str, Any]:
    """Collects the section's settings, and the numbers of every metric and set; null if there is none."""
    rows = results.rows(section)
    titles = {row.metric: row.title for row in rows}
    return {
        "x": _numbers(section),
        "xName": ", ".join(key.replace("_", " ") for key in section.varied),
        "heads": [column_head(section, column) for column in section.columns],
        "labels": [column.label for column in section.columns],
        "halfLength": HALF_LENGTH,
        "metrics": [[name, titles[name]] for name in QUANTITIES[section.kind] if name in titles],
        "rows": list(map(_series, rows)),
    }


def _numbers(section: Section) -> list[float] | None:
    """Returns positions of the settings on an axis of numbers; None if they are not numbers."""
    values = [getattr(column.settings, key) for key in section.varied for column in section.columns]
    if section.varied == ("steps",):
        values = [n_steps(column.settings) for column in section.columns]
    are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return values if len(section.varied) == 1 < len(values) and are_numbers else None


def _series(row: Row) -> dict[str, Any]:
    cells = row.cells
    return {
        "metric": row.metric,
        "set": row.dataset,
        "value": [_number(cell.value) for cell in cells],
        "error": [None if cell.summary is None else _number(cell.summary.standard_error) for cell in cells],
        "baseline": [None if cell.baseline is None else _number(cell.baseline.value) for cell in cells],
        "spread": [None if cell.baseline is None else _number(cell.baseline.spread) for cell in cells],
        "reported": [None if cell.reference is None else cell.reference.value for cell in cells],
        "best": [cell.is_best for cell in cells],
        "isRanked": row.is_ranked,
        "diverged": [cell.is_diverged for cell in cells],
        "text": [entry.measured for entry in row.entries],
        "baselineText": row.baseline_texts,
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def pictures(results: Results) -> tuple[dict[str, Any], dict[str, Any]]:
    """Collects real rows and their window by a data set's short name, and generated rows by key, once each."""
    sets, draws = dict[str, Any](), dict[str, Any]()
    for section in results.spec.sections:
        for name in section.drawn:
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
    """Returns the key of each column's rows of seed 0."""
    return [results.cells(name, column.settings)[0].rows_key for column in section.columns]


def _packed(window: Window, rows: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
    """Packs coordinates within the window as 16-bit little-endian integers by class, and counts the rows outside."""
    if n_lost := int((~np.isfinite(rows)).any(axis=1).sum()):
        return {"n": len(rows), "lost": n_lost}
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
    """Returns indices of at most `MAX_ROWS` of n rows, evenly spaced because rows may be sorted by class."""
    return np.arange(n) if n <= MAX_ROWS else np.linspace(0, n - 1, MAX_ROWS).round().astype(np.int64)
