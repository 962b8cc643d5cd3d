"""Fits a model to a table: from a configuration and rows to a `RowModel`."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pointillist.columns.generated import GeneratedColumns
from pointillist.columns.unlearned import separated
from pointillist.engine.devices import configure
from pointillist.models.checkpoint import Checkpoint, seed_in
from pointillist.models.choosing import masked_table
from pointillist.models.classes import Classes
from pointillist.models.configuration import Configuration, changed_gaussian_only, unused_betas, values_of
from pointillist.models.plan import Plan, fingerprint, plan_key
from pointillist.models.planning import WIDTH_GIVEN, plan_numbers, plan_tokens
from pointillist.models.row_model import Guarantee, Record, RowModel
from pointillist.models.summary import Summary
from pointillist.models.time_limits import TimeLimit, plan_within
from pointillist.models.training import train, train_observed
from pointillist.models.trials import run_trials
from pointillist.progress import shows_progress
from pointillist.rules.declarations import about_rows, generated_in, names_in, obeying
from pointillist.tables.frames import check_finite, read_numbers
from pointillist.tables.layout import Layout
from pointillist.tables.table import Table


def finite_rows(X: Any) -> tuple[Layout, np.ndarray]:
    """Reads a file's table, an array or a data frame as finite float64 rows."""
    layout, rows = read_numbers(X)
    check_finite(rows, "X", layout.names)
    return layout, np.asarray(rows, np.float64)


@dataclass(frozen=True, eq=False)
class Task:
    """A fit that is ready to start.

    Attributes:
        configuration: The configuration.
        trained_with: The parameters that determine the network.
        table: The table, if cells become tokens.
    """

    configuration: Configuration
    plan: Plan
    classes: Classes | None
    trained_with: dict[str, Any]
    table: Table | None = None
    summary: Summary | None = None
    guarantee: Guarantee | None = None
    limit: TimeLimit | None = None
    generated: GeneratedColumns | None = None

    def fit(self, checkpoint: Path | None = None) -> RowModel:
        """Trains a model; raises a ValueError if training diverges, or the checkpoint belongs to another training run.

        The state of training is written to the checkpoint, from which training resumes; on Ctrl-C it is written before
        the KeyboardInterrupt. A finished checkpoint is kept, because the result is not saved yet.
        """
        is_shown, limit = shows_progress(self.configuration.verbose), self.limit
        if limit is None:
            plan = run_trials(self.plan, is_shown=is_shown)
        else:
            has_default_width = self.configuration.width is None
            plan = plan_within(self.plan, limit, is_shown=is_shown, has_default_width=has_default_width)
        rows_hash = fingerprint(plan.rows)
        file = None if checkpoint is None else Checkpoint(checkpoint, plan_key(plan, rows_hash), plan.seed)
        deadline = None if limit is None else limit.deadline
        trained = train(plan, checkpoint=file, is_shown=is_shown, deadline=deadline)
        networks = trained.network
        if self.configuration.epochs is None:
            networks = train_observed(plan, networks, is_shown=is_shown, deadline=deadline)
        learned = plan.codec, *plan.process.finished(networks), self.classes
        record = Record(trained.history, trained.validation_history, plan.seed, rows_hash)
        # A time limit may have changed the width.
        parameters = values_of(self.configuration), self.trained_with | {"width": plan.process.architecture.width}
        return RowModel(*learned, record, *parameters, self.summary, generated=self.generated)

    def without_table(self) -> "Task":
        """Returns the task without its table; the plan holds everything that training needs."""
        return replace(self, table=None)


def prepare(
    configuration: Configuration,
    X: Any,
    y: ArrayLike | None = None,
    *,
    categorical: Sequence[str | int] = (),
    given: Sequence[str | int] = (),
    keep: Sequence[str] = (),
    checkpoint: Path | None = None,
    read: Callable[[Any], tuple[Layout, np.ndarray]] = finite_rows,
    started: float | None = None,
) -> Task:
    """Checks the rows, labels and configuration of a fit, and plans the training; see `Diffusion.fit`.

    Args:
        configuration: The configuration.
        X: Rows, in any container; a table from a file may include labels.
        y: Labels.
        categorical: Columns whose numbers are categories.
        given: Columns whose values `where` will set in every draw.
        keep: Names of further columns to keep, even if nearly all rows have different values.
        checkpoint: File of the state of training; its seed is used if the configuration has none.
        read: Reads the layout and the finite rows of arrays and data frames of numbers.
        started: Start of the fit by `time.monotonic`, for `max_minutes`; now by default.

    Raises:
        ValueError: In one line, if the rows, the labels or the configuration cannot be used.

    Warns:
        UserWarning: If columns are generated or dropped because they number the rows, differ in nearly every row, are
            personal or empty; or if the model does not use a parameter that is set.
    """
    limit, table, label = None, None, None
    if configuration.max_minutes is not None:
        limit = TimeLimit(configuration.max_minutes, time.monotonic() if started is None else started)
        if checkpoint is not None:
            raise ValueError("a fit with max_minutes depends on the speed of the machine: leave checkpoint out")
    configure()
    warn_of_unused(unused_betas(configuration), f"noise schedule is {configuration.schedule!r}")
    rules = about_rows(configuration.rules)
    kept, declared = {*categorical, *keep, *names_in(rules)}, generated_in(configuration.rules)
    separate = separated(X, kept, declared, finds=configuration.process != "gaussian")
    separate.warn()
    X = separate.X
    seed = None if checkpoint is None or configuration.random_state is not None else seed_in(checkpoint)
    unused = changed_gaussian_only(configuration)
    process = "masked" if rules else configuration.process
    mixed = masked_table(process, X, categorical, prefers_gaussian=bool(unused) or len(given) > 0)
    if mixed is not None:
        if len(given):
            raise ValueError(
                "given is for Gaussian diffusion, and this table needs masked diffusion, which learns all conditions "
                "alike: leave given out"
            )
        table, kind, headings = mixed
        if rules:
            is_kept = obeying(rules, table)
            table, y = table.filtered(is_kept), None if y is None else np.asarray(y)[is_kept]
        plan, classes, trained_with = plan_tokens(
            configuration, table, kind, headings, y, categorical=categorical, seed=seed
        )
        warn_of_unused(unused, "model of this table is masked diffusion")
        summary = Summary.from_table(plan.rows, table, plan.codec.encoding)
    else:
        if len(given):
            # Posteriors may be sharp, which takes a wide network and many steps.
            configuration = replace(configuration, width=configuration.width or WIDTH_GIVEN)
        if isinstance(X, Table):
            read, label = finite_rows, X.numbers.label
        plan, classes, trained_with = plan_numbers(configuration, *read(X), y, label=label, given=given, seed=seed)
        summary = Summary.from_rows(plan.rows, plan.labels)
    generated = separate.placed(plan.codec.layout)
    return Task(configuration, plan, classes, trained_with, table, summary, limit=limit, generated=generated)


def warn_of_unused(names: Sequence[str], model: str) -> None:
    """Warns if parameters are set that the model does not use; `model` completes the sentence "the …"."""
    if names:
        warnings.warn(f"the {model}, which does not use {', '.join(names)}", UserWarning, stacklevel=4)
