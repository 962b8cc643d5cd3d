"""Figures of small made-up stores."""

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support import add_finished

from pointillist.metrics import METRICS, Baseline, Estimate
from pointillist.study.figures import DPI, MAX_ROWS, losses_figure, metrics_figure, rows_figure, write_figures
from pointillist.study.grid import Cell, Dataset
from pointillist.study.quantities import QUANTITIES, protocol
from pointillist.study.results import Results
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, ReferenceValue, Section, Spec, to_json
from pointillist.study.store import Store

N_COLUMNS = {"line": 1, "plane": 2, "space": 3, "wide": 64}
EPOCHS = 8
COLUMNS = tuple(Column(str(t), Settings(timesteps=t, epochs=EPOCHS)) for t in (10, 50, 200))
REFERENCE = (ReferenceValue("plane", "emd", "50", 31.5, 2),)
STEPS = Section("steps", "Number of timesteps", tuple(N_COLUMNS), ("timesteps",), COLUMNS, REFERENCE)


def draw_rows(d, n=60, seed=0):
    rows = np.random.default_rng(seed).uniform(-1, 1, (n, d)) * np.linspace(1, 0.3, d)
    return rows.astype(np.float32)


def result(rows, value=30.0, seed=0):
    losses = 1 / np.arange(1, EPOCHS + 1) + 0.3 + 0.01 * seed
    return losses.astype(np.float32), rows, {name: Estimate(value, 0.5, 20.0) for name in METRICS}


@pytest.fixture
def make(tmp_path):
    """Makes a study of all data sets; `rows` gives the generated rows of a cell, or None to leave it unfinished."""
    stores = []

    def build(rows=lambda d, timesteps: draw_rows(d, seed=timesteps), section=STEPS, seeds=1, n_real=60):
        store = Store(tmp_path / f"{len(stores)}.db")
        store.connection.execute("PRAGMA synchronous = OFF")
        stores.append(store)
        datasets = {name: Dataset(name, draw_rows(N_COLUMNS[name], n_real)) for name in section.datasets}
        store.set_fact("spec", to_json(Spec("study", "A study", seeds, (section,))))
        store.set_fact("fingerprints", {name: dataset.fingerprint for name, dataset in datasets.items()})
        for name, dataset in datasets.items():
            store.add_dataset(dataset)
            for column in section.columns:
                for metric in METRICS:
                    record = Baseline(29.0, 0.1, 10)
                    store.add_baselines(dataset.fingerprint, protocol(column.settings), {metric: record})
                generated = rows(N_COLUMNS[name], column.settings.timesteps)
                if generated is not None:
                    value = 30.0 if np.isfinite(generated).all() else np.nan
                    for seed in range(seeds):
                        cell = Cell(dataset.fingerprint, column.settings, seed)
                        add_finished(store, cell, *result(generated, value, seed))
        return Results(store)

    yield build
    for store in stores:
        store.close()


def rows_of(results, name):
    section = results.spec.sections[0]
    return rows_figure(results, section, name, results.rows(section))


def metrics_of(results):
    section = results.spec.sections[0]
    return metrics_figure(results, section, results.rows(section))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def all_text(figure):
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)}


def is_inside(figure):
    """Returns whether nothing is cut off at the edges of the figure."""
    figure.canvas.draw()
    box = figure.get_tightbbox()
    return (box.min >= 0).all() and (box.max <= figure.get_size_inches()).all()


