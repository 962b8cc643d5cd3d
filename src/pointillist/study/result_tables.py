"""A study's tables for the terminal, as Markdown and as CSV: pure functions of the results."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from pointillist.atomic_files import write_whole
from pointillist.foreign_text import csv_cell, markdown_text, terminal_text
from pointillist.study.comparisons import MIN_SEEDS_FOR_SPREAD, Summary
from pointillist.study.quantities import LIKELIHOOD_STEPS, SIZES, cut_off
from pointillist.study.results import KL_LIMIT, Entry, Results
from pointillist.study.settings import Settings, label
from pointillist.study.spec import ReferenceValue, Section, short_name

_WARNING = "⚠"

LIMIT = 3.0
"""Largest z-score, in absolute value, of a cell that agrees."""


class Comparison(NamedTuple):
    """A measured cell and the number reported for it, with their z-score; `section` is a name, and `metric` a title.

    `pooled_z` takes for the error of one seed the root mean square over all settings of the same set and metric: the
    spread of three seeds alone is off by a factor of two or more in a quarter of cases.
    """

    section: str
    metric: str
    measured: Summary
    reported: ReferenceValue
    z: float
    pooled_z: float

    @property
    def agrees(self) -> bool:
        """Whether the two differ by less than `LIMIT` standard errors."""
        return abs(self.z) < LIMIT


def z_score(measured: Summary, reported: ReferenceValue, seed_error: float) -> float:
    """Computes measured minus reported, in standard errors; NaN if the model diverged.

    The standard error covers the mean over seeds, one run more, and rounding: a reported number is taken for one run of
    the same study, with the error of one seed.
    """
    run_error = seed_error * np.sqrt(1 + 1 / measured.n_seeds)
    # The rounding error is uniform over one unit of the last decimal.
    rounding_error = 10.0**-reported.decimals / np.sqrt(12)
    return float((measured.value - reported.value) / np.hypot(run_error, rounding_error))


def comparisons(results: Results) -> list[Comparison]:
    """Compares the cells of all sections, in the order of the tables."""
    found = []
    for section, row in ((each, row) for each in results.spec.sections for row in results.rows(each)):
        known = [cell.summary for cell in row.cells if cell.summary is not None]
        errors = np.array([summary.seed_error for summary in known if np.isfinite(summary.seed_error)])
        pooled = float(np.sqrt((errors**2).mean())) if errors.size else np.nan
        for measured, reported in ((cell.summary, cell.reference) for cell in row.cells):
            if measured is not None and reported is not None:
                scores = (z_score(measured, reported, error) for error in (measured.seed_error, pooled))
                found.append(Comparison(section.name, row.title, measured, reported, *scores))
    return found


class Line(NamedTuple):
    """A line of a section's table: entries for the columns and the baseline; `dataset` is a short name, or "all"."""

    dataset: str
    title: str
    cells: tuple[Entry, ...]
    is_of_class: bool = False


def write_tables(results: Results, folder: Path) -> list[Path]:
    """Writes one Markdown file per section, and one of the agreement with reported numbers; returns their paths."""
    texts = {folder / f"{section.name}.md": markdown(results, section) for section in results.spec.sections}
    if compared := comparisons(results):
        # No section's name has a dot.
        texts[folder / "reported.numbers.md"] = _agreement_markdown(results, compared)
    for path, text in texts.items():
        write_whole(path, text)
    return [*texts]


def markdown(results: Results, section: Section) -> str:
    """Formats a section's table, with notes on how to read it, as Markdown."""
    varied = ", ".join(section.varied)
    first, *others = (column.label for column in section.columns)
    heads = ["set", "metric", f"{varied} = {first}" if varied else first, *others, "baseline"]
    lines = table_lines(results, section, by_class=True)
    table = _markdown_table(heads, [[line.dataset, line.title, *line.cells] for line in lines])
    texts = (f"- {markdown_text(note)}" for note in notes(results, section))
    return "\n".join([f"# {markdown_text(section.title)}", "", *table, "", *texts, ""])


def terminal(results: Results, section: Section) -> Table:
    """Formats a section's table for a terminal: standard errors and reported numbers below the measured ones."""
    columns = f" (columns: {', '.join(section.varied)})" if section.varied else ""
    title = terminal_text(f"{section.title}{columns}")
    table = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("set")
    table.add_column("metric", min_width=8)
    for head in [*(column.label for column in section.columns), "baseline"]:
        table.add_column(terminal_text(head, breaks={"..": "..\n", ", ": "\n"}), justify="right", overflow="fold")
    previous = None
    for line in table_lines(results, section, by_class=False):
        if previous is not None and line.dataset != previous:
            table.add_section()
        entries = [Entry("" if line.dataset == previous else line.dataset), Entry(line.title), *line.cells]
        previous = line.dataset
        texts = []
        for entry in entries:
            # One word a line: a table of six settings then fits 80 columns.
            text = terminal_text(entry.measured, "bold" if entry.is_best else "", breaks={" ± ": "\n±", " ": "\n"})
            texts.append(text.append(f"\n{entry.reported}", style="not bold dim") if entry.reported else text)
        table.add_row(*texts)
    return table


