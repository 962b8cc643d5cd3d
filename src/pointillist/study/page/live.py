"""The models in a study's page, with everything that a browser needs to draw their rows."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from pointillist.columns.scaling import AffineScaling
from pointillist.diffusion.schedules import cosine
from pointillist.page.parts import packed
from pointillist.page.weights import network_content
from pointillist.study.grid import Cell, Dataset
from pointillist.study.page.conclusions import live_name
from pointillist.study.results import Results
from pointillist.study.settings import label
from pointillist.study.spec import Column, short_name
from pointillist.study.window import Window

BUDGET = 1_350_000
"""Most characters of all models together, which keeps the page of the built-in study near 3 MB."""

STEP = 1.5
"""Rounding step of the weights, relative to the usual one: distances between rows do not show it."""

TRAINING_TIMESTEPS = 200
"""T of networks that are trained in the page."""

MOST_REAL_ROWS = 1000
"""Most rows of a data set that are shown behind the generated ones."""


def live_content(results: Results, *, budget: int = BUDGET) -> dict[str, Any] | None:
    """Collects models of seed 0 and their data sets, as JSON values; None if no model is finished.

    The models with the lowest EMD of every data set come first, with and without classes, within the budget.
    """
    models: dict[str, dict[str, Any]] = {}
    n_finished, spent = 0, 0
    for name, column, cell in choices(results):
        model = _model(results, name, column, cell)
        if model is None:
            continue
        n_finished += 1
        size = len(model["weights"]) + len(model.get("rest", ""))
        if spent + size <= budget:
            spent += size
            models[model["id"]] = model
    if not models:
        return None
    names = {model["dataset"]: model.pop("name") for model in models.values()}
    return {
        "models": list(models.values()),
        "n_finished": n_finished,
        "datasets": {short: _dataset(results.dataset(name)) for short, name in names.items()},
    }


def training_schedule() -> dict[str, str]:
    """Returns the schedule of networks that are trained in the page."""
    schedule = cosine(TRAINING_TIMESTEPS)
    return {"alpha": packed([schedule.alpha], "float32"), "sigma": packed([schedule.sigma], "float32")}


def choices(results: Results) -> Iterator[tuple[str, Column, Cell]]:
    """Yields every model once, the best of each data set first, with and without classes.

    Yields:
        Data set, column and cell of seed 0.
    """
    found = defaultdict[tuple[str, bool], list[tuple[float, str, Column]]](list)
    for section in results.spec.sections:
        for row in (row for row in results.rows(section) if row.metric == "emd"):
            for column, measured in zip(section.columns, row.cells, strict=True):
                value = measured.value if np.isfinite(measured.value) else np.inf
                found[row.name, column.settings.class_embedding > 0].append((value, row.name, column))
    ranked = [sorted(columns, key=lambda each: each[0]) for columns in found.values()]
    seen = set()
    for _, name, column in filter(None, chain.from_iterable(zip_longest(*ranked))):
        cell = results.cells(name, column.settings)[0]
        if cell.model_key not in seen:
            seen.add(cell.model_key)
            yield name, column, cell


def _model(results: Results, name: str, column: Column, cell: Cell) -> dict[str, Any] | None:
    kept = results.store.model(cell.model_key)
    if kept is None:
        return None
    settings, dataset = cell.settings, results.dataset(name)
    betas = f", beta {label('beta_range', settings.beta_range)}" if settings.beta_range else ""
    is_usual = (settings.network, settings.prediction) == ("mlp", "eps")
    title = ("" if is_usual else column.label, f"T = {settings.timesteps}, {settings.schedule}{betas}")
    network = results.store.network(kept.network, settings.architecture, dataset.rows.shape[1])
    process = dataset.process(settings, settings.noise_schedule())
    content = network_content(network, process, "steps", step=STEP)
    if content is None:
        return None
    return {
        "id": live_name(cell),
        "name": name,
        "dataset": short_name(name),
        "title": "; ".join(filter(None, (*title, "with classes" if settings.class_embedding else ""))),
        "variance": settings.variance or "posterior",
        "prior_kl": float(results.prior_kl(name, settings) / dataset.rows.shape[1]),
        **content,
    }


def _dataset(dataset: Dataset) -> dict[str, Any]:
    window, (n, d) = Window.around(dataset.rows), dataset.rows.shape
    chosen = np.arange(min(n, MOST_REAL_ROWS)) * n // min(n, MOST_REAL_ROWS)
    shown, _ = window.split(dataset.rows)
    low, high = shown.min(axis=0), shown.max(axis=0)
    scaling = dataset.scaling or AffineScaling.identity(d)
    return {
        "names": [str(column) for column in range(d)] if dataset.names is None else list(dataset.names),
        "centre": scaling.centre.tolist(),
        "unit": scaling.unit.tolist(),
        "rows": packed([dataset.rows[chosen]], "float16"),
        "labels": None if dataset.labels is None else dataset.labels[chosen].tolist(),
        "class_sizes": dataset.class_sizes.tolist(),
        "axes": window.labels,
        "origin": window.origin.tolist(),
        "directions": window.directions.T.tolist(),
        "box": [low.tolist(), high.tolist()],
        # Three columns can be turned, with the box around them.
        "extent": float(np.linalg.norm(np.maximum(-low, high)) if window.dimensions == 3 else np.abs(shown).max()),
    }