def test_all_files_are_valid_pictures_of_sensible_size(make, tmp_path):
    folder = tmp_path / "a" / "figures"
    paths = write_figures(make(), folder)
    names = [f"steps_{name}_rows.png" for name in N_COLUMNS] + ["steps_losses.png", "steps_metrics.png"]
    assert [path.name for path in paths] == names
    assert sorted(folder.iterdir()) == sorted(paths)
    for path in paths:
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert all(200 < side < 2000 for side in picture.size), path.name
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_figures_of_many_settings_show_the_first_ones(make, tmp_path, monkeypatch):
    monkeypatch.setattr("pointillist.study.figures.MAX_SETTINGS", 2)
    results = make(section=replace(STEPS, datasets=("plane",)))
    cut = replace(STEPS, title=f"{STEPS.title} (the first 2 of 3 settings)", datasets=("plane",), columns=COLUMNS[:2])
    few = rows_figure(results, cut, "plane", results.rows(cut))
    few.savefig(tmp_path / "few.png", dpi=DPI)
    assert "plane: Number of timesteps (the first 2 of 3 settings)" in all_text(few)
    write_figures(results, tmp_path / "all")
    assert (tmp_path / "all" / "steps_plane_rows.png").read_bytes() == (tmp_path / "few.png").read_bytes()


def test_labels_with_an_underscore_have_a_place_in_the_legend(make):
    variants = tuple(replace(column, label=f"_{column.label}") for column in COLUMNS)
    section = replace(STEPS, datasets=("plane",), varied=(), columns=variants, reference=())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        figure = losses_figure(make(section=section), section)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [" _10", " _50", " _200"]


