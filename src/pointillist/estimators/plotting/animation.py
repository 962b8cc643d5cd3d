"""Animates rows on their way from noise to data."""

from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pointillist.arguments import RandomState, is_number, is_whole
from pointillist.atomic_files import check_place, write_whole
from pointillist.estimators.asking import Fitted
from pointillist.estimators.plotting.dots import Groups, add_legend, bins, draw_dots, draw_histogram
from pointillist.estimators.plotting.rows import holds_integers, requested
from pointillist.estimators.plotting.views import View, name_axes
from pointillist.queries.sampling import Trajectories

N_SAMPLES = 2000
"""Number of rows by default."""

INCHES, DPI = 4.8, 100
MARGIN = 0.05
"""Margin on each side, as a share of the range that is shown."""

OUTSIDE = 0.5
"""Percentage of the rows at either end of a coordinate that may lie outside the picture while they are noise."""

SLOWEST, FASTEST = 0.1, 50
"""Fewest and most frames per second; browsers show faster GIFs at a speed of their own."""

_SUFFIXES = {".gif": "pillow", ".mp4": "ffmpeg"}
"""Endings of file names, and the Matplotlib writer for each."""


def animate(  # noqa: D417
    model: Fitted,
    path: str | Path,
    *,
    n_samples: int | None = None,
    labels: Any = None,
    sampler: str | None = None,
    steps: int | None = None,
    frames: int = 100,
    fps: float = 10,
    random_state: RandomState = None,
    **options: Any,
) -> Path:
    """Writes an animation of new rows that move from noise to data, in the units of `plot_trajectory`.

    A frame shows all rows at one noise level σ = sigma_t / alpha_t, which is written above it. The last frame shows the
    rows themselves, and stays for a second. Columns are shown as in `plot`; if there are more than three, the principal
    axes are those of the new rows. The axes do not move: a few rows of noise may lie beyond them.

    Args:
        path: A file that ends in .gif, or in .mp4, which needs the program ffmpeg. It is written whole or not at all.
        n_samples: Number of rows; by default the length of `labels` or `prior`, or else 2,000.
        labels: See `plot`.
        sampler: See `sample`.
        steps: See `sample`. With 50 steps or more, a frame for every step makes a smooth animation.
        frames: Most frames, at least 2. If there are more steps, the frames are spread evenly over them.
        fps: Frames per second, from 0.1 to 50.
        random_state: Seed; the rows are those that `sample` draws.
        **options: Other arguments of `sample`, except a reward.

    Returns:
        The path.

    Raises:
        ValueError: In one line, if the name has another ending, ffmpeg is missing, an option cannot be used, or a
            reward is given.
        OSError: In one line that starts with the path, if the file cannot be written.
    """
    from matplotlib import animation

    path = Path(path)
    program = _SUFFIXES.get(path.suffix.lower())
    if program is None:
        raise ValueError(f"{path}: the name of an animation must end in {' or '.join(_SUFFIXES)}")
    if not animation.writers.is_available(program):
        raise ValueError(f"{path}: needs the program ffmpeg, which was not found: install it, or write a .gif")
    if not is_whole(frames, 2):
        raise ValueError(f"frames must be an integer of at least 2, not {frames!r}")
    if not is_number(fps) or not SLOWEST <= fps <= FASTEST:
        raise ValueError(f"fps must be a number from {SLOWEST} to {FASTEST}, not {fps!r}")
    options |= {"labels": labels, "sampler": sampler, "steps": steps, "random_state": random_state}
    draw = requested(model, n_samples, N_SAMPLES, **options)
    check_place(path)
    walks = draw.trajectories(frames)
    writer: Any = animation.writers[program]
    # Writers know a format by the end of a name, which a file under a temporary name beside the other has not.
    with TemporaryDirectory() as folder:
        part = Path(folder, f"part{path.suffix.lower()}")
        try:
            _write(model, walks, writer(fps=fps), part, still=round(fps))
        except CalledProcessError as error:
            reason = (error.stderr or "it said nothing").strip().splitlines()[-1]
            raise OSError(f"{path}: ffmpeg failed: {reason}") from error
        write_whole(path, part.read_bytes())
    return path


def _write(model: Fitted, walks: Trajectories, writer: Any, path: Path, *, still: int) -> None:
    """Writes all frames, and repeats the last one `still` times."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    view = View.of(model, walks.points[-1], "the rows")
    shown = view(walks.points)
    groups = Groups.of(model, walks.labels, shown.shape[1])
    # Not of pyplot, which would keep it, and show it in a notebook.
    figure = Figure(figsize=(INCHES, INCHES))
    FigureCanvasAgg(figure)
    ax: Any = figure.add_subplot(projection="3d" if view.dimensions == 3 else None)
    if view.dimensions == 3:
        # The layout knows nothing of the labels in three dimensions.
        ax.set_box_aspect(None, zoom=0.9)
    low, high = _limits(shown)
    name_axes(ax, view.labels)
    for axis, limits in zip("xyz", zip(low, high, strict=True), strict=False):
        getattr(ax, f"set_{axis}lim")(*limits)
    edges = np.empty(0)
    if view.dimensions == 1:
        inside = shown[(shown >= low) & (shown <= high)]
        edges = bins(inside, holds_integers(model))
        ax.set_ylabel("density")
        ax.set_ylim(0, _highest(shown, edges))
    add_legend(ax, groups, has_data=False)
    ax.set_title("noise level", fontsize="medium")
    # Once, and not for every frame anew.
    ConstrainedLayoutEngine().execute(figure)
    drawn: list[Any] = []
    with writer.saving(figure, str(path), DPI):
        for rows, noise_level in zip(shown, walks.noise_levels, strict=True):
            for artist in drawn:
                artist.remove()
            if view.dimensions == 1:
                drawn = draw_histogram(ax, rows, groups, edges)
            else:
                drawn = draw_dots(ax, rows, groups.row_colors)
            ax.title.set_text(f"noise level σ = {noise_level:.3g}")
            writer.grab_frame()
        for _ in range(still):
            writer.grab_frame()


def _limits(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the coordinates, which hold all of the final rows and nearly all of the earlier ones."""
    low, high = np.percentile(shown, [OUTSIDE, 100 - OUTSIDE], axis=(0, 1))
    low, high = np.minimum(low, shown[-1].min(axis=0)), np.maximum(high, shown[-1].max(axis=0))
    margin = MARGIN * np.where(high > low, high - low, 1.0)
    return low - margin, high + margin


def _highest(shown: np.ndarray, edges: np.ndarray) -> float:
    """The highest bar of the histograms of all times, and a little more."""
    counts = [np.histogram(rows, edges)[0] / np.diff(edges) for rows in shown]
    return (1 + MARGIN) * float(np.max(counts)) / shown.shape[1]
