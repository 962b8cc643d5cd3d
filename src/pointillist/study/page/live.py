"""The models in a study's page, with everything that a browser needs to draw their rows."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pointillist.columns.scaling import AffineScaling
from pointillist.diffusion.schedules import cosine
from pointillist.engine.training import sigma_data_of
from pointillist.page.network import network_content
from pointillist.page.parts import packed
from pointillist.study.figures.rows import Window
from pointillist.study.grid import Cell, Dataset
from pointillist.study.page.conclusions import live_name
from pointillist.study.results import Results
from pointillist.study.settings import Settings, label
from pointillist.study.spec import Column, Section, short_name

BUDGET = 3_200_000
"""Most characters that all models may take together, which keeps the page of the built-in study near 5 MB."""

STEP = 1.5
"""Steps of the weights, in usual ones: distances of rows do not show them."""

TRAINING_TIMESTEPS = 200
"""T of networks that are trained in the page."""

MOST_REAL_ROWS = 1000
"""Most rows of a data set that are shown behind the generated ones."""


class Choice(NamedTuple):
    """A trained network that the page may hold: the name of its data set, its column, and its cell of seed 0."""

    name: str
    column: Column
    cell: Cell


def live_content(results: Results, *, budget: int = BUDGET) -> dict[str, Any] | None:
    """Collects models of seed 0 and their data sets, as JSON values; None if no model is finished.

    For every section and data set, the setting with the lowest EMD comes first, then the others, as many as the budget
    allows.
    """
    models: dict[str, dict[str, Any]] = {}
    n_finished, spent = 0, 0
    for choice in choices(results):
        model = _model(results, choice)
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
    """The schedule of networks that are trained in the page."""
    schedule = cosine(TRAINING_TIMESTEPS)
    return {"alpha": packed([schedule.alpha], "float32"), "sigma": packed([schedule.sigma], "float32")}


def choices(results: Results) -> Iterator[Choice]:
    """Lists every model once: the best of each section and data set first, then the rest."""
    ranked = [
        (name, _ranked(results, section, name))
        for section in results.spec.sections
        if section.kind != "classifier"
        for name in section.datasets
    ]
    seen = set()
    for rank in range(max((len(columns) for _, columns in ranked), default=0)):
        for name, columns in ranked:
            if rank < len(columns):
                cell = results.cells(name, columns[rank].settings)[0]
                if cell.model_key not in seen:
                    seen.add(cell.model_key)
                    yield Choice(name, columns[rank], cell)


def _ranked(results: Results, section: Section, name: str) -> list[Column]:
    (row,) = (row for row in results.rows(section) if (row.dataset, row.metric) == (short_name(name), "emd"))
    emds = [cell.value if np.isfinite(cell.value) else np.inf for cell in row.cells]
    return [section.columns[i] for i in sorted(range(len(emds)), key=emds.__getitem__)]


def _model(results: Results, choice: Choice) -> dict[str, Any] | None:
    kept = results.store.model(choice.cell.model_key)
    if kept is None:
        return None
    settings, dataset = choice.cell.settings, results.dataset(choice.name)
    network = results.store.network(kept.network, settings.architecture, dataset.rows.shape[1])
    content = network_content(
        network,
        settings.architecture,
        settings.prediction,
        settings.noise_schedule(),
        sigma_data_of(dataset.rows),
        dataset.n_classes,
        "steps",
        step=STEP,
    )
    if content is None:
        return None
    return {
        "id": live_name(choice.cell),
        "name": choice.name,
        "dataset": short_name(choice.name),
        "title": _title(settings, choice.column.label),
        "variance": settings.variance or "posterior",
        "prior_kl": float(results.prior_kl(choice.name, settings) / dataset.rows.shape[1]),
        **content,
    }


def _title(settings: Settings, of_column: str) -> str:
    betas = f", beta {label('beta_range', settings.beta_range)}" if settings.beta_range else ""
    parts = [f"T = {settings.timesteps}, {settings.schedule}{betas}"]
    if settings.network != "mlp" or settings.prediction != "eps":
        parts.insert(0, of_column)
    if settings.class_embedding:
        parts.append("with classes")
    return "; ".join(parts)


def _dataset(dataset: Dataset) -> dict[str, Any]:
    window = Window.around(dataset.rows)
    n = len(dataset.rows)
    chosen = np.arange(min(n, MOST_REAL_ROWS)) * n // min(n, MOST_REAL_ROWS)
    shown = (dataset.rows.astype(np.float64) - window.origin) @ window.directions
    d = dataset.rows.shape[1]
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
