"""Plots generated rows, their paths from noise to data, and animations of these paths."""

from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pointillist.arguments import is_number, is_whole
from pointillist.atomic_files import check_place, write_whole
from pointillist.estimators.inputs import checked_rows, draw_of, fitted_model
from pointillist.estimators.plotting.drawing import (
    DATA,
    Groups,
    View,
    add_legend,
    axes_or_new,
    check_axes,
    draw_dots,
    draw_histogram,
    histogram_edges,
)
from pointillist.models.gaussian import gaussian_of
from pointillist.models.row_model import RowModel
from pointillist.queries.sampling import SamplingRun, Trajectories

N_SAMPLES, N_TRAJECTORIES = 2000, 100
"""Number of generated rows, and of paths, by default."""

MOST_DATA = 5000
"""Most given rows that are shown."""

MOST_TIMES = 200
"""Most points of a path."""

MARGIN = 0.05
"""Margin on each side of an animation, as a fraction of the range that is shown."""

OUTSIDE = 0.5
"""Percentage of the rows at either end of a coordinate that may lie outside the picture while they are noise."""

SLOWEST, FASTEST = 0.1, 50
"""Fewest and most frames per second; browsers show faster GIFs at a speed of their choice."""

_WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}
"""Matplotlib's writer for each ending of a file name."""


def plot(  # noqa: D417
    model: Any, X: Any = None, *, ax: Any = None, n_samples: int | None = None, labels: Any = None, **options: Any
) -> Any:
    """Draws new rows, colored by class, over given rows in gray.

    Two columns are shown as a scatter plot, three as one in three dimensions, and a single column as a histogram. If
    there are more, each column is scaled to mean 0 and standard deviation 1, and the first two principal axes of X are
    shown, or of the new rows without X.

    Args:
        X: Rows with the columns of `fit`, shape (m, d); none by default. At most 5,000, evenly spaced, are shown.
        ax: Matplotlib axes to draw on, with projection="3d" for three columns; a new figure by default.
        n_samples: Number of new rows; by default the length of `labels` or `prior`, or else of X but at most
            2,000, or else 2,000.
        labels: See `sample`. With None, a model with classes draws each row's label first, as `sample` does for
            `return_labels`. A legend names up to 12 classes.
        **options: Other arguments of `sample`, such as `random_state`; the rows are the same as from `sample`.

    Returns:
        The axes.

    Raises:
        ValueError: In one line, if the rows, the axes or an option cannot be used.
    """
    fitted = fitted_model(model)
    check_axes(ax, is_3d=fitted.codec.n_columns == 3)
    data = None if X is None else checked_rows(model, X)[1]
    if data is not None:
        data = data[np.linspace(0, len(data) - 1, min(len(data), MOST_DATA)).astype(np.int64)]
    default = N_SAMPLES if data is None else min(len(data), N_SAMPLES)
    drawn, row_labels = _requested(model, n_samples, default, labels=labels, **options).rows()
    rows = fitted.codec.layout.numbers(drawn)
    view = View.of(fitted, rows if data is None else data, "the rows" if data is None else "the data")
    ax = axes_or_new(ax, view.labels)
    groups = Groups.of(fitted, row_labels, len(rows))
    if len(view.labels) == 1:
        edges = histogram_edges(fitted, rows if data is None else np.concatenate([rows, data]))
        draw_histogram(ax, view(rows), groups, edges)
        if data is not None:
            counts, _ = np.histogram(data, edges)
            ax.stairs(counts / (len(data) * np.diff(edges)), edges, color=DATA, linewidth=1.5)
        ax.set_ylabel("density")
    else:
        if data is not None:
            draw_dots(ax, view(data), DATA)
        draw_dots(ax, view(rows), groups.row_colors)
    add_legend(ax, groups, has_data=data is not None)
    return ax


