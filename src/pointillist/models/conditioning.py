"""Observed cells and conditions of a request: converted for samplers, and redrawn until enough rows meet them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import derived_seed
from pointillist.columns.encoder import Allowed, Observed, label_cells
from pointillist.diffusion.conditioning.restricted_sampling import Restriction
from pointillist.diffusion.conditioning.twisting import Ranges
from pointillist.models.classes import Classes
from pointillist.models.codec import Codec
from pointillist.rules.rule import Conditions
from pointillist.tables.conditions import Condition, Missing, OneOf
from pointillist.tables.table import Column, cells_of

POPULATION, KEPT = 250, 50
"""Number of candidates per draw, and number of rows kept of them."""

CANDIDATES_PER_ROW = 50
"""Number of candidates per row if observed cells differ between rows, so that each row needs a population."""

SMALLEST_MASS = 1e-9
"""Smallest probability of conditions under which rows are drawn; below it, the network's errors dominate."""

MOST_TRIES = 20
"""Largest number of draws per requested row."""

_LOWEST = math.log(SMALLEST_MASS)


def split(where: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Condition]]:
    """Splits the `where` of a request into observed values (one for all rows, or one per row) and conditions."""
    values: dict[Any, Any] = {}
    conditions: dict[Any, Condition] = {}
    for name, value in where.items():
        if isinstance(value, Missing):
            values[name] = None
        elif isinstance(value, OneOf) and len(value.values) == 1:
            values[name] = value.values[0]
        elif isinstance(value, Condition):
            conditions[name] = value
        else:
            values[name] = value
    return values, conditions


def sizes(is_exact: bool, varies_by_row: bool) -> tuple[int, int]:
    """Returns the numbers of candidates per draw (one if all have the same weight) and of rows kept of them."""
    if is_exact:
        return 1, 1
    return (CANDIDATES_PER_ROW, 1) if varies_by_row else (POPULATION, KEPT)


def observed_column(codec: Codec, name: Any, value: Any, classes: Classes | None) -> Column:
    """Converts the value of a column in `where`, one for all rows or one per row, to cells.

    Raises a ValueError in one line if the column does not exist, or the value is outside the training range or unknown.
    """
    encoder, kind = codec.encoding.encoder(name), codec.layout.type_of(name)
    if isinstance(value, str) or np.ndim(value) == 0:
        is_moment = isinstance(value, np.datetime64 | np.timedelta64)
        values = [value.item() if isinstance(value, np.generic) and not is_moment else value]
    elif np.ndim(value) > 1:
        raise ValueError(f"column {name!r} takes one value, or one value per row, not shape {np.shape(value)}")
    else:
        values = list(value)
    cells = label_cells(values) if kind is None else cells_of(name, values, kind)
    if cells.is_missing.any() and not encoder.has_missing:
        raise ValueError(f"column {name!r} has no missing cells in the model: give a value")
    is_label = classes is not None and classes.column is not None and name == classes.column[0]
    encoder.check_observed(cells, kind, is_label=is_label)
    return cells


def allowed_cells(codec: Codec, conditions: Mapping[Any, Condition]) -> tuple[Allowed, ...]:
    """Returns what conditions allow, without conditions that every row meets.

    Raises a ValueError in one line if a column does not exist, or a condition does not apply to it or allows nothing.
    """
    found = []
    for name, condition in conditions.items():
        encoder = codec.encoding.encoder(name)
        allowed = encoder.allowed(condition, codec.layout.type_of(name), codec.layout.order_of(name))
        has_parts = (allowed.low > 0).any() or (allowed.high < 1).any()
        allows_all = len(allowed.token_values) == encoder.size and not has_parts
        # Scaled numbers may lie slightly outside the range of the training rows.
        has_end = np.isfinite([allowed.ends.low, allowed.ends.high]).any()
        may_pass = not encoder.has_token and encoder.has_number and has_end
        if not allows_all or may_pass or (len(allowed.ranges) and not allowed.allows_every_number):
            found.append(allowed)
    return tuple(found)