def notes(results: Results, section: Section) -> list[str]:
    """Lists notes on how to read the section's table."""
    rows = results.rows(section)
    has_likelihood = any(row.metric == "nll" for row in rows)
    errors = f"over {results.seeds}, which covers training and sampling"
    if not results.covers_training:
        errors = f"of sampling only ({results.seeds}); from {MIN_SEEDS_FOR_SPREAD} seeds on it covers training too"
    texts = [
        f"A cell is the measured value ± its standard error {errors}.",
        "Bold: no test distinguishes the cell from the best one in its row (Welch's t-test, level 0.05 for the whole "
        "row by Holm's correction). All ties are bold.",
        *_BASELINE_NOTES[section.kind],
    ]
    # The note on likelihoods names their noise levels too.
    unranked = {row.metric: row.title for row in rows if not row.is_ranked and row.metric in SIZES.keys() - {"nll"}}
    texts += [f"{title}: columns are not ranked, because {SIZES[metric][1]}." for metric, title in unranked.items()]
    if section.reference:
        texts.append("Below a cell: the number reported elsewhere for this setting.")
    if section.note:
        texts.append(section.note)
    if has_likelihood:
        texts.append(_likelihood_note(section))
    if results.covers_training and (section.kind == "classifier" or has_likelihood):
        texts.append(
            "All seeds are measured on the same held-out rows, so the errors of these measures cover training only. "
            "Tests against the baseline, which is measured on the same rows, may miss differences."
        )
    if off := [text for name in section.drawn for text in _off(results, section, name)]:
        texts.append(
            f"{_WARNING} The sampler starts from N(0, I), although some of the data is left in x_T: the bound "
            f"KL(q(x_T | x_0) ‖ N(0, I)) is above {KL_LIMIT:g} nats per column, which affects these numbers too. "
            f"{'; '.join(off)}."
        )
    return texts


_BASELINE_NOTES = {
    "rows": [
        "Baseline: the score of real data, which is the metric between two random halves of the data, ± the standard "
        "deviation of one evaluation. A cell near it cannot be distinguished from a perfect one.",
        "The report NLL is the log of a mean of kernels that are not normalized. Rows that bunch up can have a lower "
        "value than the data, so the value closest to the baseline is best.",
    ],
    "classes": [
        "EMD, energy distance, coverage (share of data rows with a generated row among their 5 nearest) and spread "
        "(total standard deviation relative to the data) are means over the classes, of equal numbers of rows.",
        "Accuracy: the share of generated rows that a multi-layer perceptron fitted to the data puts into the class "
        "they were drawn for.",
        "Baseline: the score of real data, which is the metric between two random halves of each class, ± the standard "
        "deviation of one evaluation; for the accuracy, the perceptron's mean accuracy over the classes on held-out "
        "rows. A higher accuracy means that generated rows avoid the regions where classes overlap. The value closest "
        "to the baseline is best; for the two distances, the lowest.",
        "w = 0 is plain conditional sampling: guided ε = (1 + w) ε(x, y) - w ε(x, no class).",
    ],
    "classifier": [
        "Measured on fresh rows, and one accuracy on the training rows. knn_100: the 100 nearest generated rows, whose "
        "votes are weighted by class size, except on training rows; mlp_100_50: a multi-layer perceptron fitted to the "
        "data; elbo and exact: the conditional model's class probabilities by its denoising error and its log-density.",
        "Baseline: the value of the true class probabilities on the same rows, ± its standard error; empty if unknown.",
    ],
}


def _likelihood_note(section: Section) -> str:
    by_cut_off: dict[str, list[str]] = {}
    for column in section.columns:
        by_cut_off.setdefault(f"{cut_off(column.settings):.2g}", []).append(column.label)
    levels, unranked = next(iter(by_cut_off)), ""
    if len(by_cut_off) > 1:
        levels = "; ".join(f"{value} at {', '.join(labels)}" for value, labels in by_cut_off.items())
        unranked = ", so columns with different cut-offs are not ranked"
    return (
        "Held-out NLL: minus the mean log-density of fresh rows in nats, by the model's probability-flow ODE "
        f"({LIKELIHOOD_STEPS} steps, exact trace, from N(0, I) at σ = 10), whatever the sampler. It may be negative. "
        f"The density includes noise of the cut-off σ = sigma_1 / alpha_1 (σ = {levels}){unranked}. The baseline is "
        "the value under the true distribution, without noise, on the same rows, ± the standard error, if it is known."
    )


def agreement_lines(results: Results) -> list[str]:
    """Says for each section and metric in how many cells the measured and the reported value agree.

    The first line is a heading; there are none if nothing was reported.
    """
    head, counts = _agreement(results, comparisons(results))
    return [head, *(f"{section}, {metric}: {cells}" for section, metric, cells in counts)] if counts else []


