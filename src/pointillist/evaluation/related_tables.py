"""Compares drawn tables with real ones: keys, numbers of children, columns, pairs of rows, and two-sample tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from rich.console import Console

from pointillist.evaluation.report import Reported, json_value, text_table
from pointillist.lazy import ensemble, stats
from pointillist.metrics.classifiers import MAX_CATEGORIES, on_one_thread, two_sample_test
from pointillist.metrics.estimate import LEVEL, Estimate, holm
from pointillist.metrics.mixed import column_shapes, mean_score, pair_trends
from pointillist.metrics.mixed_tables import count_rows, encode
from pointillist.tables.schema import ForeignKey, Positions, Schema, read_frame

MOST_ROWS = 10_000
"""Largest number of rows that a measure compares. OpenBLAS takes several threads, and longer, for longer products."""

REPEATS = 5
"""Number of random splits into halves over which measures are averaged."""

FEWEST_ROWS = 10
"""Smallest number of rows of each side that a two-sample test needs."""

TESTS = {
    "accuracy": "{} with aggregates of their children",
    "accuracy, rows": "rows of {} with their parents",
    "accuracy, sequences": "successive rows of {}",
}
"""The two-sample tests: names of their measures, and what they distinguish in a table."""

Arrays = dict[str, np.ndarray]
Rows = Int[np.ndarray, " _"]
Score = Callable[[Arrays, Arrays], float]


@dataclass(frozen=True, eq=False)
class Keyed:
    """Tables as arrays, with their keys as row indices, and a part of their rows.

    Attributes:
        columns: Columns of each table that belong to no key.
        rows: Index of the parent's row, by name of the foreign key; -1 for none.
        kept: Indices of the rows of each table that belong to the part.
        sizes: Number of rows of each table.
        firsts: The key of the parent that decides the number of rows, by table.
        schema: The schema.
    """

    columns: Mapping[str, Arrays]
    rows: Mapping[str, Rows]
    kept: Mapping[str, Rows]
    sizes: Mapping[str, int]
    firsts: Mapping[str, ForeignKey | None]
    schema: Schema

    @classmethod
    def of(cls, tables: Mapping[str, Any], schema: Schema) -> Keyed:
        """Reads tables, all of whose rows are kept; raises a ValueError if a key is not valid."""
        plain = {name: read_frame(name, tables[name]) for name in schema.tables}
        positions = Positions.of(schema, plain)
        columns = {}
        for name, table in plain.items():
            keys = schema.key_columns(name)
            columns[name] = table.select([each for each in table.names if each not in keys]).arrays()
        sizes = {name: len(table) for name, table in plain.items()}
        kept = {name: np.arange(size) for name, size in sizes.items()}
        firsts = {name: positions.first(name) for name in schema.tables}
        return cls(columns, positions.rows, kept, sizes, firsts, positions.schema)

    def halves(self, rng: np.random.Generator, most: Mapping[str, int]) -> tuple[Keyed, Keyed]:
        """Splits the rows without a parent at random into halves, the first of at most `most[table]` rows of a table.

        Other rows go with their parents.
        """
        sides: tuple[Arrays, Arrays] = {}, {}
        for table, key in self.firsts.items():
            if key is None:
                position, half = rng.permutation(self.sizes[table]), self.sizes[table] // 2
                sides[0][table], sides[1][table] = position < min(half, most[table]), position >= half
            else:
                for side in sides:
                    side[table] = np.append(side[key.parent], False)[self.rows[key.name]]
        first, second = ({table: np.flatnonzero(mask) for table, mask in side.items()} for side in sides)
        return replace(self, kept=first), replace(self, kept=second)

    def roots(self, table: str) -> Rows:
        """Index of the row without a parent from which each row of a table descends; -1 for none."""
        key = self.firsts[table]
        if key is None:
            return np.arange(self.sizes[table])
        return np.append(self.roots(key.parent), -1)[self.rows[key.name]]

    def counts(self, key: ForeignKey) -> Arrays:
        """Number of all rows that refer to each row of the parent."""
        rows = self.rows[key.name]
        counts = np.bincount(rows[rows >= 0], minlength=self.sizes[key.parent])
        return {f"{key.name} count": counts[self.kept[key.parent]].astype(float)}

    def aggregated(self, table: str) -> Arrays:
        """The columns of a table, and for each key that refers to it: counts, means and numbers of categories."""
        found, n = _take(self.columns[table], self.kept[table]), self.sizes[table]
        for key in self.schema.keys_to(table):
            found |= self.counts(key)
            rows = self.rows[key.name][self.kept[key.table]]
            for name, column in self.columns[key.table].items():
                (matrix,), (is_category,) = encode({name: column[self.kept[key.table]]})
                values = matrix[:, 0]
                is_there = (rows >= 0) & ~np.isnan(values)
                here, values = rows[is_there], values[is_there]
                if is_category:
                    pairs = (np.unique(values * n + here) % n).astype(int)
                    found[f"{key.name} number of {name}"] = np.bincount(pairs, minlength=n)[self.kept[table]] * 1.0
                else:
                    with np.errstate(invalid="ignore"):
                        means = np.bincount(here, values, n) / np.bincount(here, minlength=n)
                    found[f"{key.name} mean of {name}"] = means[self.kept[table]]
        return found

    def paired(self, table: str, rows: Rows, other: str, other_rows: Rows) -> Arrays:
        """The columns of some rows of a table beside the columns of as many rows of another, or of the same, table."""
        found = {f"one {name}": values[rows] for name, values in self.columns[table].items()}
        return found | {f"other {name}": values[other_rows] for name, values in self.columns[other].items()}

    def successive(self, table: str, rng: np.random.Generator) -> tuple[Rows, ...]:
        """Pairs of successive rows of one parent: by the order of the table, or in random order if it has none.

        Returns:
            Indices of the first row of each pair, indices of its second row, and the number of rows before the pair.
        """
        key = self.firsts[table]
        assert key is not None
        kept, by = self.kept[table], self.schema.order.get(table)
        parents = self.rows[key.name][kept]
        order = np.lexsort((rng.random(len(kept)) if by is None else self.columns[table][by][kept], parents))
        parents, rows = parents[order], kept[order]
        at = np.flatnonzero((parents[1:] == parents[:-1]) & (parents[1:] >= 0))
        return rows[at], rows[at + 1], at - np.searchsorted(parents, parents[at])

    def is_in_order(self, table: str) -> float:
        """Fraction of rows whose order does not decrease within a parent, in the order of the table."""
        key = self.firsts[table]
        assert key is not None
        parents = self.rows[key.name]
        rows = np.argsort(parents, kind="stable")
        is_next = np.diff(parents[rows]) == 0
        steps = np.diff(self.columns[table][self.schema.order[table]][rows])
        return float(np.mean(steps[is_next] >= 0)) if is_next.any() else 1.0

    def compared(self, rng: np.random.Generator) -> dict[str, tuple[Arrays, Score]]:
        """By the name of each measure, the columns that it compares, and how."""
        found: dict[str, tuple[Arrays, Score]] = {}
        for table in self.schema.tables:
            columns = _take(self.columns[table], self.kept[table])
            if columns:
                found[f"columns: {table}"] = columns, _columns
            if len(columns) > 1:
                found[f"pairs: {table}"] = columns, _pairs
        for key in (key for table in self.schema.tables for key in self.schema.keys_to(table)):
            found[f"number of children: {key.name}"] = self.counts(key), _columns
            if self.columns[key.table] and self.columns[key.parent]:
                some = self.kept[key.table][self.rows[key.name][self.kept[key.table]] >= 0]
                joined = self.paired(key.table, some, key.parent, self.rows[key.name][some])
                found[f"parent and child: {key.name}"] = joined, _pairs_across
        for table, first in self.firsts.items():
            if first is not None and self.columns[table]:
                name = "previous and next" if table in self.schema.order else "siblings"
                one, other, _ = self.successive(table, rng)
                found[f"{name}: {table}"] = self.paired(table, one, table, other), _pairs_across
        return found

    def tested(self, rng: np.random.Generator) -> dict[str, Arrays]:
        """By the name of each two-sample test, its rows: a random one for each row without a parent.

        Rows that descend from one row are dependent, and a test takes its rows as independent.
        """
        found = {}
        for table in self.schema.tables:
            if any(True for _ in self.schema.keys_to(table)):
                some = _one_of_each(self.roots(table)[self.kept[table]], rng)
                found[f"accuracy: {table}"] = _take(self.aggregated(table), some)
        for table, key in self.firsts.items():
            if key is not None and self.columns[table]:
                some = self.kept[table][_one_of_each(self.roots(table)[self.kept[table]], rng)]
                found[f"accuracy, rows: {table}"] = self.paired(table, some, key.parent, self.rows[key.name][some])
        for table, by in self.schema.order.items():
            one, other, position = self.successive(table, rng)
            step = self.columns[table][by][other] - self.columns[table][by][one]
            pairs = self.paired(table, one, table, other) | {"position": position.astype(float), "step": step}
            found[f"accuracy, sequences: {table}"] = _take(pairs, _one_of_each(self.roots(table)[one], rng))
        return found


@dataclass(frozen=True, eq=False)
class RelationalEvaluation(Reported):
    """How well drawn tables agree with real ones.

    Attributes:
        measures: Value of each measure for drawn rows against real ones, and for real rows against other real rows,
            with standard errors (see `evaluate_tables`); NaN if there are too few rows, None if there is no such value.
    """

    measures: Mapping[str, tuple[Any, Any]]

    @property
    def p_values(self) -> dict[str, float]:
        """p-value of each two-sample test, by the name of its measure, adjusted for their number (Holm 1979)."""
        found = {name: drawn for name, (drawn, _) in self.measures.items() if name.partition(":")[0] in TESTS}
        known = {name: accuracy for name, accuracy in found.items() if not math.isnan(accuracy)}
        return holm({name: float(stats.norm.sf((a - 0.5) / a.null_standard_error)) for name, a in known.items()})

    @property
    def is_distinguishable(self) -> bool:
        """Whether trees distinguish drawn from real rows in any test, at the 1 % level over all tests together."""
        return min(self.p_values.values(), default=1.0) < LEVEL

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        p_values = self.p_values
        if not p_values:
            return f"There are too few rows for a two-sample test, which needs {FEWEST_ROWS} of each side."
        level = f"distinguishable from real ones at the {100 * LEVEL:.0f} % level over all tests"
        if not self.is_distinguishable:
            return f"The drawn tables are not {level}."
        found = [name.split(": ", 1) for name, p_value in p_values.items() if p_value < LEVEL]
        return f"The drawn tables are {level}: {'; '.join(TESTS[test].format(table) for test, table in found)}."

    def to_json(self) -> dict[str, Any]:
        """Returns the measures, the adjusted p-values and the verdict as JSON values."""
        measures = {name: {"drawn": found, "real": real} for name, (found, real) in self.measures.items()}
        return {"measures": json_value(measures), "p_values": self.p_values, "verdict": self.verdict}

    def print_on(self, console: Console) -> None:
        rows = [(name, _text(found), _text(real)) for name, (found, real) in self.measures.items()]
        caption = f"±: standard error; where no trees are trained, the standard deviation over {REPEATS} random halves"
        console.print(text_table("", ("measure", "drawn", "real"), rows, caption))
        console.print(self.verdict)


def _text(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    error = value.standard_error if isinstance(value, Estimate) else math.nan
    return f"{value:.3f}" if math.isnan(error) else f"{value:.3f} ± {error:.3f}"


def evaluate_tables(
    real: Mapping[str, Any], drawn: Mapping[str, Any], schema: Schema, *, random_state: int = 0
) -> RelationalEvaluation:
    """Compares drawn tables with real ones.

    Columns, pairs of columns and numbers of children have scores in [0, 1], 1 for equal distributions (see
    `column_shapes` and `pair_trends`): pairs within a table, of parent and child, of successive rows of tables with an
    order, and of two rows of one parent ("siblings") in other tables. The rows without a parent are split at random
    into halves, with the rows that descend from them. One real half is compared with as many drawn rows, at most half
    of them, and with as many rows of the other real half. Values are means over 5 such splits. Their standard deviation
    estimates the standard error over the draw of rows. Parents by another key than the first may be in both halves.

    An "accuracy" is that of boosted trees that try to distinguish drawn from real rows, in all tables, and one real
    half from the other; 0.5 is perfect. They see parents with aggregates of their children (counts, means and numbers
    of categories; C2ST-Agg: Hudovernik et al. 2024, arXiv 2410.03411), rows with the columns of their parent, and
    successive rows. Of the rows that descend from one row without a parent they see one, as others are not independent.

    Columns of the real tables that the drawn ones lack are left out.

    Args:
        real: The real tables by name, as data frames.
        drawn: The drawn tables.
        schema: The keys and orders.
        random_state: Seed of splits, subsamples and trees.

    Returns:
        Measures, which are NaN where there are too few rows, and the verdict.

    Raises:
        ValueError: In one line, if a key is not valid.
    """
    data, rows = Keyed.of(real, schema), Keyed.of(drawn, schema)
    learned = {
        table: {name: values for name, values in arrays.items() if name in rows.columns[table]}
        for table, arrays in data.columns.items()
    }
    data = replace(data, columns=learned)
    # In few drawn rows another key may have no missing cells.
    rows = replace(rows, firsts=data.firsts, schema=data.schema)
    rng = np.random.default_rng(random_state)
    measures: dict[str, tuple[Any, Any]] = dict(_scores(data, rows, rng))
    # Real tables need not be sorted.
    measures |= {f"order kept: {table}": (rows.is_in_order(table), None) for table in schema.order}
    tested = [side.tested(rng) for side in (data, rows, *data.halves(rng, data.sizes))]
    with on_one_thread():
        for name in tested[0]:
            one, other, first, second = (side[name] for side in tested)
            measures[name] = _accuracy(one, other, random_state), _accuracy(first, second, random_state)
    return RelationalEvaluation(measures)


def _scores(data: Keyed, rows: Keyed, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """The measures of drawn rows, and of held-out real rows, against other real rows."""
    most = {table: min(data.sizes[table], rows.sizes[table]) // 2 for table in data.schema.tables}
    scores: dict[str, list[list[float]]] = {}
    for _ in range(REPEATS):
        held_out, reference = data.halves(rng, most)
        sides = [side.compared(rng) for side in (reference, rows.halves(rng, most)[0], held_out)]
        for name, (known, score) in sides[0].items():
            # Equal numbers of rows, as fewer rows have lower scores.
            others = [side[name][0] for side in sides[1:]]
            n = min(MOST_ROWS, *map(count_rows, others))
            known = _some(known, MOST_ROWS, rng)
            are_enough = min(n, count_rows(known)) > 1
            found = [score(known, _some(other, n, rng)) if are_enough else math.nan for other in others]
            scores.setdefault(name, []).append(found)
    return {name: (_mean([one for one, _ in each]), _mean([two for _, two in each])) for name, each in scores.items()}


def _mean(scores: list[float]) -> float:
    """Mean of the scores that are not NaN, with their standard deviation; NaN if all are."""
    known = [score for score in scores if not math.isnan(score)]
    if len(known) < 2:
        return known[0] if known else math.nan
    return Estimate(np.mean(known), np.std(known, ddof=1), len(known) - 1)


def _columns(data: Arrays, rows: Arrays) -> float:
    return mean_score(column_shapes(data, rows))


def _pairs(data: Arrays, rows: Arrays) -> float:
    return pair_trends(data, rows, bins="data").mean


def _pairs_across(data: Arrays, rows: Arrays) -> float:
    """Mean score of the pairs of a column of one row and a column of the other."""
    pairs = pair_trends(data, rows, bins="data").pairs
    return mean_score({each.names: each.score for each in pairs if len({name.split()[0] for name in each.names}) > 1})


def _take(arrays: Arrays, rows: np.ndarray) -> Arrays:
    return {name: values[rows] for name, values in arrays.items()}


def _some(arrays: Arrays, n: int, rng: np.random.Generator) -> Arrays:
    """Takes n random rows, or all if there are fewer."""
    return _take(arrays, rng.permutation(count_rows(arrays))[:n])


def _one_of_each(groups: Rows, rng: np.random.Generator) -> Rows:
    """Index of a random row of each group; those of the group -1 are left out."""
    shuffled = rng.permutation(len(groups))
    found, at = np.unique(groups[shuffled], return_index=True)
    return shuffled[at[found >= 0]]


def _accuracy(data: Arrays, rows: Arrays, seed: int) -> float:
    """Accuracy of trees that distinguish rows from data; NaN if there are too few rows."""
    if min(count_rows(data), count_rows(rows)) < FEWEST_ROWS:
        return math.nan
    sides, is_category = encode(data, rows, max_categories=MAX_CATEGORIES)
    trees = ensemble.HistGradientBoostingClassifier(
        categorical_features=is_category, max_iter=50, max_leaf_nodes=8, min_samples_leaf=5, early_stopping=False
    )
    # A number below all others marks missing cells; trees take a negative category as missing.
    lowest = -1.0 - 2 * np.abs(np.nan_to_num(np.concatenate(sides))).max(axis=0)
    filled = (np.where(np.isnan(side), lowest, side) for side in sides)
    return two_sample_test(*filled, classifier=trees, random_state=seed)