def without_contradictions(codec: Codec, observed: Observed, cells: Sequence[Allowed]) -> tuple[Allowed, ...]:
    """Removes values that rules exclude from conditions, for example cities outside an observed country.

    Raises a ValueError in one line if no row can meet the conditions and obey a rule.
    """
    conditions = Conditions(
        codec.encoding.columns,
        {codec.encoding.index(name): column for name, column in observed.items()},
        {codec.encoding.index(each.name): each for each in cells},
    )
    for rule in codec.rules:
        if {*conditions.observed, *conditions.allowed}.isdisjoint(rule.columns):
            continue
        is_contradicted = rule.contradicted(conditions)
        if is_contradicted.any():
            row = int(is_contradicted.argmax())
            in_row = f" in row {row}" if len(is_contradicted) > 1 else ""
            cells_text = ", ".join(_text(codec, conditions, column, row) for column in rule.columns)
            raise ValueError(f"where contradicts the rule {rule.text(codec.column_names)}{in_row}: {cells_text}")
    return tuple(conditions.allowed.values())


def _text(codec: Codec, conditions: Conditions, column: int, row: int) -> str:
    """Returns the condition on a column in a row as text, or the range of the column without a condition."""
    encoder = conditions.encoders[column]
    name, kind = encoder.name, codec.layout.type_of(encoder.name)
    if column in conditions.observed:
        cells = conditions.observed[column]
        value = cells.values[min(row, len(cells.values) - 1)]
        if cells.categories is None:
            return f"{name} is {encoder.format_value(float(value), kind)}"
        return f"{name} is {cells.categories[int(value)]}"
    if column in conditions.allowed:
        return f"{name} is {conditions.allowed[column].text}"
    if encoder.categories is not None:
        return f"{name} is free"
    low, high = (encoder.format_value(end, kind) for end in encoder.ends)
    return f"{name} goes from {low} to {high}"


def number_ranges(codec: Codec, cells: Sequence[Allowed]) -> Ranges | None:
    """Returns the ranges of numbers that conditions allow; None if they allow all numbers."""
    n_tokens = codec.encoding.n_tokens
    ranges: dict[int, Float[np.ndarray, "_ 2"]] = {}
    for allowed in cells:
        index = codec.encoding.number_index(allowed.name)
        if index is not None and len(allowed.ranges) and (not allowed.allows_every_number or not n_tokens):
            ranges[index - n_tokens] = allowed.ranges
    if not ranges:
        return None
    table = np.full((len(ranges), max(map(len, ranges.values())), 2), np.inf)
    for bounds, row in zip(ranges.values(), table, strict=True):
        row[: len(bounds)] = bounds
    low, high = np.moveaxis(table.astype(np.float32), 2, 0)
    return Ranges(tuple(ranges), low, high)


def restriction_of(codec: Codec, cells: Sequence[Allowed]) -> Restriction:
    """Converts conditions to a restriction of tokens and numbers."""
    table = np.zeros((len(cells), max(len(each.token_values) for each in cells), 4))
    table[:, :, 1] = -np.inf
    for each, row in zip(cells, table, strict=True):
        pieces = zip(each.token_values, each.low, each.high, strict=True)
        row[: len(each.token_values)] = [(slot, math.log(high - low), low, high) for slot, low, high in pieces]
    log_fractions, low, high = np.moveaxis(table[:, :, 1:].astype(np.float32), 2, 0)
    indices, slots = tuple(codec.encoding.index(each.name) for each in cells), table[:, :, 0].astype(np.int32)
    return Restriction(indices, slots, log_fractions, low, high, number_ranges(codec, cells))


