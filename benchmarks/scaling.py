"""Growth of cost with rows, columns, models trained together, training steps, and evaluations per row.

Each point is measured in its own process, because of its peak of memory. Its seconds are those of a second run, whose
programs are compiled. The slope is that of a straight line, fitted by least squares, of log seconds (or log MB) against
log size; the last slope is that between the two largest sizes, where fixed costs weigh least. A slope of 1 is linear.

Unless a curve says otherwise, it is measured with `Diffusion()` on 8,000 rows of 2 columns of normal noise, in batches
of 64. "fit, by rows" makes one pass over the rows and "fit, by columns" four; "fit, by models" trains a stack of models
of the published recipe for four passes; "draw" draws 8,000 rows by the default sampler with 20 evaluations.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from machine import report, seconds

WORST_SLOPE = 1.1
"""Largest slope that counts as linear, with an allowance for noise."""


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        work: "fit", "stack" (fit of several models), "draw", "stream" (fit of a Parquet file) or "write" (that file).
        rows: Number of rows in the table, or of rows drawn.
        columns: Number of columns in the table.
        models: Number of models trained together.
        epochs: Passes over the rows.
        evaluations: Evaluations per row drawn.
        file: Path of a Parquet file.
    """

    work: str
    rows: int = 8_000
    columns: int = 2
    models: int = 1
    epochs: int = 4
    evaluations: int = 20
    file: str = ""


@dataclass(frozen=True)
class Curve:
    """A cost that is measured at several sizes."""

    name: str
    base: Point
    varied: str
    sizes: tuple[int, ...]
    unit: str

    def points(self) -> list[Point]:
        """Returns one point for each size."""
        return [replace(self.base, **{self.varied: size}) for size in self.sizes]


def curves(is_quick: bool) -> list[Curve]:
    """Returns the curves to measure."""
    rows, columns = (1_000, 10_000, 100_000, 1_000_000), (2, 8, 32, 128, 512)
    models, epochs, evaluations = (1, 4, 16, 64, 256), (4, 16, 64, 256), (10, 20, 40, 80, 160)
    if is_quick:
        rows, columns, models, epochs, evaluations = (1_000, 2_000), (2, 4), (1, 2), (1, 2), (5, 10)
    return [
        Curve("fit, by rows", Point("fit", epochs=1), "rows", rows, "rows"),
        Curve("fit, by columns", Point("fit"), "columns", columns, "columns"),
        Curve("fit, by models", Point("stack"), "models", models, "models"),
        Curve("fit, by passes of 125 steps", Point("fit"), "epochs", epochs, "passes"),
        Curve("draw, by rows", Point("draw"), "rows", rows, "rows"),
        Curve("draw, by columns", Point("draw"), "columns", columns, "columns"),
        Curve("draw, by evaluations", Point("draw"), "evaluations", evaluations, "evaluations"),
    ]


