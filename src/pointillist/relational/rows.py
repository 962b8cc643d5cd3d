"""The model of the rows of one table, given columns of other rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.encoder import ColumnEncoder
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE
from pointillist.diffusion.tokens.token_sampling import TokenSampler
from pointillist.engine.sampling import Division, sample_rows
from pointillist.lazy import pa
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import Task
from pointillist.models.masked import masked_of
from pointillist.models.planning import plan_tokens
from pointillist.models.request import Request
from pointillist.models.row_model import RowModel
from pointillist.queries.consistency import with_rows
from pointillist.queries.imputation import completed
from pointillist.queries.sampling import SamplingRun
from pointillist.relational.features import Cells, arrow_of
from pointillist.rules.table_rules import restore_rows
from pointillist.tables.table import Column, Table, with_common_categories

CHUNK_ROWS, FEW_ROWS = 64, 16
"""Number of rows that a device draws together, and in steps of fewer rows: a step draws one row of each parent."""

STEPS_DIVISOR = 2
"""Divisor of the default number of training steps of rows with a parent, whose context needs no training."""

STEPS, FEWEST_STEPS = 30, 2
"""Number of steps of the sampler of numbers, and if no numbers are drawn."""


def fit_rows(
    configuration: Configuration, drawn: "pa.Table", context: Cells, name: str, checkpoint: Path | None
) -> RowModel:
    """Fits a model of the drawn columns of a table, given the context in every row.

    Raises a ValueError, in one line that names the table, if a column cannot be learned.
    """
    table = drawn
    for column in (given := arrow_of(context)).column_names:
        table = table.append_column(column, given.column(column))
    try:
        plan, _, trained_with = plan_tokens(configuration, Table(table), "file", None, None, given=[*context])
        if context:
            plan = replace(plan, default_steps=plan.default_steps // STEPS_DIVISOR, trial=None)
        return Task(configuration, plan, None, trained_with).fit(checkpoint)
    except ValueError as error:
        raise ValueError(f"table {name!r}: {error}") from error


@dataclass(frozen=True, eq=False)
class RowDrawer:
    """Draws rows of a fitted model, given some of their columns."""

    model: RowModel
    chunk_rows: int = CHUNK_ROWS

    @cached_property
    def _n_drawn(self) -> int:
        return len(self.model.codec.encoding.columns) - len(masked_of(self.model).given)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are drawn."""
        return tuple(encoder.name for encoder in self.model.codec.encoding.columns[: self._n_drawn])

    def encoder(self, name: str) -> ColumnEncoder:
        """Returns the encoder of a column."""
        return self.model.codec.encoding.encoder(name)

    def knows(self, name: str) -> bool:
        """Whether the model has a column."""
        return any(encoder.name == name for encoder in self.model.codec.encoding.columns)

    @cached_property
    def _denoisers(self) -> tuple[Any, Any]:
        draw = masked_of(self.model).unguided_denoiser
        return draw(self.model, has_observed=False), draw(self.model, has_observed=True)

    def draw(self, observed: Cells, n: int, seed: int) -> dict[str, Column]:
        """Draws n rows given the cells of some columns.

        Numbers beyond the range of the training rows count as its end. Categories that are unknown, and missing cells
        in columns that have none in the model, count as some other cell.
        """
        if not n:
            return self._decoded(np.empty((0, self.model.codec.width)))
        encoding, rows = self.model.codec.encoding, self._encoded(observed, n)
        has_numbers = any(encoder.has_number for encoder in encoding.columns[: self._n_drawn])
        solver = DPMSolver2M(SCHEDULE, STEPS if has_numbers else FEWEST_STEPS, is_stochastic=True)
        found = sample_rows(
            self._denoisers[bool(observed)],
            TokenSampler(encoding.n_tokens, solver if encoding.with_number else None),
            columns=encoding.width,
            n_rows=n,
            seed=seed,
            prior=rows.astype(np.float32),
            division=Division(self.chunk_rows),
        )
        return self._decoded(found, observed)

    def _encoded(
        self, observed: Cells, n: int, is_hidden: Mapping[str, Bool[np.ndarray, " n"]] = MappingProxyType({})
    ) -> Float[np.ndarray, "n width"]:
        """Encodes the cells of some columns, except hidden ones; all others are hidden too."""
        encoding, rows = self.model.codec.encoding, self.model.codec.unobserved_rows(n)
        for name, cells in observed.items():
            index = encoding.index(name)
            encoder, (token, numbers) = encoding.columns[index], encoding.row_indices[index]
            known, is_unknown = encoder.without_unknown(cells)
            tokens, values = encoder.observed(known)
            assert token is not None
            tokens = np.where(np.isnan(tokens) | is_unknown, encoder.n_values // 2, tokens)
            is_shown = ~is_hidden.get(name, np.zeros(n, bool))
            rows[is_shown, numbers], rows[is_shown, token] = values[is_shown], tokens[is_shown]
        return rows

    def filled(
        self, cells: Cells, context: Cells, is_hidden: Mapping[str, Bool[np.ndarray, " n"]], seed: int
    ) -> dict[str, Column]:
        """Returns the columns of `is_hidden` with its cells drawn, given all other cells and the context."""
        found = {name: cells[name] for name in is_hidden}
        rows = np.flatnonzero(np.any([*is_hidden.values()], axis=0))
        if not len(rows):
            return found
        known = {name: cells[name] for name in self.names} | {**context}
        some = {name: each.take(rows) for name, each in known.items() if self.knows(name)}
        masks = {name: mask[rows] for name, mask in is_hidden.items()}
        drawn = self._decoded(completed(self.model, self._encoded(some, len(rows), masks), 1, seed)[0])
        for name, mask in masks.items():
            old, new = with_common_categories([found[name], drawn[name]])
            found[name] = with_rows(old, new.take(mask), rows[mask])
        return found

    def _decoded(self, rows: np.ndarray, observed: Cells | None = None) -> dict[str, Column]:
        encoding, n = self.model.codec.encoding, self._n_drawn
        cells = list(encoding.decode(rows.astype(np.float64))[:n])
        is_fixed = np.zeros((len(rows), n), bool)
        for i, name in enumerate(self.names):
            if observed and name in observed:
                cells[i], is_fixed[:, i] = observed[name], True
        bounds: dict[int, tuple[float, float]] | None = {} if is_fixed.any() else None
        restored = restore_rows(cells, encoding.columns[:n], self.model.codec.rules, is_fixed, bounds)
        return dict(zip(self.names, restored, strict=True))

    def draw_where(self, where: Mapping[str, Any], n: int, seed: int) -> dict[str, Column]:
        """Draws n rows under conditions, for a model without given columns."""
        rows, _ = SamplingRun(self.model, Request(n, where=where, random_state=seed)).rows()
        return dict(zip(self.names, Table(rows).cells, strict=True))
