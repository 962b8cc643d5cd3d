"""A study's figures: pure functions of the store, drawn by Matplotlib's objects without its global state."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pointillist.atomic_files import write_whole
from pointillist.study.figures.curves import losses_figure, metrics_figure
from pointillist.study.figures.parts import DPI
from pointillist.study.figures.rows import rows_figure
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SETTINGS = 100
"""Most settings of a section that figures show: each has a panel, and a picture has to fit into memory."""

__all__ = ["losses_figure", "metrics_figure", "rows_figure", "write_figures"]


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Draws all figures of a study as PNG files.

    A section has `{section}_{dataset}_rows.png` for each of its data sets, `{section}_losses.png` (neither, if it
    measures classifiers) and `{section}_metrics.png`. They show at most `MAX_SETTINGS` settings. A file is written
    whole or not at all.
    """
    paths = []
    for name, draw in _figures(results):
        write_whole(folder / name, _png(draw()))
        paths.append(folder / name)
    return paths


def _figures(results: Results) -> "Iterator[tuple[str, Callable[[], Figure]]]":
    for section in results.spec.sections:
        section, table = _shown(section, results.rows(section))
        for name in section.datasets if section.kind != "classifier" else ():
            yield f"{section.name}_{short_name(name)}_rows.png", partial(rows_figure, results, section, name, table)
        if section.kind != "classifier":
            yield f"{section.name}_losses.png", partial(losses_figure, results, section)
        yield f"{section.name}_metrics.png", partial(metrics_figure, results, section, table)


def _shown(section: Section, table: Sequence[Row]) -> tuple[Section, Sequence[Row]]:
    n = len(section.columns)
    if n <= MAX_SETTINGS:
        return section, table
    title = f"{section.title} (the first {MAX_SETTINGS} of {n:,} settings)"
    shown = replace(section, title=title, columns=section.columns[:MAX_SETTINGS])
    return shown, [row.first(MAX_SETTINGS) for row in table]


def _png(figure: "Figure") -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