def _agreement(results: Results, compared: Sequence[Comparison]) -> tuple[str, list[tuple[str, str, str]]]:
    """Returns a heading, and for each section and metric how many of the cells agree."""
    spread = "over seeds" if results.covers_training else "of sampling; the error of training needs more seeds"
    head = f"Cells within {LIMIT:g} standard errors of the reported number, which counts as one more run ({spread}):"
    found: dict[tuple[str, str], list[bool]] = {}
    for each in compared:
        found.setdefault((each.section, each.metric), []).append(each.agrees)
    return head, [(section, metric, f"{sum(agree)} of {len(agree)}") for (section, metric), agree in found.items()]


_APART = (
    "The other cells, with z-scores (measured minus reported, in standard errors). Pooled: the error of one seed is "
    "the root mean square over all settings of the same set and metric."
)


def _agreement_markdown(results: Results, compared: Sequence[Comparison]) -> str:
    head, counts = _agreement(results, compared)
    lines = ["# Agreement with the reported numbers", "", head, ""]
    lines += _markdown_table(("section", "metric", "cells"), counts)
    apart = [
        (
            *(each.section, each.reported.dataset, each.metric, each.reported.column),
            *(f"{each.measured.value:.4g}", f"{each.measured.seed_error:.2g}", each.reported.text),
            *(f"{each.z:+.1f}", f"{each.pooled_z:+.1f}"),
        )
        for each in compared
        if not each.agrees
    ]
    if apart:
        heads = ("section", "set", "metric", "setting", "measured, mean", "± of one seed", "reported", "z", "pooled z")
        lines += ["", _APART, "", *_markdown_table(heads, apart)]
    return "\n".join([*lines, ""])


def _markdown_table(heads: Sequence[str], lines: Iterable[Sequence[str | Entry]]) -> list[str]:
    rows = [f"| {' | '.join(map(_markdown_cell, cells))} |" for cells in (heads, *lines)]
    return [rows[0], "|" + "---|" * len(heads), *rows[1:]]


def _markdown_cell(cell: str | Entry) -> str:
    if isinstance(cell, str):
        return markdown_text(cell)
    measured = markdown_text(cell.measured)
    text = f"**{measured}**" if cell.is_best else measured
    return f"{text}<br>*{cell.reported}*" if cell.reported else text


def _off(results: Results, section: Section, name: str) -> list[str]:
    """Lists the columns whose sampler may start from the wrong distribution; once if they all have the same start."""
    off = [column for column in section.columns if results.prior_is_off(name, column.settings)]
    nats = [f"{results.prior_kl(name, column.settings):.3f} nats" for column in off]
    if len(off) == len(section.columns) and len(set(nats)) == 1:
        return [f"{short_name(name)} ({nats[0]})"]
    return [f"{short_name(name)} at {column.label} ({n})" for column, n in zip(off, nats, strict=True)]


def table_lines(results: Results, section: Section, *, by_class: bool) -> list[Line]:
    """Makes the lines of a section's table, by data set; with `by_class` also the lines of each class alone."""
    rows = [(row, False) for row in results.rows(section)]
    rows += [(row, True) for row in results.class_rows(section) if by_class]
    found = [Line(row.dataset, row.title, (*row.entries, row.baseline_entry), of_class) for row, of_class in rows]
    if not section.drawn:
        return found
    lines = []
    for name in section.datasets:
        lines += [each for each in found if each.dataset == short_name(name)]
        kl = []
        for settings in (column.settings for column in section.columns):
            value, warning = results.prior_kl(name, settings), f" {_WARNING}" * results.prior_is_off(name, settings)
            kl.append(Entry(f"{_small(value)}{warning}", number=value))
        lines.append(Line(short_name(name), "prior KL (nats)", (*kl, Entry("0", number=0.0))))
    values = [results.alpha_bar_T(column.settings) for column in section.columns]
    return [*lines, Line("all", "alpha_bar_T", (*(Entry(_small(value), number=value) for value in values), Entry("")))]


def _small(value: float) -> str:
    return f"{value:.3g}" if value >= 0.001 else "<0.001"


def csv_text(results: Results, sections: Iterable[Section]) -> str:
    """Formats every cell and metric of some sections as one line of CSV, below a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    settings = [*Settings.__dataclass_fields__]
    numbers = ("n_seeds", "value", "standard_error", "degrees_of_freedom")
    last = ("is_best", "reported", "baseline", "baseline_spread", "alpha_bar_T", "prior_kl", "cells")
    writer.writerow(("section", "column", "dataset", *settings, "metric", *numbers, *last))
    for section in sections:
        for row in [*results.rows(section), *results.class_rows(section)]:
            for column, cell in zip(section.columns, row.cells, strict=True):
                line: list[Any] = [section.name, column.label, row.dataset]
                line += [label(key, getattr(column.settings, key)) for key in settings]
                line.append(row.metric)
                line += ["" if cell.summary is None else getattr(cell.summary, each) for each in numbers]
                line += [cell.is_best, "" if cell.reference is None else cell.reference.value]
                line += ["", ""] if cell.baseline is None else [cell.baseline.value, cell.baseline.spread]
                line += [results.alpha_bar_T(column.settings), results.prior_kl(row.name, column.settings)]
                line.append(" ".join(each.key for each in results.cells(row.name, column.settings)))
                writer.writerow(map(csv_cell, line))
    return buffer.getvalue()
