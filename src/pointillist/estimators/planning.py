"""Turns the arguments of `fit` into a training plan, and the result of training into a fitted model."""

from collections.abc import Sequence
from datetime import date, time, timedelta
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pointillist.engine.devices import configure
from pointillist.estimators.checkpoint import Checkpoint, seed_in
from pointillist.estimators.continuing import check_continuing
from pointillist.estimators.fitting import train
from pointillist.estimators.inputs import checked_labels, checked_rows, seed_of
from pointillist.estimators.layout import Headings, Layout, is_frame
from pointillist.estimators.parameters import (
    architecture,
    check_parameters,
    deciding,
    learning,
    method,
    noise_schedule,
    warn_of_prior,
)
from pointillist.estimators.plan import Plan, Stopping, fingerprint, plan_key
from pointillist.points import Table, TableScaling, blocks, rows_at
from pointillist.points.mixed import MixedTable
from pointillist.points.repeats import has_repeats
from pointillist.points.spool import SPOOL_ABOVE

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

_ROWS_FOR_PRIOR = 4096
_ROWS_FOR_KIND = 20_000

DEFAULT_STEPS = 10_000
"""Number of training steps if `epochs` is None: that of 80 epochs over 8,000 rows."""

MOST_DEFAULT_EPOCHS = 400
"""Most epochs if `epochs` is None: a small table is memorized long before `DEFAULT_STEPS` steps."""


def fitted(
    model: "DiffusionModel",
    X: Any,
    y: ArrayLike | None,
    checkpoint: str | Path | None,
    categorical: Sequence[str | int] = (),
) -> "DiffusionModel":
    """Returns another model with the same parameters, fitted; see `Diffusion.fit`. A finished checkpoint is kept."""
    configure()
    check_parameters(model)
    mixed = as_mixed(model, X, categorical)
    if mixed is not None:
        from pointillist.estimators.mixed.planning import fitted_mixed

        return fitted_mixed(model, *mixed, y, checkpoint, categorical)
    if isinstance(X, MixedTable):
        X = X.plain()
    fresh = model._unfitted()
    layout, rows = checked_rows(fresh, X, reset=True)
    label_column, labels_name = None, "y"
    if y is None and isinstance(X, Table) and X.label is not None:
        y, label_column = X.label.values, (X.label.name, X.label.position)
        labels_name = f"column {X.label.name!r}"
    classes, labels, counts = checked_labels(y, len(rows), labels_name)
    before = model if model.warm_start and hasattr(model, "network_") else None
    if before is not None:
        check_continuing(before, layout, rows, classes, deciding(model))
    seed = None if checkpoint is None or model.random_state is not None else seed_in(Path(checkpoint))
    plan = planned(model, layout, rows, labels if len(classes) else None, len(classes), seed)
    some = np.linspace(0, len(rows) - 1, min(len(rows), _ROWS_FOR_PRIOR)).astype(np.int64)
    warn_of_prior(plan.schedule, plan.scaled(some)[0])
    mark = fingerprint(rows)
    file = None if checkpoint is None else Checkpoint(Path(checkpoint), plan_key(plan, mark), plan.seed)
    trained = train(plan, checkpoint=file, is_shown=bool(model.verbose))
    fresh.network_, fresh.schedule_, fresh.scaling_, fresh.layout_ = (
        trained.network,
        plan.schedule,
        plan.scaling,
        layout,
    )
    fresh.spread_ = plan.spread
    fresh.history_, fresh.validation_history_ = trained.history, trained.validation_history
    if before is not None:
        fresh.history_ = np.concatenate([before.history_, trained.history])
        fresh.validation_history_ = np.concatenate([before.validation_history_, trained.validation_history])
    fresh.trained_with_, fresh.label_column_ = deciding(model), label_column
    fresh.seed_, fresh.fingerprint_ = plan.seed, mark
    if len(classes):
        fresh.classes_, fresh.class_counts_ = classes, counts
    return fresh


