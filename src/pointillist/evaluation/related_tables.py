"""Compares drawn tables with real ones: keys, numbers of children, columns, pairs of rows, and two-sample tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from rich.console import Console

from pointillist.evaluation.report import Reported, json_value, text_table
from pointillist.lazy import ensemble, stats
from pointillist.metrics.classifiers import MAX_CATEGORIES, two_sample_test
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.mixed import column_shapes, mean_score, pair_trends
from pointillist.metrics.mixed_tables import encode
from pointillist.tables.schema import ForeignKey, Positions, Schema, read_frame

MOST_ROWS = 20_000
"""Largest number of rows whose pairs of columns are compared."""

_ACCURACY, _IN_ORDER, _ONE_PERCENT = "accuracy: ", "order kept: ", 2.33
"""Starts of the names of two-sample tests and of tests of the order, and the normal quantile of 99 %."""

FEWEST_PARENTS = 10
"""Smallest number of parents that a two-sample test needs."""

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Keyed:
    """Tables as arrays, with their keys as row indices.

    Attributes:
        columns: Columns of each table that belong to no key.
        rows: Index of the parent's row, by name of the foreign key; -1 for none.
        firsts: The key of the parent that decides the number of rows, by table.
        schema: The schema.
    """

    columns: Mapping[str, Arrays]
    rows: Mapping[str, Int[np.ndarray, " n"]]
    firsts: Mapping[str, ForeignKey | None]
    schema: Schema

    @classmethod
    def of(cls, tables: Mapping[str, Any], schema: Schema) -> Keyed:
        """Reads tables; raises a ValueError if a key is not valid."""
        plain = {name: read_frame(name, tables[name]) for name in schema.tables}
        positions = Positions.of(schema, plain)
        columns = {}
        for name, table in plain.items():
            keys = schema.key_columns(name)
            columns[name] = table.select([each for each in table.names if each not in keys]).arrays()
        firsts = {name: positions.first(name) for name in schema.tables}
        return cls(columns, positions.rows, firsts, positions.schema)

    def n_rows(self, table: str) -> int:
        """Number of rows of a table."""
        keys = self.schema.foreign_keys.get(table, ())
        arrays = [*self.columns[table].values(), *(self.rows[key.name] for key in keys)]
        return len(arrays[0]) if arrays else 1 + max(self.rows[k.name].max() for k in self.schema.keys_to(table))

    def halves(self, rng: np.random.Generator) -> tuple[Keyed, Keyed]:
        """Splits the tables without a parent at random, and other rows with their parents."""
        is_first: dict[str, np.ndarray] = {}
        for table in self.schema.tables:
            key = self.firsts[table]
            shuffled = rng.permutation(self.n_rows(table)) % 2 == 0
            is_first[table] = shuffled if key is None else is_first[key.parent][self.rows[key.name]]
        return self._part(is_first), self._part({table: ~mask for table, mask in is_first.items()})

    def _part(self, kept: Mapping[str, np.ndarray]) -> Keyed:
        new = {table: np.append(np.where(mask, np.cumsum(mask) - 1, -1), -1) for table, mask in kept.items()}
        rows = {}
        for table in self.schema.tables:
            for key in self.schema.foreign_keys.get(table, ()):
                rows[key.name] = new[key.parent][self.rows[key.name][kept[table]]]
        columns = {
            table: {name: values[kept[table]] for name, values in arrays.items()}
            for table, arrays in self.columns.items()
        }
        return Keyed(columns, rows, self.firsts, self.schema)

    def counts(self, key: ForeignKey) -> Int[np.ndarray, " p"]:
        """Number of rows that refer to each row of the parent."""
        rows = self.rows[key.name]
        return np.bincount(rows[rows >= 0], minlength=self.n_rows(key.parent))

    def aggregated(self, table: str) -> Arrays:
        """The columns of a table, and for each key that refers to it: counts, means and numbers of categories."""
        found, n = dict(self.columns[table]), self.n_rows(table)
        for key in self.schema.keys_to(table):
            rows = self.rows[key.name]
            found[f"{key.name} count"] = self.counts(key).astype(float)
            for name, values in self.columns[key.table].items():
                is_there = (rows >= 0) & np.array([value is not None for value in values])
                if values.dtype != object:
                    is_there &= ~np.isnan(values)
                here = rows[is_there]
                if values.dtype == object:
                    codes = np.unique(values[is_there].astype(str), return_inverse=True)[1]
                    pairs = np.unique(np.stack([here, codes]), axis=1)[0]
                    found[f"{key.name} number of {name}"] = np.bincount(pairs, minlength=n).astype(float)
                else:
                    total = np.bincount(here, values[is_there], n)
                    with np.errstate(invalid="ignore"):
                        found[f"{key.name} mean of {name}"] = total / np.bincount(here, minlength=n)
        return found

    def joined(self, key: ForeignKey) -> Arrays:
        """The columns of a table beside the columns of the rows to which a key refers."""
        rows = self.rows[key.name]
        some = np.flatnonzero(rows >= 0)
        some = some[np.linspace(0, len(some) - 1, min(len(some), MOST_ROWS)).astype(int)]
        found = {f"child {name}": values[some] for name, values in self.columns[key.table].items()}
        return found | {f"parent {name}": values[rows[some]] for name, values in self.columns[key.parent].items()}

    def lagged(self, table: str) -> Arrays:
        """The columns of an ordered table beside the columns of the previous row of the same parent."""
        key = self.firsts[table]
        assert key is not None
        order = np.lexsort((self.columns[table][self.schema.order[table]], self.rows[key.name]))
        parents = self.rows[key.name][order]
        at = np.flatnonzero(parents[1:] == parents[:-1])
        at = at[np.linspace(0, len(at) - 1, min(len(at), MOST_ROWS)).astype(int)]
        found = {f"child {name}": values[order[at + 1]] for name, values in self.columns[table].items()}
        return found | {f"parent {name}": values[order[at]] for name, values in self.columns[table].items()}

    def is_in_order(self, table: str) -> float:
        """Fraction of rows whose order does not decrease within a parent, in the order of the table."""
        key = self.firsts[table]
        assert key is not None
        parents = self.rows[key.name]
        rows = np.argsort(parents, kind="stable")
        is_next = np.diff(parents[rows]) == 0
        steps = np.diff(self.columns[table][self.schema.order[table]][rows])
        return float(np.mean(steps[is_next] >= 0)) if is_next.any() else 1.0


@dataclass(frozen=True, eq=False)
class RelationalEvaluation(Reported):
    """How well drawn tables agree with real ones.

    Attributes:
        measures: Value of each measure for the drawn tables, and for real rows against other real rows; None without.
    """

    measures: Mapping[str, tuple[Any, Any]]

    @property
    def _distinguishable(self) -> list[str]:
        """Names of the parents whose rows are distinguishable at the 1 % level."""
        tests = {name: found for name, (found, _) in self.measures.items() if name.startswith(_ACCURACY)}
        return [
            name.removeprefix(_ACCURACY)
            for name, found in tests.items()
            if found - 0.5 > _ONE_PERCENT * found.null_standard_error
        ]

    @property
    def is_distinguishable(self) -> bool:
        """Whether trees distinguish the rows of a parent, with aggregates of its children, at the 1 % level."""
        return bool(self._distinguishable)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if not self.is_distinguishable:
            return "Parents with aggregates of their children are not distinguishable from real ones at the 1 % level."
        return f"Distinguishable from real rows, with aggregates of their children: {', '.join(self._distinguishable)}."

    def to_json(self) -> dict[str, Any]:
        """Returns the measures and the verdict as JSON values."""
        measures = {name: {"drawn": found, "real": real} for name, (found, real) in self.measures.items()}
        return {"measures": json_value(measures), "verdict": self.verdict}

    def print_on(self, console: Console) -> None:
        rows = [(name, _text(found), _text(real)) for name, (found, real) in self.measures.items()]
        console.print(text_table("", ("measure", "drawn", "real"), rows))
        console.print(self.verdict)


def _text(value: Any) -> str:
    if value is None:
        return ""
    error = f" ± {value.standard_error:.3f}" if isinstance(value, Estimate) else ""
    return f"{value:.3f}{error}"


def evaluate_tables(
    real: Mapping[str, Any], drawn: Mapping[str, Any], schema: Schema, *, random_state: int = 0
) -> RelationalEvaluation:
    """Compares drawn tables with real ones.

    "Accuracy" is the accuracy of boosted trees that distinguish real from drawn parents with aggregates of their
    children: counts, means and numbers of categories (C2ST-Agg: Hudovernik et al. 2024, arXiv 2410.03411). 0.5 is
    perfect. The measures of real rows compare two halves of the real tables.

    Columns of the real tables that the drawn ones lack are left out.

    Raises:
        ValueError: In one line, if a key is not valid.
    """
    data, rows = Keyed.of(real, schema), Keyed.of(drawn, schema)
    learned = {
        table: {name: values for name, values in arrays.items() if name in rows.columns[table]}
        for table, arrays in data.columns.items()
    }
    data = replace(data, columns=learned)
    halves = data.halves(np.random.default_rng(random_state))
    found, baseline = _measures(data, rows, random_state), _measures(*halves, random_state)
    # Real tables need not be sorted.
    no_baseline = {name for name in found if name.startswith(_IN_ORDER)}
    return RelationalEvaluation(
        {name: (value, None if name in no_baseline else baseline.get(name)) for name, value in found.items()}
    )


def _measures(data: Keyed, rows: Keyed, seed: int) -> dict[str, Any]:
    schema, found = data.schema, dict[str, Any]()
    for table in schema.tables:
        if data.columns[table]:
            sides = data.columns[table], rows.columns[table]
            found[f"columns: {table}"] = mean_score(column_shapes(*sides)) if _have_rows(*sides) else math.nan
    for table in schema.tables:
        for key in schema.keys_to(table):
            found[f"number of children: {key.name}"] = 1 - float(
                stats.ks_2samp(data.counts(key), rows.counts(key), method="asymp").statistic
            )
            if data.columns[table] and data.columns[key.table]:
                found[f"parent and child: {key.name}"] = _pairs(data.joined(key), rows.joined(key))
    for table in schema.order:
        found[_IN_ORDER + table] = rows.is_in_order(table)
        found[f"previous and next: {table}"] = _pairs(data.lagged(table), rows.lagged(table))
    for table in schema.tables:
        has_children = any(True for _ in schema.keys_to(table))
        if has_children and min(data.n_rows(table), rows.n_rows(table)) >= FEWEST_PARENTS:
            found[f"{_ACCURACY}{table}"] = _accuracy(data.aggregated(table), rows.aggregated(table), seed)
    return found


def _have_rows(*sides: Arrays) -> bool:
    """Whether all tables have at least two rows."""
    return all(len(next(iter(side.values()))) > 1 for side in sides)


def _pairs(data: Arrays, rows: Arrays) -> float:
    """Mean score of the pairs of a column of one row and a column of the other; NaN if there are too few rows."""
    if not _have_rows(data, rows):
        return math.nan
    pairs = pair_trends(data, rows, bins="data").pairs
    across = {each.names: each.score for each in pairs if len({name.split(" ")[0] for name in each.names}) > 1}
    return mean_score(across)


def _accuracy(data: Arrays, rows: Arrays, seed: int) -> Estimate:
    sides, is_category = encode(data, rows, max_categories=MAX_CATEGORIES)
    trees = ensemble.HistGradientBoostingClassifier(
        categorical_features=is_category, early_stopping=False, random_state=seed, min_samples_leaf=5
    )
    # A number below all others marks missing cells; trees take a negative category as missing.
    lowest = -1.0 - 2 * np.abs(np.nan_to_num(np.concatenate(sides))).max(axis=0)
    filled = (np.where(np.isnan(side), lowest, side) for side in sides)
    return two_sample_test(*filled, classifier=trees, random_state=seed)
