"""The rules of a table: found in its training rows, restored in new rows, and checked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.combinations import Combination
from pointillist.rules.equation import Equation, solvable
from pointillist.rules.expressions import Expression
from pointillist.rules.inequalities import Inequality
from pointillist.rules.lookups import Lookup
from pointillist.rules.multiples import Increment
from pointillist.rules.powers import Power
from pointillist.rules.products import Product
from pointillist.rules.rule import (
    FEWEST_ROWS,
    MOST_TURNS,
    SAMPLE_ROWS,
    TURNS,
    Mask,
    NumberRange,
    Rows,
    Rule,
    TrainingRows,
)
from pointillist.rules.sums import Sum
from pointillist.tables.numbers import spread_indices
from pointillist.tables.table import Column

EQUATIONS: tuple[type[Equation], ...] = (Sum, Power, Product)
"""Kinds of equations, in the order in which they are searched."""

OTHERS: tuple[type[Rule], ...] = (Lookup, Combination, Increment, Inequality, Expression)
"""Other kinds of rules, which are restored before equations, so that these hold in the end."""

KINDS: dict[str, type[Rule]] = {kind.kind: kind for kind in (*OTHERS, *EQUATIONS)}
"""All kinds of rules, by their names in files."""

_MOST_COLUMNS, _MOST_RULES = 128, 200


def find_rules(
    columns: Sequence[Column],
    encoders: Sequence[ColumnEncoder],
    categorical: Sequence[Any] = (),
    label: Any = None,
    *,
    declared: Sequence[Rule] = (),
    ignored: Sequence[frozenset[int]] = (),
) -> tuple[Rule, ...]:
    """Find the rules that training rows obey, in the order in which they are restored, with the declared ones.

    Args:
        columns: The cells of each column; only lookups relate categories.
        encoders: The encoder of each column.
        categorical: Names of columns whose numbers represent categories; only lookups relate them.
        label: Name of the label column, if there is one; only lookups relate it, and it never changes.
        declared: Rules that rows obey in any case.
        ignored: Sets of columns that no found rule may relate to each other; an empty set forbids all found rules.

    Raises:
        ValueError: In one line, if the declared equations cannot be solved one after another.
    """
    numeric = [
        i
        for i, cells in enumerate(columns)
        if cells.categories is None
        and encoders[i].name not in (*categorical, label)
        and 2 * cells.is_missing.sum() < len(cells.values)
    ]
    is_incomplete = np.any([columns[i].is_missing for i in numeric], axis=0)
    complete = np.flatnonzero(~is_incomplete) if numeric else np.empty(0, np.int64)
    if not 1 < len(numeric) <= _MOST_COLUMNS or len(complete) < max(FEWEST_ROWS, 4 * len(numeric)):
        numeric = []
    sample = complete[spread_indices(len(complete), SAMPLE_ROWS)]
    labels = [i for i, encoder in enumerate(encoders) if label is not None and encoder.name == label]
    related = [frozenset(each.columns) for each in declared if len(each.columns) > 1]
    rows = TrainingRows(columns, encoders, numeric, sample, labels[0] if labels else None, [*ignored, *related])
    found = (each for kind in EQUATIONS for each in kind.find(rows, {})) if numeric else ()
    candidates = [each for each in found if rows.may_relate(*each.columns)]
    equations = solvable(candidates, rows, [each for each in declared if isinstance(each, Equation)])[:_MOST_RULES]
    calculated = {each.columns[each.solved]: each.others for each in equations}
    others = [each for kind in OTHERS for each in kind.find(rows, calculated)][: _MOST_RULES - len(equations)]
    others += [each for each in declared if not isinstance(each, Equation)]
    return (*others, *equations)


def restore_rows(
    columns: Sequence[Column],
    encoders: Sequence[ColumnEncoder],
    rules: Sequence[Rule],
    is_fixed: Bool[np.ndarray, "n d"],
    bounds: dict[int, tuple[float, float]] | None = None,
) -> tuple[Column, ...]:
    """Return columns whose rows obey rules.

    Cells that fixed cells determine through rules are restored first, and then are fixed too.

    Args:
        columns: Drawn columns.
        encoders: The encoder of each column.
        rules: The rules from `find_rules`.
        is_fixed: Which cells must not change.
        bounds: Lowest and highest number by index of a bounded column; None for rows without conditions. With bounds,
            every number stays within them and within its column's range, and rules that cannot hold there stay broken.
    """
    if not rules:
        return tuple(columns)
    is_strict, is_fixed = bounds is not None, is_fixed.copy()
    ranges = [NumberRange.of(encoder, (bounds or {}).get(i), is_strict=is_strict) for i, encoder in enumerate(encoders)]
    rows = Rows(list(columns), ranges, is_fixed, is_fixed)
    while any([rule.fix_determined(rows) for rule in rules]):
        pass
    reserved = [column for rule in rules for column in rule.reserved]
    if reserved:
        rows.is_reserved = rows.is_fixed.copy()
        rows.is_reserved[:, reserved] = True
    for rows.turn in range(MOST_TURNS):
        for rule in rules:
            rule.restore(rows)
        if rows.turn >= TURNS - 1:
            is_broken = np.any([rule.broken(rows.columns, ranges) for rule in rules], axis=0)
            if not is_broken.any():
                break
            # Rows that obey all rules do not change any more.
            rows.is_fixed |= ~is_broken[:, None]
            rows.is_reserved |= ~is_broken[:, None]
    for rule in rules:
        if rule.reserved:
            rule.restore(rows)
    return tuple(rows.columns)


def broken_rows(columns: Sequence[Column], encoders: Sequence[ColumnEncoder], rules: Sequence[Rule]) -> list[Mask]:
    """Find the rows that break each rule; rows with a missing cell in its columns do not."""
    ranges = [NumberRange.of(encoder, is_strict=True) for encoder in encoders]
    return [rule.broken(columns, ranges) for rule in rules]


def rule_from_json(content: dict[str, Any], n_columns: int) -> Rule:
    """Rebuild a rule of a table from the result of `to_json`; raise a ValueError if it is not valid."""
    if content["kind"] not in KINDS:
        raise ValueError(f"{content['kind']!r:.40} is not a kind of rule")
    rule = KINDS[content["kind"]].from_json(content)
    if max(rule.columns) >= n_columns:
        raise ValueError("a rule names a column that does not exist")
    return rule