def main() -> None:
    """Prints the table; in the process of one point, measures that point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="where to draw the curves")
    parser.add_argument("--parquet", type=int, nargs="*", help="also fit Parquet files; by default of 10⁶ and 10⁷ rows")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure only curves whose name contains TEXT")
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(_measured(Point(**options.point))))
        return
    results: dict[str, Any] = {}
    print("| | sizes | seconds | slope | last slope | peak MB | slope |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        everything = curves(options.quick)
        if options.parquet is not None:
            sizes = tuple(options.parquet) or (1_000_000, 10_000_000)
            for columns in (2, 64):
                streamed = Point("stream", columns=columns, epochs=1, file=f"{folder}/rows.parquet")
                name = f"Parquet, {columns} columns, by rows"
                everything.append(Curve(name, streamed, "rows", sizes, "rows"))
        everything = [curve for curve in everything if options.only in curve.name]
        for curve in everything:
            results[curve.name] = _curve(curve)
    worse = [name for name, each in results.items() if max(each["slope"], each["last_slope"]) > WORST_SLOPE]
    print(f"\nworse than linear: {', '.join(worse) or 'nothing'}")
    name = "scaling_quick" if options.quick else "scaling_part" if options.only else "scaling"
    report(name, {"curves": results})
    if options.figure is not None:
        _draw(results, options.figure)


def _curve(curve: Curve) -> dict[str, Any]:
    measured = []
    for point in curve.points():
        if point.file:
            _run(replace(point, work="write"))
        measured.append(_run(point))
    times = [statistics.median(each["seconds"]) for each in measured]
    peaks = [each["peak_mb"] for each in measured]
    slopes = _slope(curve.sizes, times), _slope(curve.sizes[-2:], times[-2:]), _slope(curve.sizes, peaks)
    cells = [_joined(curve.sizes), _joined(times), f"{slopes[0]:.2f}", f"{slopes[1]:.2f}"]
    print("| " + " | ".join([curve.name, *cells, _joined(peaks), f"{slopes[2]:.2f}"]) + " |", flush=True)
    names = "slope", "last_slope", "slope_of_peak"
    return {"sizes": curve.sizes, "unit": curve.unit, "points": measured, **dict(zip(names, slopes, strict=True))}


def _run(point: Point) -> dict[str, Any]:
    # This process holds next to nothing: what it holds would count in the peak of one that it starts. And compiling
    # takes memory: every process does it.
    command = [sys.executable, __file__, "--point", json.dumps(vars(point))]
    environment = {**os.environ, "POINTILLIST_CACHE": "off"}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def _slope(sizes: tuple[int, ...], values: list[float]) -> float:
    """Slope of log value against log size, by least squares."""
    if len(sizes) < 2:
        return math.nan
    return statistics.linear_regression([math.log(n) for n in sizes], [math.log(value) for value in values]).slope


def _joined(values: tuple[int, ...] | list[float]) -> str:
    return ", ".join(f"{value:,.0f}" if value >= 100 else f"{value:.2g}" for value in values)


def _measured(point: Point) -> dict[str, Any]:
    import resource

    if point.work == "write":
        _write(point)
        return {}
    if point.work == "stream":
        # A pass over so much is not made twice: what is compiled is a second or two of it.
        taken = seconds(lambda: _stream(point), 1)
    else:
        work = {"fit": _fit, "stack": _stack, "draw": _draw_rows}[point.work](point)
        work()
        taken = seconds(work, 1)
        taken += seconds(work, 2) if taken[0] < 5 else []
    return {"size": vars(point), "seconds": taken, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _table(point: Point) -> Any:
    import numpy as np

    return np.random.default_rng(0).standard_normal((point.rows, point.columns), dtype=np.float32)


def _fit(point: Point) -> Callable[[], object]:
    from pointillist import Diffusion

    rows = _table(point)
    return lambda: Diffusion(epochs=point.epochs, random_state=0).fit(rows)


def _stack(point: Point) -> Callable[[], object]:
    from pointillist.engine.recipes import Architecture, Method, Recipe
    from pointillist.engine.training import StackTrainer
    from pointillist.models.configuration import REPORT
    from pointillist.models.gaussian import noise_schedule

    schedule = noise_schedule(REPORT)
    recipes = [Recipe(dataset=0, schedule=schedule, seed=seed, epochs=10_000) for seed in range(point.models)]
    trainer = StackTrainer(_table(point)[None], recipes, Architecture(), Method(batch_size=64))
    return lambda: trainer.run(point.epochs)


def _draw_rows(point: Point) -> Callable[[], object]:
    from pointillist import Diffusion

    model = Diffusion(epochs=1, random_state=0).fit(_table(replace(point, rows=1_000)))
    return lambda: model.sample(point.rows, steps=point.evaluations, random_state=0)


def _stream(point: Point) -> object:
    from pointillist import Diffusion
    from pointillist.files.reading import read_table

    return Diffusion(epochs=point.epochs, random_state=0).fit(read_table(point.file))


def _write(point: Point) -> None:
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    schema = pa.schema([(f"x{j}", pa.float64()) for j in range(point.columns)])
    part = 100_000
    with parquet.ParquetWriter(point.file, schema) as writer:
        for first in range(0, point.rows, part):
            rows = rng.standard_normal((min(part, point.rows - first), point.columns))
            writer.write_table(pa.table(dict(zip(schema.names, rows.T, strict=True)), schema))


def _label(name: str) -> str:
    return name.split(", by")[0]


def _draw(results: dict[str, Any], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    units = list(dict.fromkeys(each["unit"] for each in results.values()))
    figure = Figure(figsize=(2.4 * len(units), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(units), sharex="col", sharey="row", squeeze=False)
    colours = {label: f"C{i}" for i, label in enumerate(dict.fromkeys(map(_label, results)))}
    for name, each in results.items():
        column, sizes = units.index(each["unit"]), each["sizes"]
        times = [statistics.median(point["seconds"]) for point in each["points"]]
        peaks = [point["peak_mb"] for point in each["points"]]
        look = {"color": colours[_label(name)], "marker": "o", "markersize": 3, "linewidth": 1}
        for axes, values in zip(grid[:, column], (times, peaks), strict=True):
            axes.plot(sizes, values, label=_label(name), **look)
        linear = [times[-1] * size / sizes[-1] for size in sizes]
        grid[0, column].plot(sizes, linear, color="0.7", linewidth=1, linestyle=":")
    for (above, below), unit in zip(grid.T, units, strict=True):
        above.set(xscale="log", yscale="log")
        below.set(xscale="log", yscale="log", xlabel=unit)
        below.set_xticks(sorted({size for each in results.values() if each["unit"] == unit for size in each["sizes"]}))
        below.xaxis.set_major_formatter(
            lambda size, _: f"{size:g}" if size < 1000 else f"$10^{{{math.log10(size):g}}}$"
        )
        below.minorticks_off()
    for axes in grid[0]:
        axes.legend(frameon=False, fontsize=7, loc="upper left")
    for axes, label in zip(grid[:, 0], ("seconds", "peak MB"), strict=True):
        axes.set_ylabel(label)
    # Twice of little is no more than a little more.
    grid[1, 0].set_ylim(100, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
