"""Plots of a model show the rows that `sample` draws, with the right positions and colors."""

import warnings

import jax
import numpy as np
import pandas
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from pointillist import Diffusion, load_pointset
from pointillist.models.training import Trained

X, Y = load_pointset("blobs", 200)
X = X * [10.0, 0.1] + [100.0, -5.0]
NAMES = np.array(["left", "right"])[Y]
WHOLE = np.random.default_rng(0).integers(0, 4, 200)
SPATIAL = pandas.DataFrame({"a": X[:, 0], "b$": X[:, 1], "c": WHOLE})
FEW = {"sampler": "ddim", "steps": 4}


def fitted(rows, labels=None):
    """Returns an untrained model: it can draw rows without training."""

    def untrained(plan, **_):
        network = jax.device_get(plan.process.architecture.build(jax.random.key(0), plan.codec.width))
        return Trained(network, np.ones(1, np.float32), np.empty(0, np.float32), 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pointillist.models.fitting.train", untrained)
        return Diffusion(timesteps=8, network="mlp", width=8, depth=1, process="gaussian", random_state=0).fit(
            rows, labels
        )


@pytest.fixture(scope="module")
def model():
    return fitted(X, NAMES)


@pytest.fixture(scope="module")
def spatial():
    return fitted(SPATIAL)


@pytest.fixture(scope="module")
def line():
    return fitted(WHOLE[:, None], NAMES)


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def offsets(collection):
    return np.stack([np.asarray(c, float) for c in collection._offsets3d], axis=1)


def test_rows_are_dots_over_the_data(model):
    ax = model.plot(X, random_state=3, **FEW)
    data, rows = ax.collections
    np.testing.assert_array_equal(data.get_offsets(), X)
    expected, labels = model.sample(len(X), return_labels=True, random_state=3, **FEW)
    np.testing.assert_array_equal(rows.get_offsets(), expected)
    colors = {name: tuple(c[:3]) for name, c in zip(labels, rows.get_facecolors(), strict=True)}
    assert len(set(colors.values())) == 2
    assert [tuple(c[:3]) for c in rows.get_facecolors()] == [colors[label] for label in labels]
    named = {text.get_text(): line.get_color() for text, line in zip(*legend_of(ax), strict=True)}
    assert list(named) == ["data", "left", "right"]
    assert {name: to_rgba(named[name])[:3] for name in colors} == colors
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column 0", "column 1")


def legend_of(ax):
    return ax.get_legend().get_texts(), ax.get_legend().legend_handles


def test_the_callers_axes_and_options_are_used(model):
    first, second = pyplot.subplots(1, 2)[1]
    options = {"labels": ["left", "right", "left"], "random_state": 0, **FEW}
    assert model.plot(ax=second, **options) is second and not first.collections and pyplot.get_fignums() == [1]
    (rows,) = second.collections
    np.testing.assert_array_equal(rows.get_offsets(), model.sample(**options))
    guided = {"prior": np.eye(2), "labels": "left", "guidance": 1.0, **FEW}
    (rows,) = model.plot(**guided).collections
    np.testing.assert_array_equal(rows.get_offsets(), model.sample(**guided))


def test_a_sample_of_large_data_is_shown(model, monkeypatch):
    monkeypatch.setattr("pointillist.estimators.plotting.MOST_DATA", 50)
    data, rows = model.plot(X, n_samples=7, **FEW).collections
    assert len(data.get_offsets()) == 50 and len(rows.get_offsets()) == 7
    np.testing.assert_array_equal(data.get_offsets()[[0, -1]], X[[0, -1]])


def test_three_columns_are_drawn_in_three_dimensions(spatial):
    ax = spatial.plot(SPATIAL, n_samples=20, random_state=0, **FEW)
    assert ax.name == "3d" and (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()) == ("a", r"b\$", "c")
    np.testing.assert_array_equal(offsets(ax.collections[0]), SPATIAL)
    np.testing.assert_array_equal(offsets(ax.collections[1]), spatial.sample(20, random_state=0, **FEW))
    assert [text.get_text() for text in legend_of(ax)[0]] == ["data", "rows"]
    axes = pyplot.figure().add_subplot(projection="3d")
    assert spatial.plot(ax=axes, n_samples=2, **FEW) is axes and axes.get_legend() is None


def test_one_column_is_a_histogram(line):
    ax = line.plot(WHOLE[:, None], n_samples=90, random_state=0, **FEW)
    # Matplotlib draws the last class first.
    right, left, data = (patch.get_xy() for patch in ax.patches)
    rows, labels = line.sample(90, return_labels=True, random_state=0, **FEW)
    edges = np.repeat(np.arange(5) - 0.5, 2)
    np.testing.assert_array_equal(data[:10, 0], edges)
    np.testing.assert_allclose(data[1:9:2, 1], np.bincount(WHOLE) / 200)
    left_share = np.bincount(rows[labels == "left", 0].astype(int), minlength=4) / 90
    np.testing.assert_allclose(left[1:9:2, 1], left_share)
    np.testing.assert_allclose(right[1:9:2, 1], np.bincount(rows[:, 0].astype(int), minlength=4) / 90)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column 0", "density")


def test_more_columns_are_drawn_on_two_principal_axes():
    rng = np.random.default_rng(0)
    data = np.column_stack([X, X @ rng.normal(size=(2, 2)) + rng.normal(size=(200, 2)), np.full(200, 7.0)])
    wide = fitted(data)
    ax = wide.plot(data, random_state=0, **FEW)
    scaled = (data - data.mean(0)) / np.where(data.std(0) > 0, data.std(0), 1.0)
    expected = PCA(2).fit(scaled)
    shown = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(np.abs(shown), np.abs(expected.transform(scaled)), atol=1e-6)
    fraction = expected.explained_variance_ratio_
    assert ax.get_xlabel() == f"principal axis 1 of the data ({fraction[0]:.0%})"
    assert ax.get_ylabel() == f"principal axis 2 of the data ({fraction[1]:.0%})"
    rows = wide.sample(200, random_state=0, **FEW)
    moved = (rows - data.mean(0)) / np.where(data.std(0) > 0, data.std(0), 1.0)
    np.testing.assert_allclose(np.abs(ax.collections[1].get_offsets()), np.abs(expected.transform(moved)), atol=1e-6)
    assert "of the rows" in wide.plot(n_samples=9, **FEW).get_xlabel()
    with pytest.raises(ValueError, match="a plot of 5 columns shows principal axes, and one row has none"):
        wide.plot(n_samples=1, **FEW)


def test_markup_in_names_is_escaped():
    frame = pandas.DataFrame({"a\x1b[2J\n": X[:, 0], "$b": X[:, 1]})
    model = fitted(frame, np.where(NAMES == "left", "_left", "$right\x1b"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ax = model.plot(n_samples=9, **FEW)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"a\x1b[2J\n", r"\$b")
    assert [text.get_text() for text in legend_of(ax)[0]][-2:] == [r"\$right\x1b", " _left"]


def test_many_classes_have_colors_and_no_legend():
    many = fitted(X, np.arange(200) % 25)
    ax = many.plot(labels=np.arange(25), **FEW)
    assert ax.get_legend() is None and len(np.unique(ax.collections[0].get_facecolors(), axis=0)) == 25


def test_arguments_of_plots_that_are_refused(model, spatial):
    flat, space = pyplot.subplots()[1], pyplot.figure().add_subplot(projection="3d")
    for options, message in (
        ({"n_samples": 0}, "n_samples must be an integer of at least 1, not 0"),
        ({"labels": []}, "there are no rows to show"),
        ({"labels": "up"}, "unknown label 'up'"),
        ({"ax": space}, "this plot needs axes in two dimensions"),
        ({"ax": [flat]}, "ax must be Matplotlib axes, not list"),
    ):
        with pytest.raises(ValueError, match=message):
            model.plot(**options)
    with pytest.raises(TypeError, match=r"^Diffusion.sample has no parameter 'colour'"):
        model.plot(colour="red")
    with pytest.raises(ValueError, match="this plot needs axes in three dimensions"):
        spatial.plot(ax=flat, n_samples=2)
    with pytest.raises(ValueError, match="3 features"):
        model.plot(np.zeros((4, 3)))
    with pytest.raises(NotFittedError):
        Diffusion().plot()