@pytest.mark.slow
def test_same_store_gives_same_bytes(make, tmp_path):
    results = make(section=replace(STEPS, datasets=("wide",)))
    first, second = (write_figures(results, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_failed_write_leaves_the_old_picture_and_nothing_else(make, tmp_path, monkeypatch):
    results = make(section=replace(STEPS, datasets=("plane",)))
    path = tmp_path / "figures" / "steps_plane_rows.png"
    path.parent.mkdir()
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_figures(results, path.parent)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["plane", "wide"])
def test_flat_panels_share_equal_axes_that_hold_all_real_rows(make, name):
    figure = rows_of(make(lambda d, t: 0.5 * draw_rows(d, seed=t)), name)
    assert len(figure.axes) == 1 + len(COLUMNS)
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    for axes in figure.axes:
        assert axes.get_aspect() == 1
        assert np.diff(axes.get_xlim()) == pytest.approx(np.diff(axes.get_ylim()))
    x, y = figure.axes[0].lines[0].get_data()
    assert len(x) == 60
    assert figure.axes[0].get_xlim()[0] < x.min() and x.max() < figure.axes[0].get_xlim()[1]
    assert figure.axes[0].get_ylim()[0] < y.min() and y.max() < figure.axes[0].get_ylim()[1]


def test_three_columns_share_cube_and_view(make):
    figure = rows_of(make(), "space")
    views = {(a.get_xlim(), a.get_ylim(), a.get_zlim(), a.elev, a.azim) for a in figure.axes}
    assert len(views) == 1
    ((*limits, _, _),) = views
    assert np.ptp(np.diff(limits)) == pytest.approx(0, abs=1e-12)


def test_one_column_is_a_histogram_of_fractions(make):
    figure = rows_of(make(lambda d, t: 0.5 * draw_rows(d, n=100, seed=t)), "line")
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    for axes in figure.axes:
        assert axes.patches[0].get_data().values.sum() == pytest.approx(1)


def test_many_columns_are_projected_on_the_real_rows_principal_axes(make):
    results = make()
    figure = rows_of(results, "wide")
    real = results.dataset("wide").rows.astype(np.float64)
    _, scales, directions = np.linalg.svd(real - real.mean(axis=0), full_matrices=False)
    generated = results.generated("wide", COLUMNS[0].settings) - real.mean(axis=0)
    for rows, axes in ((real - real.mean(axis=0), figure.axes[0]), (generated, figure.axes[1])):
        shown = np.stack(axes.lines[0].get_data(), axis=1)
        wanted = rows @ directions[:2].T
        kept = [np.abs(np.abs(wanted) - np.abs(row)).max(axis=1).min() < 1e-5 for row in shown]
        assert all(kept)
    fraction = scales[0] ** 2 / (scales**2).sum()
    assert figure.axes[-1].get_xlabel() == f"principal axis 1 ({fraction:.0%})"


@pytest.mark.parametrize("name", N_COLUMNS)
def test_rows_outside_are_counted_and_not_drawn(make, name):
    def rows(d, timesteps):
        generated = 0.5 * draw_rows(d, n=50, seed=timesteps)
        generated[:7] = 1e4
        return generated

    figure = rows_of(make(rows), name)
    assert not any("outside" in text for text in texts(figure.axes[0]))
    for axes in figure.axes[1:]:
        assert "7 of 50 rows outside" in texts(axes)
        if name != "line":
            line = axes.lines[0]
            assert len(line.get_data_3d()[0] if name == "space" else line.get_xdata()) == 43


@pytest.mark.parametrize("name", N_COLUMNS)
def test_rows_that_are_all_outside(make, name):
    figure = rows_of(make(lambda d, timesteps: draw_rows(d) + 9), name)
    assert all("60 of 60 rows outside" in texts(axes) for axes in figure.axes[1:])


@pytest.mark.parametrize("name", N_COLUMNS)
def test_unfinished_and_diverged_panels_are_marked(make, tmp_path, name):
    def rows(d, timesteps):
        generated = draw_rows(d, seed=timesteps)
        if timesteps == 50:
            generated[:3, 0] = [np.nan, np.inf, -np.inf]
        return None if timesteps == 10 else generated

    results = make(rows, replace(STEPS, datasets=(name,)))
    _, unfinished, diverged, finished = rows_of(results, name).axes
    assert texts(unfinished) == ["not finished"]
    assert texts(diverged) == ["diverged:\n3 of 60 rows\nare not finite"]
    assert not unfinished.lines and not diverged.lines
    assert "EMD 30.0 ± 0.5" in finished.get_title()
    assert "diverged" in all_text(metrics_of(results))


def test_empty_study_is_drawn(make, tmp_path):
    section = replace(STEPS, datasets=("plane", "space"))
    paths = write_figures(make(lambda d, timesteps: None, section), tmp_path / "figures")
    assert len(paths) == 4


def test_panels_show_a_limited_number_of_rows(make):
    section = replace(STEPS, datasets=("plane",), columns=COLUMNS[:1])
    figure = rows_of(make(lambda d, t: 0.5 * draw_rows(d, MAX_ROWS + 10), section, n_real=MAX_ROWS + 1), "plane")
    assert [len(axes.lines[0].get_xdata()) for axes in figure.axes] == [MAX_ROWS, MAX_ROWS]
    assert "5,000 of 5,001 rows" in figure.axes[0].get_title()


@pytest.mark.parametrize("name", N_COLUMNS)
def test_notes_stay_clear_of_titles_and_inside_the_figure(make, name):
    figure = rows_of(make(lambda d, t: 3 * draw_rows(d, seed=t)), name)
    assert is_inside(figure)
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    notes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    assert not any(title.overlaps(note) for title in titles for note in notes)


def test_nothing_of_losses_and_metrics_is_cut_off(make):
    columns = tuple(replace(column, label=f"a long label {column.label}") for column in COLUMNS)
    title = "A title which is much longer than the figure is wide, so that a smaller font has to make it fit"
    short = replace(STEPS, datasets=("plane", "wide"))
    for section in (short, replace(STEPS, title=title, datasets=("plane",), varied=(), columns=columns)):
        results = make(section=section)
        assert is_inside(losses_figure(results, section))
        assert is_inside(metrics_of(results))


def test_titles_name_what_is_varied():
    settings = Settings(timesteps=50, schedule="linear", beta_range=(1e-5, 0.2), learning_rate=1e-3)

    def title(*varied):
        return replace(STEPS, varied=varied).title_of(Column("fallback", settings))

    assert title("timesteps") == "T = 50"
    assert title("beta_range") == "beta 1e-5..0.2"
    assert title("schedule") == "linear"
    assert title("schedule", "learning_rate") == "linear, learning rate = 1e-3"
    assert title() == "fallback"


@pytest.mark.parametrize("seeds", [1, 3])
def test_losses_have_a_line_per_setting_and_a_band_over_seeds(make, seeds):
    results = make(seeds=seeds)
    figure = losses_figure(results, results.spec.sections[0])
    assert [axes.get_title() for axes in figure.axes] == list(N_COLUMNS)
    for axes in figure.axes:
        assert len(axes.lines) == len(COLUMNS)
        assert len(axes.collections) == (len(COLUMNS) if seeds > 1 else 0)
        mean = 1 / np.arange(1, EPOCHS + 1) + 0.3 + 0.01 * (seeds - 1) / 2
        np.testing.assert_allclose(axes.lines[0].get_ydata(), mean, rtol=1e-6)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["T = 10", "T = 50", "T = 200"]


@pytest.mark.parametrize(("factor", "scale"), [(9, "linear"), (11, "log")])
def test_losses_over_a_wide_range_have_a_logarithmic_axis(make, factor, scale):
    results = make(lambda d, t: None)
    losses = np.geomspace(factor, 1, EPOCHS).astype(np.float32)
    for column in COLUMNS:
        cell = Cell(results.fingerprints["plane"], column.settings, 0)
        _, rows, measures = result(draw_rows(2))
        add_finished(results.store, cell, losses, rows, measures)
    figure = losses_figure(results, STEPS)
    assert figure.axes[1].get_yscale() == scale


def test_losses_that_are_not_finite_are_left_out(make):
    results = make(lambda d, t: None)
    losses = np.array([3.0, 2.0, np.inf, np.nan, np.nan, np.nan, np.nan, np.nan], np.float32)
    for seed in range(2):
        cell = Cell(results.fingerprints["plane"], COLUMNS[0].settings, seed)
        _, rows, measures = result(draw_rows(2))
        add_finished(results.store, cell, losses, rows, measures)
    results.spec = replace(results.spec, seeds=2)
    figure = losses_figure(results, STEPS)
    figure.savefig(io.BytesIO(), format="png")
    assert texts(figure.axes[0]) == ["not finished"]


def test_metrics_panels_show_values_baseline_and_reported_numbers(make):
    results = make()
    figure = metrics_of(results)
    assert len(figure.axes) == len(N_COLUMNS) * len(METRICS)
    assert [axes.get_title() for axes in figure.axes[: len(METRICS)]] == [m.title for m in METRICS.values()]
    assert [axes.get_ylabel() for axes in figure.axes[:: len(METRICS)]] == list(N_COLUMNS)
    emd = figure.axes[len(METRICS)]
    assert emd.get_xscale() == "log"
    assert list(emd.get_xticks()) == [10, 50, 200]
    (errors,) = emd.containers[0].lines[2]
    assert np.ptp(errors.get_segments()[0][:, 1]) == pytest.approx(2 * 1.96 * 0.5)
    (diamonds,) = [line for line in emd.lines if line.get_marker() == "D"]
    np.testing.assert_array_equal(diamonds.get_ydata(), [np.nan, 31.5, np.nan])
    assert emd.patches[0].get_bbox().height == pytest.approx(2 * 1.96 * 0.1)
    wanted = {"reported", "data against data, ± 1.96 standard deviations"}
    assert wanted <= all_text(figure)
    assert any("± 1.96 standard errors (sampling only)" in text for text in all_text(figure))


def test_best_cells_are_filled(make):
    results = make(section=replace(STEPS, datasets=("plane",)))
    for column, value in zip(COLUMNS, (30.0, 30.1, 50.0), strict=True):
        cell = Cell(results.fingerprints["plane"], column.settings, 0)
        add_finished(results.store, cell, *result(draw_rows(2), value))
    emd = metrics_of(results).axes[0]
    filled, hollow = (line for line in emd.lines if line.get_marker() == "o")
    assert list(filled.get_xdata()) == [10, 50]
    assert list(hollow.get_xdata()) == [200]
    assert hollow.get_markerfacecolor() == "white"


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_unranked_cells_are_not_drawn_as_worse(make):
    columns = tuple(Column(str(n), Settings(emd_rows=n, epochs=EPOCHS)) for n in (10, 20))
    section = Section("steps", "A section", ("plane",), ("emd_rows",), columns)
    figure = metrics_of(make(section=section))
    marks = [[line.get_fillstyle() for line in axes.lines if line.get_marker() == "o"] for axes in figure.axes[:2]]
    assert marks == [["bottom"], ["full", "full"]]
    assert "measured, not ranked" in legend_of(figure)
    assert "measured, not ranked" not in legend_of(metrics_of(make()))


@pytest.mark.parametrize(
    ("settings", "baselines"),
    [
        ({}, ["data against data, ± 1.96 standard deviations", "held-out NLL: true density, ± 1.96 standard errors"]),
        (
            {"method": "guidance"},
            [
                "data against data, ± 1.96 standard deviations",
                "accuracy: classifier on the data, ± 1.96 standard errors",
            ],
        ),
        ({"method": "guidance", "classifier": "elbo"}, ["true class probabilities, ± 1.96 standard errors"]),
    ],
)
def test_the_legend_explains_each_baseline(tmp_path, settings, baselines):
    column = Column("it", Settings(**settings))
    section = Section("a", "A", ("blobs",), (), (column,))
    rows = draw_rows(2)
    dataset = Dataset("blobs", rows, (rows[:, 0] > 0).astype(np.int64))
    with Store(tmp_path / "study.db") as store:
        store.set_fact("spec", to_json(Spec("study", "A study", 1, (section,))))
        store.set_fact("fingerprints", {"blobs": dataset.fingerprint})
        store.add_dataset(dataset)
        for name in QUANTITIES[section.kind]:
            store.add_baselines(dataset.fingerprint, protocol(column.settings), {name: Baseline(1.0, 0.1, 1)})
        figure = metrics_of(Results(store))
    found = legend_of(figure)
    assert [text for text in found if "data" in text or "true" in text] == baselines
    assert is_inside(figure)


@pytest.mark.parametrize(
    ("varied", "values"),
    [
        (("schedule",), [{"schedule": "cosine"}, {"schedule": "sigmoid"}]),
        (("timesteps",), [{"timesteps": 10}, {"timesteps": 1000}, {"timesteps": 1001}]),
        (("timesteps",), [{"timesteps": 10}]),
        ((), [{}]),
    ],
)
def test_settings_without_a_numeric_scale_are_shown_side_by_side(make, varied, values):
    columns = tuple(Column(f"column {i}", Settings(epochs=EPOCHS, **value)) for i, value in enumerate(values))
    section = Section("steps", "A section", ("plane",), varied, columns)
    axes = metrics_of(make(section=section)).axes[0]
    assert axes.get_xscale() == "linear"
    assert list(axes.get_xticks()) == list(range(len(columns)))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [column.label for column in columns]


def test_baselines_may_differ_between_settings_or_be_missing(make):
    columns = tuple(Column(str(n), Settings(n_samples=n, epochs=EPOCHS)) for n in (50, 100))
    section = Section("steps", "A section", ("plane",), ("n_samples",), columns)
    results = make(section=section)
    record = Baseline(27.0, 0.1, 10)
    results.store.add_baselines(results.fingerprints["plane"], protocol(columns[1].settings), {"emd": record})
    axes = metrics_of(results).axes[0]
    assert any(list(line.get_ydata()) == [29, 27] for line in axes.lines)
    results.store.connection.execute("DELETE FROM baselines")
    assert "data against data" not in " ".join(all_text(metrics_of(Results(results.store))))


@pytest.mark.parametrize("text", [r"costs $5 and $\x", r"\$x$ $\frac{$", "$\\x$ \x1b[31m\n[/b]"])
def test_untrusted_text_is_not_read_as_a_formula(make, tmp_path, text):
    section = replace(STEPS, title=text, datasets=("plane",), varied=())
    results = make(section=section)
    section = replace(section, columns=tuple(replace(column, label=text) for column in COLUMNS))
    results.spec = replace(results.spec, sections=(section,))
    assert len(write_figures(results, tmp_path / "figures")) == 3
    assert not any(set("\x1b\n") & set(shown) for shown in all_text(losses_figure(results, section)))