def plot_trajectory(  # noqa: D417
    model: Any, *, ax: Any = None, n_samples: int | None = None, labels: Any = None, **options: Any
) -> Any:
    """Draws the paths of new rows from noise to data: thin lines from a gray dot to a dot in the color of the class.

    A line goes through every x_t at which the sampler stops, from x_T ~ N(0, I) to the row; of more than 199 steps, it
    shows 200 points, spread evenly. The points are x_t as the model sees it, alpha_t x_0 + sigma_t ε, which has about
    the spread of the data at every noise level. Only the scaling is undone, so that they are in the units of the data:
    they are not divided by alpha_t, and no value on the way is rounded.

    Columns are shown as in `plot`; if there are more than three, the new rows decide the principal axes. A single
    column is drawn over the steps.

    Args:
        ax: Matplotlib axes to draw on, with projection="3d" for three columns; a new figure by default.
        n_samples: Number of rows; by default the length of `labels` or `prior`, or else 100.
        labels: See `plot`.
        **options: Other arguments of `sample`, except a reward; the rows are the same as from `sample`.

    Returns:
        The axes.

    Raises:
        ValueError: In one line, if the axes or an option cannot be used, or if a reward is given.
    """
    fitted = fitted_model(model)
    check_axes(ax, is_3d=fitted.codec.n_columns == 3)
    paths = _requested(model, n_samples, N_TRAJECTORIES, labels=labels, **options).trajectories(MOST_TIMES)
    view = View.of(fitted, paths.points[-1], "the rows")
    shown, names = view(paths.points), view.labels
    if len(names) == 1:
        over_steps = np.broadcast_to(paths.steps[:, None, None].astype(np.float64), shown.shape)
        shown, names = np.concatenate([over_steps, shown], axis=2), ("step", *names)
    ax = axes_or_new(ax, names)
    groups = Groups.of(fitted, paths.labels, shown.shape[1])
    for line, color in zip(shown.swapaxes(0, 1), groups.row_colors, strict=True):
        ax.plot(*line.T, color=color, linewidth=0.5, alpha=0.5)
    draw_dots(ax, shown[0], DATA)
    draw_dots(ax, shown[-1], groups.row_colors, size=12)
    add_legend(ax, groups, has_data=False)
    return ax


def animate(  # noqa: D417
    model: Any,
    path: str | Path,
    *,
    n_samples: int | None = None,
    labels: Any = None,
    frames: int = 100,
    fps: float = 10,
    **options: Any,
) -> Path:
    """Writes an animation of new rows that move from noise to data, in the units of `plot_trajectory`.

    A frame shows all rows at one noise level σ = sigma_t / alpha_t, which is written above it. The last frame shows the
    rows themselves, and stays for a second. Columns are shown as in `plot`; if there are more than three, the principal
    axes are taken from the new rows. The axes do not move: a few rows of noise may lie beyond them.

    Args:
        path: A file that ends in .gif, or in .mp4, which needs the program ffmpeg. It is written whole or not at all.
        n_samples: Number of rows; by default the length of `labels` or `prior`, or else 2,000.
        labels: See `plot`.
        frames: Most frames, at least 2, spread evenly over the steps. A frame for every step makes a smooth animation,
            if there are 50 steps or more.
        fps: Frames per second, from 0.1 to 50.
        **options: Other arguments of `sample`, except a reward; the rows are the same as from `sample`.

    Returns:
        The path.

    Raises:
        ValueError: In one line, if the name has another ending, ffmpeg is missing, an option cannot be used, or a
            reward is given.
        OSError: In one line that starts with the path, if the file cannot be written.
    """
    from matplotlib import animation

    path = Path(path)
    program = _WRITERS.get(path.suffix.lower())
    if program is None:
        raise ValueError(f"{path}: the name of an animation must end in {' or '.join(_WRITERS)}")
    if not animation.writers.is_available(program):
        raise ValueError(f"{path}: needs the program ffmpeg, which was not found: install it, or write a .gif")
    if not is_whole(frames, 2):
        raise ValueError(f"frames must be an integer of at least 2, not {frames!r}")
    if not is_number(fps) or not SLOWEST <= fps <= FASTEST:
        raise ValueError(f"fps must be a number from {SLOWEST} to {FASTEST}, not {fps!r}")
    draw = _requested(model, n_samples, N_SAMPLES, labels=labels, **options)
    check_place(path)
    paths = draw.trajectories(frames)
    writer: Any = animation.writers[program]
    # Writers know a format by the end of a name, so the temporary file needs the same ending.
    with TemporaryDirectory() as folder:
        part = Path(folder, f"part{path.suffix.lower()}")
        try:
            _write_frames(fitted_model(model), paths, writer(fps=fps), part, n_still=round(fps))
        except CalledProcessError as error:
            reason = (error.stderr or "it said nothing").strip().splitlines()[-1]
            raise OSError(f"{path}: ffmpeg failed: {reason}") from error
        write_whole(path, part.read_bytes())
    return path