def as_mixed(
    model: "DiffusionModel", X: Any, categorical: Sequence[str | int]
) -> "tuple[MixedTable, str, Headings | None] | None":
    """Returns X as a table of mixed columns, its kind of container and its headings; None for a model of numbers.

    What the columns hold decides, not their container.
    """
    if model.process == "gaussian":
        if len(categorical):
            raise ValueError("categorical columns are for process='masked': leave one of them out")
        return None
    is_asked = model.process == "masked" or len(categorical) > 0
    if not is_asked and not is_frame(X) and not isinstance(X, MixedTable) and not _is_mixed_array(X):
        # Without Arrow.
        return None
    from pointillist.estimators.mixed.frames import table_of

    found = table_of(X)
    if found is None or not found[0].names:
        return None
    if is_asked or not found[0].is_plain:
        return found
    return found if has_repeats(_some_numbers(found[0])) else None


def _is_mixed_array(X: Any) -> bool:
    """Whether an array, or the table of a file of numbers, holds more than continuous numbers."""
    try:
        rows = X.rows if isinstance(X, Table) else X if np.ma.is_masked(X) else np.asarray(X)
    except ValueError:
        # Rows of different lengths, which are refused where rows are checked.
        return False
    if rows.ndim != 2 or not rows.size or rows.dtype.kind not in "biufO":
        return False
    if np.ma.is_masked(rows):
        return True
    if rows.dtype == object:
        is_known = all(isinstance(cell, Real | str | date | time | timedelta | None) for cell in rows.ravel())
        return is_known and not all(isinstance(cell, Real) and cell == cell for cell in rows.ravel())
    if rows.dtype.kind == "f" and any(np.isnan(block).any() for block in blocks(rows)):
        return True
    # Tokens are held in memory, where the rows of a larger table are not.
    return rows.nbytes <= SPOOL_ABOVE and has_repeats(_some(rows))


def _some(rows: np.ndarray) -> np.ndarray:
    places = np.linspace(0, len(rows) - 1, min(len(rows), _ROWS_FOR_KIND)).astype(np.int64)
    return rows_at(rows, places).astype(np.float64)


def _some_numbers(table: MixedTable) -> np.ndarray:
    cells = [cells for name, cells in zip(table.names, table.cells, strict=True) if name != table.label]
    return _some(np.stack([each.values for each in cells], axis=1))


def planned(
    model: "DiffusionModel",
    layout: Layout,
    rows: np.ndarray,
    labels: np.ndarray | None,
    n_classes: int,
    seed: int | None = None,
) -> Plan:
    """Returns the plan of a model's training.

    Args:
        model: The model, with its parameters and, for a warm start, its weights and its scaling.
        layout: Layout of the rows.
        rows: Rows, shape (n, d).
        labels: Indices of classes, shape (n,); None without classes.
        n_classes: Number of classes; 0 without classes.
        seed: Seed of a checkpoint; by default, that of the model's `random_state`.
    """
    goes_on = model.warm_start and hasattr(model, "network_")
    if seed is None:
        seed = seed_of(model.random_state)
        if goes_on:
            # Other times and noise than the first time.
            seed = int(np.random.SeedSequence([seed, len(model.history_)]).generate_state(1)[0])
    if model.early_stopping and len(rows) < max(3, n_classes + 1):
        raise ValueError(f"early_stopping holds out rows, and X has {len(rows)}: give more, or leave it out")
    stopping = Stopping(model.validation_fraction, model.n_iter_no_change) if model.early_stopping else None
    return Plan(
        rows=rows,
        labels=None if labels is None else labels.astype(np.int32),
        scaling=model.scaling_.widened(rows) if goes_on else TableScaling.fit(rows, model.scaling, layout.is_whole),
        schedule=noise_schedule(deciding(model)),
        architecture=architecture(deciding(model), n_classes),
        method=method(model),
        n_classes=n_classes,
        default_steps=DEFAULT_STEPS,
        most_default_epochs=MOST_DEFAULT_EPOCHS,
        **learning(model),
        p_uncond=float(model.p_uncond),
        seed=seed,
        stopping=stopping,
        start=model.network_ if goes_on else None,
        start_spread=model.spread_ if goes_on else None,
    )
