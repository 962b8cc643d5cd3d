"""A study's tables for the terminal, as Markdown and as CSV: pure functions of the results."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pointillist.atomic_files import write_whole
from pointillist.foreign_text import csv_cell, markdown_text, terminal_text
from pointillist.metrics import Floor
from pointillist.study.agreement import LIMIT, agreements, comparisons
from pointillist.study.comparisons import MIN_SEEDS_FOR_SPREAD, Summary
from pointillist.study.quantities import LIKELIHOOD_STEPS
from pointillist.study.reference import ReferenceValue
from pointillist.study.results import KL_LIMIT, Results, Row
from pointillist.study.settings import Settings, label
from pointillist.study.spec import Section, short_name

if TYPE_CHECKING:
    from rich.table import Table

_WARNING = "⚠"

AGREEMENT = "reported.numbers.md"
"""Name of the file that compares measured with reported numbers; no section's name has a dot."""


@dataclass(frozen=True)
class Entry:
    """A table's cell.

    Attributes:
        measured: Measured value, as text.
        reported: Value reported elsewhere, as text; empty if there is none.
        is_best: Whether it is among the best.
        number: Measured value; None if there is none.
        band: On the page, the class of its distance from the floor; empty if it is not known.
        distance: The same in words.
        live: On the page, what the live stage is asked for to show its network; empty if it does not hold it.
    """

    measured: str
    reported: str = ""
    is_best: bool = False
    number: float | None = None
    band: str = ""
    distance: str = ""
    live: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a section's table.

    Attributes:
        dataset: Short name of the data set, or "all".
        title: Heading of the line.
        cells: Entry of each column.
        floor: Entry of the floor, the real-data baseline.
        row: The measured row; None if the line follows from the settings alone.
        is_of_class: Whether the line is about one class alone.
    """

    dataset: str
    title: str
    cells: tuple[Entry, ...]
    floor: Entry = Entry("")
    row: Row | None = None
    is_of_class: bool = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries from left to right."""
        return (Entry(self.dataset), Entry(self.title), *self.cells, self.floor)


def write_tables(results: Results, folder: Path) -> list[Path]:
    """Writes one Markdown file per section, and one of the agreement with reported numbers; returns their paths."""
    paths = []
    for section in results.spec.sections:
        path = folder / f"{section.name}.md"
        write_whole(path, markdown(results, section))
        paths.append(path)
    if comparisons(results):
        paths.append(folder / AGREEMENT)
        write_whole(paths[-1], _agreement_markdown(results))
    return paths