def _requested(model: Any, n_samples: int | None, default: int, *, labels: Any, **options: Any) -> SamplingRun:
    """Check a request for the rows of a picture, with their labels if the model has classes."""
    fitted = fitted_model(model)
    gaussian_of(fitted, "pictures of rows are")
    if n_samples is None and np.ndim(labels) == 0 and options.get("prior") is None:
        n_samples = default
    if n_samples is not None and not is_whole(n_samples, 1):
        raise ValueError(f"n_samples must be an integer of at least 1, not {n_samples!r}")
    draw = draw_of(model, n_samples, labels=labels, return_labels=fitted.classes is not None, **options)
    if not draw.n_rows:
        raise ValueError("there are no rows to show: give labels or a prior of at least one")
    return draw


def _write_frames(model: RowModel, paths: Trajectories, writer: Any, file: Path, *, n_still: int) -> None:
    """Write all frames, and repeat the last one `n_still` times."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    view = View.of(model, paths.points[-1], "the rows")
    shown, dimensions = view(paths.points), len(view.labels)
    groups = Groups.of(model, paths.labels, shown.shape[1])
    # pyplot would keep the figure, and show it in a notebook.
    figure = Figure(figsize=(4.8, 4.8))
    FigureCanvasAgg(figure)
    ax: Any = axes_or_new(figure.add_subplot(projection="3d" if dimensions == 3 else None), view.labels)
    if dimensions == 3:
        # The layout does not make room for labels in three dimensions.
        ax.set_box_aspect(None, zoom=0.9)
    # All of the final rows and nearly all of the earlier ones are inside.
    low, high = np.percentile(shown, [OUTSIDE, 100 - OUTSIDE], axis=(0, 1))
    low, high = np.minimum(low, shown[-1].min(axis=0)), np.maximum(high, shown[-1].max(axis=0))
    margin = MARGIN * np.where(high > low, high - low, 1.0)
    low, high = low - margin, high + margin
    for axis, limits in zip("xyz", zip(low, high, strict=True), strict=False):
        getattr(ax, f"set_{axis}lim")(*limits)
    if dimensions == 1:
        edges = histogram_edges(model, shown[(shown >= low) & (shown <= high)])
        highest = max((np.histogram(rows, edges)[0] / np.diff(edges)).max() for rows in shown) / shown.shape[1]
        ax.set_ylabel("density")
        ax.set_ylim(0, (1 + MARGIN) * highest)
    add_legend(ax, groups, has_data=False)
    ax.set_title("noise level", fontsize="medium")
    # One layout for all frames.
    ConstrainedLayoutEngine().execute(figure)
    drawn: list[Any] = []
    with writer.saving(figure, str(file), 100):
        for rows, noise_level in zip(shown, paths.noise_levels, strict=True):
            for artist in drawn:
                artist.remove()
            if dimensions == 1:
                drawn = draw_histogram(ax, rows, groups, edges)
            else:
                drawn = draw_dots(ax, rows, groups.row_colors)
            ax.title.set_text(f"noise level σ = {noise_level:.3g}")
            writer.grab_frame()
        for _ in range(n_still):
            writer.grab_frame()
