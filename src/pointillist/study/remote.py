"""Runs a study on many machines: stacks of cells become Ray tasks, whose results come back to one store."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from pointillist.engine.cluster import cluster, results
from pointillist.engine.devices import configure
from pointillist.progress import Bar, Interruption, deferred_interrupt
from pointillist.study.grid import Cell
from pointillist.study.runner import Study, compute
from pointillist.study.shared import Work
from pointillist.study.spec import Spec
from pointillist.study.store import Model, Store
from pointillist.study.training import stacks

Part = tuple[tuple[str, ...], tuple[str, ...], dict[str, Model], dict[str, np.ndarray]]
"""Keys of cells, names of data sets whose floors are wanted, and models and rows that already exist."""


def run_study_on_ray(spec: Spec, store: Store, console: Console, address: str | None = None) -> None:
    """Computes every cell of the study that the store lacks, as tasks of a Ray cluster.

    Models, rows and measures are bit for bit the same as those of `runner.run_study` on the same kind of
    processor. Ctrl-C cancels the tasks; finished ones are kept.

    Args:
        spec: The study.
        store: Store of finished models, rows and cells; it keeps the spec too.
        console: Console for the progress bar.
        address: Address of the cluster; None for one on this machine.

    Raises:
        SpecError: If a data set does not fit the spec, before anything is computed.
        ValueError: If there is no cluster.
        KeyboardInterrupt: After Ctrl-C; finished parts are kept.
    """
    # Before JAX runs threads: a local cluster is made of processes that are forked off.
    with cluster(address):
        _compute(Study.begun(spec, store), store, console)


def _compute(study: Study, store: Store, console: Console) -> None:
    pending = study.pending(store)
    work = Work(study.by_fingerprint, pending, store)
    parts = _parts(study, pending, store)
    by_key = {cell.key: cell for cell in pending}
    with (
        Bar(console, work.total) as bar,
        deferred_interrupt(console) as interruption,
        tempfile.TemporaryDirectory() as folder,
    ):
        bar.say(f"{len(parts)} tasks on Ray")
        for done, (i, content) in enumerate(results(computed, study, parts, check=interruption.check), 1):
            path = Path(folder) / "part.db"
            path.write_bytes(content)
            store.merge(path)
            bar.advance(_work_of(work, [by_key[key] for key in parts[i][0]], parts[i]))
            bar.say(f"{done} of {len(parts)} tasks on Ray")


def computed(study: Study, keys: Sequence[str], floors_of: Sequence[str], models: dict, rows: dict) -> bytes:
    """Runs one task, and returns the bytes of a store that holds some cells of a study."""
    configure()
    wanted = set(keys)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        with Store(path) as store:
            store.add_models(models)
            for key, array in rows.items():
                store.add_rows(key, array)
            cells = [cell for cell in study.cells if cell.key in wanted]
            console = Console(quiet=True)
            with Bar(console, 1.0, is_shown=False) as bar:
                work = Work(study.by_fingerprint, cells, store)
                compute(study, cells, floors_of, store, work, bar, Interruption())
        return path.read_bytes()


def _parts(study: Study, pending: Sequence[Cell], store: Store) -> list[Part]:
    """Makes the tasks: each data set's floors, cells of models trained together, and cells that need no training.

    Stacks are split, because on a machine with few cores a small stack takes no longer per model than a large one.
    """
    parts: list[Part] = [((), (name,), {}, {}) for name in study.without_floors(store)]
    trained = {cell.model_key: store.model(cell.model_key) for cell in pending if cell.model_key}
    for stack in stacks([cell for cell in pending if cell.model_key], study.by_fingerprint):
        for first in range(0, len(stack), MODELS_PER_TASK):
            keys = {cell.model_key for cell in stack[first : first + MODELS_PER_TASK]}
            cells = [cell for cell in pending if cell.model_key in keys]
            models = {key: model for key in keys if (model := trained[key]) is not None}
            rows = {cell.rows_key: kept for cell in cells if (kept := store.rows(cell.rows_key)) is not None}
            parts.append((tuple(cell.key for cell in cells), (), models, rows))
    by_dataset: dict[str, list[str]] = {}
    for cell in pending:
        if not cell.model_key:
            by_dataset.setdefault(cell.dataset, []).append(cell.key)
    return parts + [(tuple(keys), (), {}, {}) for keys in by_dataset.values()]


MODELS_PER_TASK = 4
"""Number of models per task: few enough that a lost worker loses little, and that the last tasks end together."""


def _work_of(work: Work, cells: Sequence[Cell], part: Part) -> float:
    models = {cell.model_key: work.training(cell) for cell in cells if cell.model_key and cell.model_key not in part[2]}
    draws = {cell.rows_key: work.sampling(cell) for cell in cells if cell.rows_key and cell.rows_key not in part[3]}
    rest = sum(work.classifying(cell) + work.measuring for cell in cells)
    return sum(models.values()) + sum(draws.values()) + rest
