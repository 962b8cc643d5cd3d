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
from pointillist.study.models import stacks
from pointillist.study.runner import begin, compute
from pointillist.study.shared import Shared, Study
from pointillist.study.spec import Spec
from pointillist.study.store import Model, Store

Task = tuple[list[Cell], Sequence[str], dict[str, Model], dict[str, np.ndarray]]
"""Cells, names of data sets whose floors are wanted, and models and rows that already exist."""

MODELS_PER_TASK = 4
"""Number of models per task: few enough that a lost worker loses little, and that the last tasks end together."""


def run_study_on_ray(spec: Spec, store: Store, console: Console, address: str | None = None) -> None:
    """Computes every cell of the study that the store lacks, as tasks of a Ray cluster.

    Models, rows and measures are bit for bit the same as with `runner.run_study` on the same kind of processor. Ctrl-C
    cancels the tasks; finished ones are kept. Without an address, the cluster is this machine.

    Raises:
        SpecError: If a data set does not fit the spec, before anything is computed.
        ValueError: If there is no cluster.
        KeyboardInterrupt: After Ctrl-C; finished parts are kept.
    """
    # Before JAX runs threads: the processes of a local cluster are forked.
    with cluster(address), tempfile.TemporaryDirectory() as folder:
        study = begin(spec, store)
        tasks = _tasks(study, store)
        with Bar(console, len(tasks)) as bar, deferred_interrupt(console) as interruption:
            bar.say(f"{len(tasks)} tasks on Ray")
            for done, content in enumerate(results(computed, study, tasks, check=interruption.check), 1):
                path = Path(folder) / "part.db"
                path.write_bytes(content)
                store.merge(path)
                bar.advance(1)
                bar.say(f"{done} of {len(tasks)} tasks on Ray")


def computed(study: Study, cells: list[Cell], floors_of: Sequence[str], models: dict, rows: dict) -> bytes:
    """Runs one task, and returns the bytes of a store that holds some cells of a study."""
    configure()
    with tempfile.TemporaryDirectory() as folder, Bar(Console(quiet=True), 1.0, is_shown=False) as bar:
        path = Path(folder) / "study.db"
        with Store(path) as store:
            store.add_models(models)
            for key, array in rows.items():
                store.add_rows(key, array)
            compute(Shared(study, store, bar, Interruption()), cells, floors_of)
        return path.read_bytes()


def _tasks(study: Study, store: Store) -> list[Task]:
    """Makes the tasks: each data set's floors, cells of models trained together, and cells that need no training.

    Stacks are split, because on a machine with few cores a small stack takes no longer per model than a large one.
    """
    pending = study.pending(store)
    tasks: list[Task] = [([], (name,), {}, {}) for name in study.without_floors(store)]
    for stack in stacks([cell for cell in pending if cell.model_key], study.by_fingerprint):
        for first in range(0, len(stack), MODELS_PER_TASK):
            keys = {cell.model_key for cell in stack[first : first + MODELS_PER_TASK]}
            cells = [cell for cell in pending if cell.model_key in keys]
            models = {key: model for key in keys if (model := store.model(key)) is not None}
            rows = {cell.rows_key: kept for cell in cells if (kept := store.rows(cell.rows_key)) is not None}
            tasks.append((cells, (), models, rows))
    untrained = [cell for cell in pending if not cell.model_key]
    by_dataset = [[cell for cell in untrained if cell.dataset == key] for key in study.by_fingerprint]
    return tasks + [(cells, (), {}, {}) for cells in by_dataset if cells]
