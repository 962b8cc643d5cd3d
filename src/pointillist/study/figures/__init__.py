"""A study's figures: pure functions of the store, drawn by Matplotlib's objects without its global state."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pointillist.atomic_files import write_whole
from pointillist.study.figures.curves import losses_figure, metrics_figure
from pointillist.study.figures.parts import DPI
from pointillist.study.figures.rows import rows_figure
from pointillist.study.results import Results
from pointillist.study.spec import short_name

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
    for name, figure in _figures(results):
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        write_whole(folder / name, buffer.getvalue())
        paths.append(folder / name)
    return paths


def _figures(results: Results) -> "Iterator[tuple[str, Figure]]":
    for section in results.spec.sections:
        table, n = results.rows(section), len(section.columns)
        if n > MAX_SETTINGS:
            title = f"{section.title} (the first {MAX_SETTINGS} of {n:,} settings)"
            section = replace(section, title=title, columns=section.columns[:MAX_SETTINGS])
            table = [replace(row, cells=row.cells[:MAX_SETTINGS]) for row in table]
        if section.kind != "classifier":
            for name in section.datasets:
                yield f"{section.name}_{short_name(name)}_rows.png", rows_figure(results, section, name, table)
            yield f"{section.name}_losses.png", losses_figure(results, section)
        yield f"{section.name}_metrics.png", metrics_figure(results, section, table)