def markdown(results: Results, section: Section) -> str:
    """Formats a section's table, with notes on how to read it, as Markdown."""
    varied = ", ".join(section.varied)
    first, *others = (column.label for column in section.columns)
    heads = ["set", "metric", f"{varied} = {first}" if varied else first, *others, "floor"]
    heads = [*map(markdown_text, heads)]
    lines = [f"# {markdown_text(section.title)}", "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for line in table_lines(results, section, by_class=True):
        lines.append("| " + " | ".join(map(_markdown_entry, line.entries)) + " |")
    return "\n".join([*lines, "", *(f"- {markdown_text(note)}" for note in notes(results, section)), ""])


def terminal(results: Results, section: Section) -> "Table":
    """Formats a section's table for a terminal: standard errors and reported numbers below the measured ones."""
    from rich import box
    from rich.table import Table

    columns = f" (columns: {', '.join(section.varied)})" if section.varied else ""
    title = terminal_text(f"{section.title}{columns}")
    table = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("set")
    table.add_column("metric", min_width=8)
    for head in [*(column.label for column in section.columns), "floor"]:
        table.add_column(terminal_text(head, breaks={"..": "..\n", ", ": "\n"}), justify="right", overflow="fold")
    previous = None
    for line in table_lines(results, section, by_class=False):
        if previous is not None and line.dataset != previous:
            table.add_section()
        entries = [Entry("") if line.dataset == previous else Entry(line.dataset), *line.entries[1:]]
        previous = line.dataset
        texts = []
        for entry in entries:
            # One word a line: a table of six settings then fits 80 columns.
            text = terminal_text(entry.measured, "bold" if entry.is_best else "", breaks={" ± ": "\n±", " ": "\n"})
            texts.append(text.append(f"\n{entry.reported}", style="not bold dim") if entry.reported else text)
        table.add_row(*texts)
    return table


def notes(results: Results, section: Section) -> list[str]:
    """Notes on how to read the section's table."""
    if results.covers_training:
        errors = f"over {results.seeds}: it covers training and the drawing of rows"
    else:
        errors = (
            f"which covers the drawing of rows only, with {results.seeds}; "
            f"from {MIN_SEEDS_FOR_SPREAD} seeds on it covers training too"
        )
    texts = [
        f"A cell is the measured value ± its standard error, {errors}.",
        "Bold: no test distinguishes the cell from the row's best one (Welch's t-test against the best, level 0.05 "
        "for the whole row by Holm's correction). All ties are bold.",
        *_FLOOR_NOTES[section.kind],
    ]
    rows = results.rows(section)
    unranked = {row.metric: row.title for row in rows if not row.is_ranked and row.metric in UNRANKED}
    texts += [f"{title}: columns are not ranked, because {UNRANKED[metric]}." for metric, title in unranked.items()]
    if section.reference:
        texts.append("Below a cell: the number reported elsewhere for this setting.")
    if section.note:
        texts.append(section.note)
    if any(row.metric == "nll" for row in rows):
        texts.append(_likelihood_note(results, section))
    if results.covers_training and (section.kind == "classifier" or any(row.metric == "nll" for row in rows)):
        texts.append(
            "All seeds are measured on the same held-out rows: the errors of what is measured on them are of training "
            "alone, and the tests against the floor, which is of these rows too, find less than there may be."
        )
    off = [text for name in section.datasets for text in _off(results, section, name)]
    if off and section.kind != "classifier":
        texts.append(
            f"{_WARNING} The sampler starts from N(0, I), though some of the data is left in x_T: the bound "
            f"KL(q(x_T | x_0) ‖ N(0, I)) is above {KL_LIMIT:g} nats per column of the data, so these numbers show how "
            f"much is left too. {'; '.join(off)}."
        )
    return texts


UNRANKED = {
    "emd": "it grows with emd_rows, in which they differ",
    "two_sample_test": "it grows with n_samples, in which they differ",
    "coverage": "it grows with n_samples, in which they differ",
    "calibration_error": "it shrinks with n_held_out, in which they differ",
}
"""Why quantities may not be ranked."""

_FLOOR_NOTES = {
    "rows": [
        "Floor: the real-data baseline, the same metric between two random halves of the data, ± the standard "
        "deviation of one such evaluation. A cell near it cannot be distinguished from a perfect one.",
        "The report NLL is the log of a mean of kernels that are not normalised. It can be lower for rows that bunch "
        "up than for the data itself, so the best value is the one closest to the floor.",
    ],
    "classes": [
        "EMD, energy distance, coverage (share of data rows with a generated row among their 5 nearest) and spread "
        "(total standard deviation over the data's) are means over the classes; as many rows are drawn of each class.",
        "Accuracy: the share of generated rows that a multi-layer perceptron fitted to the data puts into the class "
        "they were drawn for.",
        "Floor: the real-data baseline, the same metric between two random halves of the data of each class, ± the "
        "standard deviation of one such evaluation; for the accuracy, the perceptron's own on held-out rows, as mean "
        "over the classes. Rows like the data reach that and no more: a higher accuracy means that rows avoid the "
        "places where classes meet. The best value is the one closest to the floor; for the two distances, the lowest.",
        "w = 0 is plain conditional sampling: guided ε = (1 + w) ε(x, y) - w ε(x, no class).",
    ],
    "classifier": [
        "Measured on fresh rows from the data's distribution; one accuracy is on the models' training rows. "
        "knn_100: the 100 nearest generated rows, whose votes are weighted by their classes' shares in the data, but "
        "not on training rows; mlp_100_50: a multi-layer perceptron fitted to the data; elbo and exact: the "
        "conditional model's own class "
        "probabilities, by its denoising error and by its log-density.",
        "Floor: the baseline of the true class probabilities on the same rows, ± its standard error over them; empty "
        "where they are not known.",
        "Calibration error: the expected calibration error in 15 bins; with finitely many rows it is above 0 even for "
        "the true probabilities.",
    ],
}


def _likelihood_note(results: Results, section: Section) -> str:
    by_cut_off: dict[str, list[str]] = {}
    for column in section.columns:
        by_cut_off.setdefault(f"{results.cut_off(column.settings):.2g}", []).append(column.label)
    is_one = len(by_cut_off) == 1
    where = "; ".join(value if is_one else f"{value} at {', '.join(labels)}" for value, labels in by_cut_off.items())
    unlike = "" if is_one else ", so columns with different cut-offs are not ranked"
    return (
        "Held-out NLL: minus the mean log-density in nats of fresh rows under the model, by its probability-flow ODE "
        f"({LIKELIHOOD_STEPS} steps, exact trace, from N(0, I) at σ = 10), whatever sampler draws the rows. It may be "
        "negative. The density is that of the data with noise of the cut-off σ = sigma_1 / alpha_1 added "
        f"(σ = {where}){unlike}. Its floor is the value under the true "
        "distribution, without noise, on the same rows, ± the standard error over them, where it is known."
    )


def agreement_lines(results: Results) -> list[str]:
    """Says for each section and metric in how many cells the measured and the reported value agree, and which do not.

    Empty if nothing was reported.
    """
    compared = comparisons(results)
    if not compared:
        return []
    spread = "over seeds" if results.covers_training else "of drawing; that of training is not known with so few seeds"
    return [
        f"Cells within {LIMIT:g} standard errors of the reported number, which counts as one more run ({spread}):",
        *(f"{section}, {metric}: {cells}" for (section, metric), cells in agreements(compared).items()),
    ]


_APART = (
    "The other cells, with their z-scores (measured minus reported, in standard errors). Pooled: with the error of one "
    "seed as root mean square over all settings of the same set and metric."
)


def _agreement_markdown(results: Results) -> str:
    compared = comparisons(results)
    counts = [(*of, cells) for of, cells in agreements(compared).items()]
    lines = ["# Agreement with the reported numbers", "", agreement_lines(results)[0], ""]
    lines += _markdown_table(("section", "metric", "cells"), counts)
    apart = [
        (
            *(each.section, each.reported.dataset, each.metric, each.reported.column),
            *(f"{each.measured.value:.4g}", f"{each.measured.of_one_seed:.2g}"),
            f"{each.reported.value:.{each.reported.decimals}f}",
            *(f"{each.z:+.1f}", f"{each.pooled_z:+.1f}"),
        )
        for each in compared
        if not each.agrees
    ]
    if apart:
        heads = ("section", "set", "metric", "setting", "measured, mean", "± of one seed", "reported", "z", "pooled z")
        lines += ["", _APART, ""]
        lines += _markdown_table(heads, apart)
    return "\n".join([*lines, ""])


def _markdown_table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    rows = ["| " + " | ".join(map(markdown_text, texts)) + " |" for texts in (heads, *lines)]
    return [rows[0], "|" + "---|" * len(heads), *rows[1:]]


def _off(results: Results, section: Section, name: str) -> list[str]:
    """Lists the columns whose sampler may start from the wrong distribution; once if they all have the same start."""
    off = [column for column in section.columns if results.prior_is_off(name, column.settings)]
    nats = [f"{results.prior_kl(name, column.settings):.3f} nats" for column in off]
    if len(off) == len(section.columns) and len(set(nats)) == 1:
        return [f"{short_name(name)} ({nats[0]})"]
    return [f"{short_name(name)} at {column.label} ({n})" for column, n in zip(off, nats, strict=True)]


def table_lines(results: Results, section: Section, *, by_class: bool) -> list[Line]:
    """Makes the lines of a section's table, by data set; with `by_class` also those of each class alone."""
    rows = results.rows(section)
    per_class = results.class_rows(section) if by_class else []
    lines = []
    for name in section.datasets:
        short = short_name(name)
        lines += [_metric_line(row) for row in rows if row.dataset == short]
        lines += [_metric_line(row, is_of_class=True) for row in per_class if row.dataset == short]
        if section.kind == "classifier":
            continue
        kl = []
        for settings in (column.settings for column in section.columns):
            value, warning = results.prior_kl(name, settings), f" {_WARNING}" * results.prior_is_off(name, settings)
            kl.append(Entry(f"{_small(value)}{warning}", number=value))
        lines.append(Line(short, "prior KL (nats)", tuple(kl), Entry("0", number=0.0)))
    if section.kind == "classifier":
        return lines
    values = [results.alpha_bar_T(column.settings) for column in section.columns]
    return [*lines, Line("all", "alpha_bar_T", tuple(Entry(_small(value), number=value) for value in values))]


def _metric_line(row: Row, *, is_of_class: bool = False) -> Line:
    decimals = _decimals(row.summaries)
    parts = zip(row.summaries, row.references, row.is_best, row.is_asked, strict=True)
    cells = tuple(_entry(*part, decimals) for part in parts)
    floor = Entry(_floor_text(row.floors, decimals), number=None if row.floor is None else row.floor.value)
    return Line(row.dataset, row.title, cells, floor, row, is_of_class)


def value_text(row: Row, i: int) -> str:
    """Formats a column's value ± its standard error as in the table."""
    return _metric_line(row).cells[i].measured


def floor_text(row: Row, i: int) -> str:
    """Formats a column's floor ± its spread as in the table; empty if there is none."""
    return _floor_text([row.floors[i]], _decimals(row.summaries))


def _entry(
    summary: Summary | None, reference: ReferenceValue | None, is_best: bool, is_asked: bool, decimals: int
) -> Entry:
    reported = "" if reference is None else f"{reference.value:.{reference.decimals}f}"
    if summary is None:
        return Entry("not yet" if is_asked else "–", reported)
    if not np.isfinite(summary.value):
        return Entry("diverged", reported)
    text = f"{summary.value:.{decimals}f} ± {summary.standard_error:.{decimals}f}"
    return Entry(text, reported, is_best, summary.value)


def _small(value: float) -> str:
    return f"{value:.3g}" if value >= 0.001 else "<0.001"


def _floor_text(floors: Sequence[Floor | None], decimals: int) -> str:
    if any(floor is None for floor in floors):
        return ""
    texts = {f"{floor.value:.{decimals}f} ± {floor.spread:.{decimals}f}" for floor in floors if floor is not None}
    return texts.pop() if len(texts) == 1 else "varies"


def _decimals(summaries: Sequence[Summary | None]) -> int:
    """Number of decimals that shows one digit of a row's median standard error, two if the first is 1 or 2.

    Where a value would be shown as 0 by these, they show the smallest error.
    """
    known = [s for s in summaries if s is not None and np.isfinite(s.standard_error) and np.isfinite(s.value)]
    errors = [s.standard_error for s in known]
    typical = float(np.median(errors)) if errors else 0.0
    if typical <= 0:
        return 3

    def showing(error: float) -> int:
        return int(np.clip(np.ceil(-np.log10(error / 3)), 0, 8))

    is_lost = any(s.value and not round(s.value, showing(typical)) for s in known)
    return showing(min(error for error in errors if error > 0)) if is_lost else showing(typical)


def _markdown_entry(entry: Entry) -> str:
    measured = markdown_text(entry.measured)
    text = f"**{measured}**" if entry.is_best else measured
    return f"{text}<br>*{entry.reported}*" if entry.reported else text


CSV_HEAD = (
    *("section", "column", "dataset"),
    *Settings.__dataclass_fields__,
    *("metric", "n_seeds", "value", "standard_error", "degrees_of_freedom", "is_best"),
    *("reported", "floor", "floor_spread", "alpha_bar_T", "prior_kl", "cells"),
)
"""The columns of results.csv."""


def csv_text(results: Results, sections: Iterable[Section]) -> str:
    """Formats every cell and metric of some sections as one line of CSV, below a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for section in sections:
        names = {short_name(name): name for name in section.datasets}
        for row in [*results.rows(section), *results.class_rows(section)]:
            name = names[row.dataset]
            for i, column in enumerate(section.columns):
                settings = [label(key, getattr(column.settings, key)) for key in Settings.__dataclass_fields__]
                keys = [cell.key for cell in results.cells(name, column.settings)]
                line: list[object] = [section.name, column.label, row.dataset, *settings, row.metric]
                numbers = ("n_seeds", "value", "standard_error", "degrees_of_freedom")
                line += [*(_of(row.summaries[i], each) for each in numbers), row.is_best[i]]
                line += [_of(row.references[i], "value"), *(_of(row.floors[i], each) for each in ("value", "spread"))]
                line += [results.alpha_bar_T(column.settings), results.prior_kl(name, column.settings), " ".join(keys)]
                writer.writerow(map(csv_cell, line))
    return buffer.getvalue()


def write_csv(results: Results, path: Path) -> None:
    """Writes `csv_text` of all sections."""
    write_whole(path, csv_text(results, results.spec.sections))


def _of(item: Summary | ReferenceValue | Floor | None, attribute: str) -> object:
    return "" if item is None else getattr(item, attribute)
