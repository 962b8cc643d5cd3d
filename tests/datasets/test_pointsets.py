import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits, make_circles, make_moons

from pointillist import load_pointset
from pointillist.datasets.pointsets import POINTSETS, true_class_probabilities, true_log_density


def scaled(rows):
    return 2 * (rows - rows.min(0)) / (rows.max(0) - rows.min(0)) - 1


@pytest.mark.parametrize("name", POINTSETS)
def test_canonical_draw_contract(name):
    pointset = POINTSETS[name]
    X, y = load_pointset(name)
    assert X.shape == (pointset.n_rows, pointset.n_columns)
    assert X.dtype == np.float32
    assert y.shape == (pointset.n_rows,) and y.dtype == np.int64
    assert set(y) == set(range(y.max() + 1))
    varies = np.ptp(X, axis=0) > 0
    if pointset.bounds is None:
        np.testing.assert_array_equal(X[:, varies].min(0), -1)
        np.testing.assert_array_equal(X[:, varies].max(0), 1)
    np.testing.assert_array_equal(X[:, ~varies], 0)
    again, y_again = load_pointset(name)
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(y, y_again)


PUBLISHED = {
    "blobs": [[-0.11891929, 0.00406744], [1.01889227, 1.02566315]],
    "manycircles": [[-1.90880006, -1.92209132], [1.84434573, 1.98558275]],
    "helix": [[-1.09179386, -1.11152191, -2.06045209], [1.1011553, 1.09112796, -0.91758362]],
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("draw", [{}, {"n_rows": 500, "random_state": 7}])
def test_scale_is_the_range_of_the_published_draws(name, draw):
    low, high = np.array(PUBLISHED[name])
    X, y = load_pointset(name, **draw)
    rows = (X.astype(np.float64) + 1) / 2 * (high - low) + low
    if draw:
        expected, labels = POINTSETS[name].draw(500, 7)
        np.testing.assert_allclose(rows, expected, atol=1e-6)
        np.testing.assert_array_equal(y, labels)
    # Nearly all rows lie within the range, and some are close to each end.
    assert (np.abs(X) > 1).any(1).mean() < 0.005 and (np.abs(X).max(0) > 0.75).all()


def test_canonical_blobs_have_the_published_fractions():
    X, y = load_pointset("blobs")
    low, high = np.array(PUBLISHED["blobs"])
    rows = (X + 1) / 2 * (high - low) + low
    near = np.linalg.norm(rows - [0.2, 0.3], axis=1) < np.linalg.norm(rows - [0.8, 0.8], axis=1)
    assert (y == 1).sum() == 1567
    assert abs(((y == 1) & near).sum() - 315) <= 2  # one or two rows of a class may be nearer to the other class


def test_moons_and_circles_equal_the_rows_of_scikit_learn():
    for name, (rows, labels) in {
        "moons": make_moons(8000, noise=0.04, random_state=42),
        "circles": make_circles(8000, noise=0.04, factor=0.7, random_state=42),
    }.items():
        X, y = load_pointset(name)
        np.testing.assert_allclose(X, scaled(rows), atol=2e-7)
        np.testing.assert_array_equal(y, labels)


def test_digits_equals_the_table_of_scikit_learn():
    rows, labels = load_digits(return_X_y=True)
    X, y = load_pointset("digits")
    np.testing.assert_array_equal(y, labels)
    varies = np.ptp(rows, axis=0) > 0
    np.testing.assert_allclose(X[:, varies], scaled(rows[:, varies]), atol=2e-7)


def independent_blobs(n, rng):
    y = rng.choice(2, n, p=[0.8, 0.2])
    first = rng.choice(2, n, p=[0.8, 0.2]) == 1
    near = rng.multivariate_normal([0.2, 0.3], [[0.01, 0.004], [0.004, 0.01]], n)
    far = rng.multivariate_normal([0.8, 0.8], [[0.005, -0.004], [-0.004, 0.005]], n)
    bulk = rng.multivariate_normal([0.3, 0.4], [[0.005, 0], [0, 0.005]], n)
    return np.where((y == 0)[:, None], bulk, np.where(first[:, None], near, far)), y


def independent_manycircles(n, rng):
    y = rng.choice(8, n)
    points = np.exp(2j * np.pi * y / 8) + rng.normal(0, 0.25, n) + 1j * rng.normal(0, 0.25, n)
    return np.stack([points.real, points.imag], 1), y


def independent_helix(n, rng):
    z = -1 - rng.random(n)
    x = np.stack([np.cos(14 * z), np.sin(14 * z), z], 1) + rng.normal(0, 0.03, (n, 3))
    return x, rng.binomial(1, (np.sin(4 * x[:, 0] * x[:, 1] * x[:, 2]) + 1) / 2)


def independent_checkerboard(n, rng):
    # Rejection sampling of the squares of one color.
    points = rng.uniform(-4, 4, (8 * n, 2))
    cells = np.floor(points / 2).astype(int)
    dark = points[(cells.sum(1) % 2 == 0)][:n]
    return dark, np.floor(dark[:, 0] / 2).astype(int) + 2


def independent_two_spirals(n, rng):
    y = rng.choice(2, n)
    t = 3 * np.pi * rng.beta(2, 1, n)
    arm = -t * np.exp(-1j * t) + (rng.uniform(0, 0.5, n) + 1j * rng.uniform(0, 0.5, n))
    points = (-1.0) ** y * arm / 3 + rng.normal(0, 0.1, n) + 1j * rng.normal(0, 0.1, n)
    return np.stack([points.real, points.imag], 1), y


def independent_pinwheel(n, rng):
    y = rng.choice(5, n)
    blade = rng.normal(1, 0.3, n) + 1j * rng.normal(0, 0.1, n)
    points = 2 * blade * np.exp(1j * (2 * np.pi * y / 5 + 0.25 * np.exp(blade.real)))
    return np.stack([points.real, points.imag], 1), y


def independent_swiss_roll(n, rng):
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    points = t * np.exp(1j * t) + rng.normal(size=n) + 1j * rng.normal(size=n)
    return np.stack([points.real, points.imag], 1) / 5, (t > 3 * np.pi).astype(int)


def independent_eight_gaussians(n, rng):
    y = rng.choice(8, n)
    points = (4 * np.exp(1j * np.pi * y / 4) + rng.normal(0, 0.5, n) + 1j * rng.normal(0, 0.5, n)) / 2**0.5
    return np.stack([points.real, points.imag], 1), y


INDEPENDENT = {
    "blobs": independent_blobs,
    "manycircles": independent_manycircles,
    "helix": independent_helix,
    "checkerboard": independent_checkerboard,
    "two_spirals": independent_two_spirals,
    "pinwheel": independent_pinwheel,
    "swiss_roll": independent_swiss_roll,
    "eight_gaussians": independent_eight_gaussians,
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_distribution_equals_an_independent_construction(name):
    """Moments within 4 standard errors, columns by Kolmogorov-Smirnov, labels by chi-square."""
    pointset = POINTSETS[name]
    rows, labels = pointset.draw(20_000, 7)
    other, other_labels = INDEPENDENT[name](20_000, np.random.default_rng(8))
    for power in (1, 2):
        a, b = rows**power, other**power
        se = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        assert (np.abs(a.mean(0) - b.mean(0)) < 4 * se).all()
    for label in np.unique(labels):
        mine, theirs = rows[labels == label], other[other_labels == label]
        for column in range(rows.shape[1]):
            assert stats.ks_2samp(mine[:, column], theirs[:, column]).pvalue > 1e-3
        products = mine[:, 0] * mine[:, 1], theirs[:, 0] * theirs[:, 1]
        assert stats.ks_2samp(*products).pvalue > 1e-3
    counts = np.stack([np.bincount(labels), np.bincount(other_labels)])
    assert stats.chi2_contingency(counts).pvalue > 1e-3


@pytest.mark.parametrize("name", ["blobs", "manycircles"])
def test_true_log_density_agrees_with_the_distribution(name):
    rows = load_pointset(name, 5000, random_state=3)[0]
    found = true_log_density(name, rows)
    axis = np.linspace(-1.6, 1.6, 401)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2).astype(np.float32)
    on_grid = true_log_density(name, grid)
    density = np.exp(on_grid) * (3.2 / 400) ** 2
    assert density.sum() == pytest.approx(1.0, abs=2e-3)
    # The mean over rows of the set estimates the mean under the density.
    expected = (density * on_grid).sum()
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(5000) + 1e-2
    assert true_log_density("moons", rows) is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_true_values_of_a_row_do_not_depend_on_other_rows(name):
    rows = load_pointset(name, 20, random_state=3)[0]
    for function in (true_class_probabilities, true_log_density):
        all_values, one_value = function(name, rows), function(name, rows[:1])
        assert all_values is one_value is None or np.array_equal(one_value, all_values[:1])


@pytest.mark.parametrize("name", [name for name, pointset in POINTSETS.items() if pointset.is_generated])
def test_other_seeds_give_fresh_rows_on_the_canonical_scale(name):
    X, _ = load_pointset(name)
    fresh, _ = load_pointset(name, n_rows=5000, random_state=7)
    assert fresh.shape == (5000, X.shape[1])
    assert not set(map(tuple, X.tolist())) & set(map(tuple, fresh.tolist()))
    # Scaled by the range of the new rows, every column would span exactly [-1, 1].
    assert not np.allclose(np.ptp(fresh, axis=0), 2, atol=1e-4)
    for column in range(X.shape[1]):
        assert stats.ks_2samp(X[:, column], fresh[:, column]).pvalue > 1e-3


def test_digits_gives_subsets_and_refuses_more_rows_than_it_has():
    X, _ = load_pointset("digits")
    part, _ = load_pointset("digits", n_rows=100, random_state=1)
    assert {tuple(row) for row in part.tolist()} <= {tuple(row) for row in X.tolist()}
    with pytest.raises(ValueError, match="fixed table of 1797 rows"):
        load_pointset("digits", n_rows=1798)


def test_errors_name_the_argument_and_its_choices():
    with pytest.raises(ValueError, match=r"unknown point set 'moon': choose one of moons, circles"):
        load_pointset("moon")
    with pytest.raises(ValueError, match="n_rows must be at least 2, not 1"):
        load_pointset("moons", n_rows=1)
