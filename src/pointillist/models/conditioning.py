"""Observed cells and conditions of a request, as samplers take them; draws until enough rows meet the conditions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.encoder import Allowed, Observed
from pointillist.diffusion.conditioning.restricted_sampling import Restriction
from pointillist.diffusion.conditioning.twisting import Ranges
from pointillist.models.classes import Classes
from pointillist.models.codec import Codec
from pointillist.rules.rule import Conditions
from pointillist.tables.conditions import Condition, Missing, OneOf
from pointillist.tables.table import Column, cells_of

POPULATION, KEPT = 250, 50
"""Number of candidates of a draw, and of the rows that are kept of them."""

CANDIDATES_PER_ROW = 50
"""Number of candidates of a row that has a population of its own, as it has given cells of its own."""

SMALLEST_MASS = 1e-9
"""Smallest mass of conditions under which rows are drawn: a smaller one says more of the network than of the data."""

MOST_TRIES = 20
"""Most draws for every row that is asked for."""

_LOWEST = math.log(SMALLEST_MASS)


def split(where: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Condition]]:
    """Splits what is asked of columns into values, one for all rows or one per row, and conditions."""
    values: dict[Any, Any] = {}
    conditions: dict[Any, Condition] = {}
    for name, asked in where.items():
        if isinstance(asked, Missing):
            values[name] = None
        elif isinstance(asked, OneOf) and len(asked.values) == 1:
            values[name] = asked.values[0]
        elif isinstance(asked, Condition):
            conditions[name] = asked
        else:
            values[name] = asked
    return values, conditions


def sizes(is_exact: bool, has_own_rows: bool) -> tuple[int, int]:
    """Returns the number of candidates of a draw, and of the rows that are kept of them.

    Args:
        is_exact: Whether all candidates have the same weight.
        has_own_rows: Whether each row has given cells of its own.
    """
    if is_exact:
        return 1, 1
    return (CANDIDATES_PER_ROW, 1) if has_own_rows else (POPULATION, KEPT)


def cells_of_values(codec: Codec, name: Any, value: Any, classes: Classes | None) -> Column:
    """Converts what `where` gives of a column, one value for all rows or one per row, to cells.

    Raises:
        ValueError: In one line, if there is no such column, or no training row has such a value.
    """
    encoder, kind = codec.encoding.encoder(name), codec.layout.type_of(name)
    if isinstance(value, str) or np.ndim(value) == 0:
        is_moment = isinstance(value, np.datetime64 | np.timedelta64)
        values = [value.item() if isinstance(value, np.generic) and not is_moment else value]
    elif np.ndim(value) > 1:
        raise ValueError(f"column {name!r} takes one value, or one value per row, not shape {np.shape(value)}")
    else:
        values = list(value)
    cells = _of_labels(values) if kind is None else cells_of(name, values, kind)
    if cells.is_missing.any() and not encoder.has_missing:
        raise ValueError(f"column {name!r} has no missing cells in the model: give a value")
    if classes is not None and classes.column is not None and name == classes.column[0]:
        encoder.check_known(cells)
    encoder.check_range(cells, kind)
    # An unknown category is an error.
    encoder.encode(cells)
    return cells


def _of_labels(values: Sequence[Any]) -> Column:
    """Cells of labels that have no column in the table."""
    known = tuple(dict.fromkeys(value for value in values if value is not None))
    indices = np.array([0 if value is None else known.index(value) for value in values])
    return Column(indices, np.array([value is None for value in values]), known)


def allowed_cells(codec: Codec, conditions: Mapping[Any, Condition]) -> tuple[Allowed, ...]:
    """Returns what conditions allow, without those that every row meets.

    Raises:
        ValueError: In one line, if a column is unknown, or a condition cannot be put to it or allows nothing.
    """
    found = []
    for name, condition in conditions.items():
        encoder = codec.encoding.encoder(name)
        own = encoder.allowed(condition, codec.layout.type_of(name), codec.layout.order_of(name))
        is_whole = len(own.slots) == encoder.size and (own.low == 0).all() and (own.high == 1).all()
        # Scaled numbers may lie a little beyond the range of the training rows.
        may_pass = not encoder.has_token and encoder.has_number and np.isfinite([own.ends.low, own.ends.high]).any()
        if not is_whole or may_pass or (len(own.ranges) and not own.is_whole_score):
            found.append(own)
    return tuple(found)


def agreeing(codec: Codec, observed: Observed, cells: Sequence[Allowed]) -> tuple[Allowed, ...]:
    """Returns conditions without the values that rules exclude, such as cities outside an observed country.

    Args:
        codec: The codec, with its rules.
        observed: Observed cells, one for all rows or one per row.
        cells: What conditions allow.

    Raises:
        ValueError: In one line, if no row can meet the conditions and obey a rule.
    """
    conditions = Conditions(
        codec.encoding.columns,
        {codec.encoding.index(name): own for name, own in observed.items()},
        {codec.encoding.index(each.name): each for each in cells},
    )
    for rule in codec.rules:
        if not {*conditions.observed, *conditions.allowed}.isdisjoint(rule.columns):
            is_contradicted = rule.contradicted(conditions)
            if is_contradicted.any():
                row = int(is_contradicted.argmax())
                of_row = f" in row {row}" if len(is_contradicted) > 1 else ""
                cells_text = ", ".join(_text(codec, conditions, column, row) for column in rule.columns)
                raise ValueError(f"where contradicts the rule {rule.text(codec.column_names)}{of_row}: {cells_text}")
    return tuple(conditions.allowed.values())


def _text(codec: Codec, conditions: Conditions, column: int, row: int) -> str:
    """Returns the condition on a column in a row as text or, without one, the range of the column."""
    encoder = conditions.encoders[column]
    name, kind = encoder.name, codec.layout.type_of(encoder.name)
    if column in conditions.observed:
        cells = conditions.observed[column]
        value = cells.values[min(row, len(cells.values) - 1)]
        known = encoder.text_of(float(value), kind) if cells.categories is None else cells.categories[int(value)]
        return f"{name} is {known}"
    if column in conditions.allowed:
        return f"{name} is {conditions.allowed[column].text}"
    if encoder.categories is not None:
        return f"{name} is free"
    low, high = (encoder.text_of(end, kind) for end in encoder.ends)
    return f"{name} goes from {low} to {high}"


def number_ranges(codec: Codec, cells: Sequence[Allowed]) -> Ranges | None:
    """Returns the ranges of numbers that conditions allow; None if they allow all numbers."""
    n_tokens, asked = codec.encoding.n_tokens, []
    for own in cells:
        index = codec.encoding.number_index(own.name)
        if index is not None and len(own.ranges) and (not own.is_whole_score or not n_tokens):
            asked.append((index - n_tokens, own.ranges))
    return ranges_of(asked) if asked else None


def restriction_of(codec: Codec, cells: Sequence[Allowed]) -> Restriction:
    """Returns the restriction of tokens, and of the numbers beside them, that conditions are."""
    pieces = [
        [(slot, math.log(high - low), low, high) for slot, low, high in zip(own.slots, own.low, own.high, strict=True)]
        for own in cells
    ]
    longest = max(len(own) for own in pieces)
    table = np.zeros((len(pieces), longest, 4))
    table[:, :, 1] = -np.inf
    for own, row in zip(pieces, table, strict=True):
        row[: len(own)] = own
    slots, log_fractions, low, high = np.moveaxis(table, 2, 0)
    single = np.float32
    return Restriction(
        indices=tuple(codec.encoding.index(own.name) for own in cells),
        slots=slots.astype(np.int32),
        log_fractions=log_fractions.astype(single),
        low=low.astype(single),
        high=high.astype(single),
        ranges=number_ranges(codec, cells),
    )


def ranges_of(asked: Sequence[tuple[int, Float[np.ndarray, "_ 2"]]]) -> Ranges:
    """Returns the ranges of some numbers, given their positions and ranges."""
    longest = max(len(own) for _, own in asked)
    table = np.full((len(asked), longest, 2), np.inf)
    for (_, own), row in zip(asked, table, strict=True):
        row[: len(own)] = own
    low, high = np.moveaxis(table.astype(np.float32), 2, 0)
    return Ranges(tuple(place for place, _ in asked), low, high)


@dataclass
class Acceptance:
    """What was found of the conditions while rows were drawn.

    Populations count by the mass that each of them found. Those that found less than the mean of all so far are taken
    in proportion to it, and the others weigh more (truncated importance sampling: Ionides 2008, section 2).

    The effective sample size counts a family, the rows of one population that descend from the same candidate, as one
    row. The standard error of a column's mean is the column's standard deviation over the square root of this size
    (after the variance estimate of Lee & Whiteley 2018, "Variance estimation in the particle filter").

    Attributes:
        text: The conditions, for messages.
        masses: Estimated mass of the conditions, by draw.
    """

    text: str
    masses: list[float] = field(default_factory=list)
    _total: float = 0.0
    _credit: float = 0.0
    _sums: np.ndarray = field(default_factory=lambda: np.zeros(2))

    @property
    def effective_size(self) -> float:
        """Effective sample size of the drawn rows: (Σ w)² / Σ w², where w is the total weight of a family."""
        total, squares = self._sums.tolist()
        return total**2 / squares if total else 0.0

    def accepted(self, drawn: Float[np.ndarray, "m width_and_notes"], kept: int, wanted: int) -> np.ndarray:
        """Returns the first of some drawn rows that meet the conditions, without notes, and counts them."""
        taken = []
        for first in range(0, len(drawn), kept):
            weight = self._weight(float(drawn[first, -2]))
            if not weight or not wanted:
                continue
            rows = drawn[first : first + min(kept, wanted)]
            wanted -= len(rows)
            taken.append(rows)
            self._count(rows[:, -1], weight)
        return np.concatenate(taken or [drawn[:0]])[:, :-2]

    def own(self, drawn: Float[np.ndarray, "m width_and_notes"]) -> np.ndarray:
        """Returns rows that have populations of their own, without notes, and counts them."""
        self.masses.extend(np.exp(drawn[:, -2].astype(np.float64)))
        self._count(np.arange(len(drawn)), 1.0)
        return drawn[:, :-2]

    def _weight(self, log_mass: float) -> float:
        """Weight of the next population; 0 if it is not taken."""
        mass = math.exp(log_mass)
        self.masses.append(mass)
        self._total += mass
        if log_mass < _LOWEST:
            return 0.0
        share = mass * len(self.masses) / self._total
        self._credit += min(share, 1.0)
        # NaN is taken too, and refused where rows are checked.
        if self._credit < 1 - 1e-9:
            return 0.0
        self._credit -= 1
        return max(share, 1.0)

    def _count(self, families: np.ndarray, weight: float) -> None:
        weights = weight * np.unique(families, return_counts=True)[1]
        self._sums += weights.sum(), (weights**2).sum()

    def error(self, row: int | None = None) -> ValueError:
        """The error where too few rows meet the conditions, or none that is drawn for a row with cells of its own."""
        if row is not None:
            return ValueError(f"nothing that is drawn for row {row} meets {self.text}: ask for more than that")
        mass = float(np.mean(self.masses)) if self.masses else 0.0
        return ValueError(
            f"too few rows meet {self.text}: its estimated mass is {mass:.1g} after {len(self.masses):,} draws; ask "
            "for more than that, or fit the model to rows that have it"
        )


def conditioned(
    stream: Any, plan: Any, acceptance: Acceptance, chunk_rows: int
) -> Iterator[Float[np.ndarray, "m width"]]:
    """Yields the rows of a drawing that meet its conditions, until there are as many as are asked for.

    Args:
        stream: Function of a drawing and the first row, a multiple of `chunk_rows`, that yields rows with notes.
        plan: The sampling plan.
        acceptance: Counts of the candidates that meet the conditions.
        chunk_rows: Number of rows that are computed together.

    Raises:
        ValueError: In one line, if too few rows meet them.
    """
    kept = plan.sampler.rows_per_draw
    if plan.has_own_rows:
        yield _each(stream, plan, acceptance)
        return
    wanted, first = plan.n_rows, 0
    while wanted:
        asked = -(-wanted // chunk_rows) * chunk_rows
        if first + asked > MOST_TRIES * max(plan.n_rows, chunk_rows):
            raise acceptance.error()
        for part in stream(replace(plan, n_rows=first + asked), first):
            rows = acceptance.accepted(part, kept, wanted)
            wanted -= len(rows)
            yield rows
            if not wanted:
                return
        first += asked


def _each(stream: Any, plan: Any, acceptance: Acceptance) -> Float[np.ndarray, "n width"]:
    """Draws rows of which each has cells of its own: those that meet no condition once more."""
    found: np.ndarray | None = None
    for turn in range(MOST_TRIES):
        # Not of the rows that are missing alone: a row is to depend on its own place.
        seed = plan.seed if turn == 0 else int(np.random.SeedSequence([plan.seed, turn]).generate_state(1)[0])
        drawn = np.concatenate([*stream(replace(plan, seed=seed), 0)])
        if found is None:
            found = drawn
        else:
            is_lost = found[:, -2] < _LOWEST
            found[is_lost] = drawn[is_lost]
        if not (found[:, -2] < _LOWEST).any():
            return acceptance.own(found)
    assert found is not None
    raise acceptance.error(int(np.argmax(found[:, -2] < _LOWEST)))
