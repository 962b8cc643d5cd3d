"""All kinds of declared rules, and what a fit does with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pointillist.columns.kinds import fit_encoder
from pointillist.rules.combinations import FixedCombinations, OneHot
from pointillist.rules.declared import Declared, Ignored, NamedColumns
from pointillist.rules.expressions import DeclaredExpression
from pointillist.rules.generated import DeclaredColumn, PersonalColumn, Unique
from pointillist.rules.inequalities import Bounds, Ordered
from pointillist.rules.multiples import Increments
from pointillist.rules.products import DeclaredProduct
from pointillist.rules.rule import Mask, Rule
from pointillist.rules.sums import Total
from pointillist.rules.table_rules import broken_rows
from pointillist.tables.table import Table

DECLARED: dict[str, type[Declared]] = {
    kind.kind: kind
    for kind in (
        Bounds,
        DeclaredExpression,
        DeclaredProduct,
        FixedCombinations,
        Ignored,
        Increments,
        OneHot,
        Ordered,
        PersonalColumn,
        Total,
        Unique,
    )
}
"""All kinds of declared rules, by their names in files."""


def declared_from_json(content: Any) -> Declared:
    """Rebuild a declared rule from its JSON values, or a table of a TOML file; raise a ValueError if it is none."""
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in DECLARED:
        raise ValueError(f"{kind!r:.40} is not a kind of declared rule: choose one of {', '.join(sorted(DECLARED))}")
    return DECLARED[kind].from_json(content)


def names_in(declared: Sequence[Declared]) -> set[Any]:
    """Return the names of all columns that declared rules need."""
    return {name for each in declared for name in each.names}


def about_rows(declared: Sequence[Declared] | None) -> list[Declared]:
    """Return the rules about the learned cells of rows."""
    return [each for each in declared or () if each.is_of_rows]


def generated_in(declared: Sequence[Declared] | None) -> list[DeclaredColumn]:
    """Return the declared keys and personal columns."""
    return [each for each in declared or () if isinstance(each, DeclaredColumn)]


def ignored_in(declared: Sequence[Declared], names: Sequence[Any]) -> list[frozenset[int]]:
    """Return the sets of columns that no found rule may relate, as indices of the named columns."""
    ignored = [each.columns for each in declared if isinstance(each, Ignored)]
    return [frozenset(map(names.index, each)) for each in ignored if {*each} <= {*names}]


def bind(declared: Sequence[Declared], columns: NamedColumns) -> list[Rule]:
    """Return declared rules as rules of a table."""
    return [rule for each in declared for rule in each.bind(columns)]


def increments_in(declared: Sequence[Declared]) -> dict[Any, float]:
    """Return the step of each column whose numbers are multiples of a step."""
    return {each.column: each.step for each in declared if isinstance(each, Increments)}


def obeying(declared: Sequence[Declared], table: Table) -> Mask:
    """Return which training rows to keep: all, without the rows that break a rule of `on_violation="drop"`.

    Raises a ValueError if rows break a rule that refuses this, or if fewer than two rows are kept.
    """
    wanted = names_in(declared)
    if not wanted:
        return np.ones(len(table), bool)
    # Unknown names are refused with the names of all columns.
    part = table.select([name for name in table.names if name in wanted]) if wanted <= {*table.names} else table
    columns = NamedColumns(part, [fit_encoder(*each) for each in zip(part.names, part.cells, strict=True)])
    is_kept = np.ones(len(table), bool)
    for each in declared:
        for rule in each.bind(columns):
            (is_broken,) = broken_rows(part.cells, columns.encoders, [rule])
            if is_broken.any() and each.on_violation == "refuse":
                first, n = int(is_broken.argmax()), int(is_broken.sum())
                cells = [f"{part.names[i]} {part.arrow.column(i)[first]}" for i in sorted(rule.columns)]
                raise ValueError(
                    f"rules: {n:,} of {len(table):,} training rows break {rule.text(part.names)}, first row {first} "
                    f"({', '.join(cells)}): correct the rows or the rule, or give on_violation='drop' or 'allow'"
                )
            if each.on_violation == "drop":
                is_kept &= ~is_broken
    if is_kept.sum() < 2:
        raise ValueError(f"rules: {is_kept.sum()} of {len(table):,} training rows obey them all: leave a rule out")
    return is_kept
