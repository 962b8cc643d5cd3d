"""Content of the page's charts: metric against setting, and training losses."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pointillist.study.figures.curves import HALF_LENGTH
from pointillist.study.page.words import column_head, n_steps
from pointillist.study.quantities import QUANTITIES
from pointillist.study.result_tables import floor_text, value_text
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name

MAX_EPOCHS = 200
"""Most points of a curve of losses."""


def chart(results: Results, section: Section) -> dict[str, Any]:
    """Makes the section's settings, and the numbers of every metric and set; null where there is none."""
    rows = results.rows(section)
    metrics = {row.metric for row in rows}
    return {
        "x": _numbers(section),
        "xName": ", ".join(key.replace("_", " ") for key in section.varied),
        "heads": [column_head(section, column) for column in section.columns],
        "labels": [column.label for column in section.columns],
        "halfLength": HALF_LENGTH,
        "metrics": [[q.name, q.title] for q in QUANTITIES[section.kind].values() if q.name in metrics],
        "rows": list(map(_series, rows)),
    }


def _numbers(section: Section) -> list[float] | None:
    """Positions of the settings on an axis of numbers; None if they are not numbers."""
    values = [getattr(column.settings, key) for key in section.varied for column in section.columns]
    if section.varied == ("steps",):
        values = [n_steps(column.settings) for column in section.columns]
    are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return values if len(section.varied) == 1 < len(values) and are_numbers else None


def _series(row: Row) -> dict[str, Any]:
    return {
        "metric": row.metric,
        "set": row.dataset,
        "value": [None if s is None else _number(s.value) for s in row.summaries],
        "error": [None if s is None else _number(s.standard_error) for s in row.summaries],
        "floor": [None if f is None else _number(f.value) for f in row.floors],
        "spread": [None if f is None else _number(f.spread) for f in row.floors],
        "reported": [None if r is None else r.value for r in row.references],
        "best": list(row.is_best),
        "isRanked": row.is_ranked,
        "diverged": [s is not None and not np.isfinite(s.value) for s in row.summaries],
        "text": [value_text(row, i) for i in range(len(row.summaries))],
        "floorText": [floor_text(row, i) for i in range(len(row.floors))],
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def losses(results: Results, section: Section) -> dict[str, Any] | None:
    """Training loss by epoch for every set and setting, averaged over seeds; None where there is none."""
    if section.kind == "classifier":
        return None
    curves = {
        short_name(name): [_curve(results.losses(name, column.settings)) for column in section.columns]
        for name in section.datasets
    }
    return curves if any(curve for of_set in curves.values() for curve in of_set) else None


def _curve(losses: Sequence[np.ndarray]) -> list[list[float | None]] | None:
    """Epochs and losses, thinned to `MAX_EPOCHS`."""
    if not losses:
        return None
    mean = np.mean(np.stack(losses).astype(np.float64), axis=0)
    epochs = np.unique(np.linspace(1, len(mean), min(len(mean), MAX_EPOCHS)).round().astype(int))
    return [epochs.tolist(), [_number(value) for value in mean[epochs - 1]]]