@dataclass
class Acceptance:
    """Acceptance statistics of draws under conditions.

    A population counts in proportion to its estimate of the conditions' probability (the mass). Populations with less
    than the mean mass so far are accepted with a frequency proportional to it, and the others get a larger weight
    (truncated importance sampling: Ionides 2008, section 2).

    The effective sample size counts the rows of a population that descend from the same candidate, a family, as one
    row. The standard error of a column's mean is its standard deviation over the square root of this size (after the
    variance estimate of Lee & Whiteley 2018, "Variance estimation in the particle filter").

    Attributes:
        text: The conditions, for messages.
        masses: Estimated probability of the conditions, per draw.
    """

    text: str
    masses: list[float] = field(default_factory=list)
    _total: float = 0.0
    _credit: float = 0.0
    _sums: np.ndarray = field(default_factory=lambda: np.zeros(2))

    @property
    def effective_size(self) -> float:
        """Effective sample size of the accepted rows: (Σ w)² / Σ w², where w is the total weight of a family."""
        total, squares = self._sums.tolist()
        return total**2 / squares if total else 0.0

    def accepted(self, drawn: Float[np.ndarray, "m width_and_diagnostics"], kept: int, wanted: int) -> np.ndarray:
        """Returns the first `wanted` accepted rows without diagnostics, and counts them."""
        accepted = []
        for first in range(0, len(drawn), kept):
            weight = self._weight(float(drawn[first, -2]))
            if not weight or not wanted:
                continue
            rows = drawn[first : first + min(kept, wanted)]
            wanted -= len(rows)
            accepted.append(rows)
            self._count(rows[:, -1], weight)
        return np.concatenate(accepted or [drawn[:0]])[:, :-2]

    def accept_each(self, drawn: Float[np.ndarray, "m width_and_diagnostics"]) -> np.ndarray:
        """Returns rows with one population each without diagnostics, and counts them."""
        self.masses.extend(np.exp(drawn[:, -2].astype(np.float64)))
        self._count(np.arange(len(drawn)), 1.0)
        return drawn[:, :-2]

    def _weight(self, log_mass: float) -> float:
        mass = math.exp(log_mass)
        self.masses.append(mass)
        self._total += mass
        if log_mass < _LOWEST:
            return 0.0
        ratio = mass * len(self.masses) / self._total
        self._credit += min(ratio, 1.0)
        # NaN is accepted here; the check of drawn rows refuses it.
        if self._credit < 1 - 1e-9:
            return 0.0
        self._credit -= 1
        return max(ratio, 1.0)

    def _count(self, families: np.ndarray, weight: float) -> None:
        weights = weight * np.unique(families, return_counts=True)[1]
        self._sums += weights.sum(), (weights**2).sum()

    def error(self, row: int | None = None) -> ValueError:
        """The error if too few rows meet the conditions, or if no draw for a given row does."""
        if row is not None:
            return ValueError(f"no draw for row {row} meets {self.text}: widen the conditions")
        mass = float(np.mean(self.masses)) if self.masses else 0.0
        return ValueError(
            f"too few rows meet {self.text}: its estimated probability is {mass:.1g} after {len(self.masses):,} "
            "draws: widen the conditions, or fit the model to rows that meet them"
        )


def conditioned(
    stream: Any, plan: Any, acceptance: Acceptance, chunk_rows: int
) -> Iterator[Float[np.ndarray, "m width"]]:
    """Yields rows that meet the conditions of a plan, until the requested number is reached.

    `stream` is a function of a plan and the first row, a multiple of `chunk_rows`, that yields rows with diagnostics.
    Raises a ValueError in one line if too few rows meet the conditions.
    """
    if plan.varies_by_row:
        yield _one_per_row(stream, plan, acceptance)
        return
    wanted, first = plan.n_rows, 0
    while wanted:
        n_candidates = -(-wanted // chunk_rows) * chunk_rows
        if first + n_candidates > MOST_TRIES * max(plan.n_rows, chunk_rows):
            raise acceptance.error()
        for part in stream(replace(plan, n_rows=first + n_candidates), first):
            rows = acceptance.accepted(part, plan.sampler.rows_per_draw, wanted)
            wanted -= len(rows)
            yield rows
            if not wanted:
                return
        first += n_candidates


def _one_per_row(stream: Any, plan: Any, acceptance: Acceptance) -> Float[np.ndarray, "n width"]:
    """Draws one row per set of observed cells; rows that do not meet the conditions are drawn again."""
    found, is_lost = np.empty(0), np.empty(0, bool)
    for turn in range(MOST_TRIES):
        # Draw all rows again, because a row depends on its index.
        seed = plan.seed if turn == 0 else derived_seed(plan.seed, turn)
        drawn = np.concatenate([*stream(replace(plan, seed=seed), 0)])
        found = drawn if turn == 0 else np.where(is_lost[:, None], drawn, found)
        is_lost = found[:, -2] < _LOWEST
        if not is_lost.any():
            return acceptance.accept_each(found)
    raise acceptance.error(int(np.argmax(is_lost)))
