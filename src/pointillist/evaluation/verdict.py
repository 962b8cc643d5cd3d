"""Sums up an evaluation in sentences on copies, differences, scores, and tables that may be exchanged."""

from collections.abc import Iterator

from pointillist.evaluation.comparison import Comparison
from pointillist.evaluation.report import percent
from pointillist.metrics.estimate import LEVEL


def verdict_of(found: Comparison) -> str:
    """Write the paragraph of an evaluation, signs of copying first."""
    return " ".join([*_copying(found), *_difference(found), *_scores(found), *_tables(found)])


def copy_signs(found: Comparison) -> dict[str, str]:
    """Describe each sign of copying, at the level 0.01 over all signs together."""
    nearest, copies = found.rows.nearest, found.copies
    signs = {}
    if nearest is not None and nearest.share > nearest.interval[1]:  # one-sided, at the level 0.005
        signs["held-out rows"] = f"{percent(nearest.share)} are nearer to the data than to held-out rows, not half"
    usual = f" ({percent(copies.duplicates, 1)} of the data equal another)"
    if found.holdout_copies is not None and found.is_held_out:
        fraction = found.holdout_copies.fraction
        usual = f", and {percent(fraction, 1)} of the held-out rows do ({_p_text(found.copies_p_value)})"
    auc, below = found.rows.two_sample.auc, 1 - found.rows.two_sample.p_value
    tests = {
        "copies": (found.copies_p_value, f"{copies.count:,} of {found.m:,} equal a data row{usual}"),
        # Trees that were trained with a data row mistake its copy for data.
        "boosted trees": (below, f"boosted trees mistake rows for data (AUC {auc:.2f}, {_p_text(below)})"),
    }
    # In tables with other columns, rows that agree in a few numeric columns are not copies.
    if found.numbers is not None and found.are_numbers:
        below, closer = 1 - found.numbers.forest_p_value, found.numbers.nearest.share_closer
        text = f"a random forest mistakes rows for data (accuracy {found.numbers.forest:.2f}, {_p_text(below)})"
        tests["random forest"] = below, text
        text = f"nearer to the data than its own rows in {percent(closer)} of comparisons, not half"
        tests["nearness"] = found.numbers.closer_p_value, text
    level = (LEVEL / 2 if nearest is not None else LEVEL) / len(tests)
    return signs | {name: text for name, (p_value, text) in tests.items() if p_value <= level}


def _copying(found: Comparison) -> Iterator[str]:
    if signs := copy_signs(found):
        # Rows that bunch up are near the data too. Nearness alone shows copying only if the distributions agree.
        bunched = [*signs] == ["nearness"] and found.is_distinguishable
        head = "The rows look copied, or bunch up where the data is dense" if bunched else "The rows look copied"
        yield f"{head}: {'; '.join(signs.values())}."


def _difference(found: Comparison) -> Iterator[str]:
    sizes, where = f"{found.m:,} rows, {found.n:,} rows of data", "no single column differs"
    if not found.is_distinguishable:
        yield f"Not distinguishable from the data at the 1 % level ({sizes})."
        return
    adjusted, texts = found.adjusted_p_values, {line.test: line.text for line in found.lines}
    name = min(adjusted, key=lambda test: (adjusted[test], found.p_values[test]))
    if adjusted["columns"] <= LEVEL:
        worst = found.worst_columns[0]
        statistic = "Kolmogorov-Smirnov" if worst.kind == "continuous" else "total variation"
        where = f"the worst column is {worst.name!r} ({statistic} {worst.value:.2f})"
    how = f"most clearly by {texts[name]}, {_p_text(adjusted[name])}"
    yield f"Distinguishable from the data at the 1 % level ({sizes}), {how}; {where}."


def _scores(found: Comparison) -> Iterator[str]:
    tables = found.rows, found.real, found.independent
    auc, real, independent = (table.two_sample.auc for table in tables)
    line = f"AUC of boosted trees {auc:.3f} (real rows {real:.3f}, independent columns {independent:.3f})"
    rows, real, independent = (table.common_trends.mean for table in tables)
    pairs = f"; pairs of columns score {rows:.3f} (real rows {real:.3f}, independent {independent:.3f})"
    yield f"{line}{pairs if rows == rows else ''}."


def _tables(found: Comparison) -> Iterator[str]:
    """Say whether held-out rows equal data rows or differ from the data, and whether tables may be exchanged."""
    held_out, nearest, two_sample = found.holdout_copies, found.rows.nearest, found.real.two_sample
    if held_out is None:
        return
    if not found.is_held_out:
        yield (
            f"The held-out rows are not held out: {held_out.count:,} of {found.holdout_rows:,} equal a data row "
            f"({percent(held_out.duplicates, 1)} of the data equal another), so they say little about copying."
        )
    if two_sample.p_value <= LEVEL / 3:
        yield (
            f"The held-out rows are unlike the data (AUC {two_sample.auc:.2f}, {_p_text(two_sample.p_value)}): "
            "they come from another population, or rows and data are exchanged."
        )
    if nearest is not None and nearest.share < nearest.interval[0]:  # one-sided, at the level 0.005
        yield (
            f"Only {percent(nearest.share)} of the rows are nearer to the data than to the held-out rows: data and "
            "held-out rows may be exchanged."
        )


def _p_text(p_value: float) -> str:
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"
