"""Checks the masses and densities that encoders give to cells."""

import numpy as np
import pytest
from scipy.stats import norm

from pointillist.columns.kinds import encoder_from_json, fit_encoder
from pointillist.tables.calendar_dates import dates_before
from pointillist.tables.table import Column

RNG = np.random.default_rng(0)


def numbers(values):
    return Column(np.asarray(values, float), np.isnan(np.asarray(values, float)))


def fitted(values, fraction=1.0):
    return fit_encoder("x", numbers(values), explained=fraction)


def at(code, values, position=0.5):
    cells = numbers(values)
    return code.volume(Column(np.nan_to_num(cells.values), cells.is_missing), np.full(len(values), position))


def between(code):
    """Returns midpoints between the knots and beyond the ends, with the length of each interval."""
    points = code.scores.points
    reach = 4 * (points[-1] - points[0])
    ends = np.concatenate(
        [
            np.linspace(points[0] - reach, points[0], 2001)[:-1],
            points,
            np.linspace(points[-1], points[-1] + reach, 2001)[1:],
        ]
    )
    return (ends[1:] + ends[:-1]) / 2, np.diff(ends)


def test_the_density_of_a_continuous_column_integrates_to_one():
    code = fitted(RNG.normal(3, 2, 500))
    x, length = between(code)
    volume = at(code, x)
    assert not code.has_wide_cells
    density = np.exp(volume.log_factors + norm.logpdf(volume.numbers[:, 0]))
    assert density @ length == pytest.approx(1, abs=2e-3)
    inside = at(code, code.scores.points[5:9])
    assert np.allclose(inside.numbers, code.encode(numbers(code.scores.points[5:9]))[1], atol=1e-9)


def test_two_close_values_at_an_end_do_not_fix_the_slope_beyond_it():
    code = fitted(np.append(RNG.normal(size=300), [4.0, 4.0 + 1e-9]))
    scores = at(code, np.array([4.0, 4.2, 5.0])).numbers[:, 0]
    assert 0 < scores[1] - scores[0] < 0.5 and scores[2] < 6


def test_the_density_integrates_to_one_in_each_interval():
    code = fitted(RNG.normal(size=2000), fraction=0.0)
    assert code.has_intervals
    x, length = between(code)
    volume = at(code, x)
    total = 0.0
    for token in range(code.n_intervals):
        there = volume.tokens == token
        fraction = np.exp(volume.log_factors[there]) @ length[there]
        # A knot's neighbors may lie in two intervals.
        assert fraction == pytest.approx(1, abs=0.05)
        total += fraction * np.diff(code.scores.edges)[token]
    assert total == pytest.approx(1, abs=2e-3)


def test_values_of_a_discrete_column_have_the_mass_of_their_scores():
    values = np.round(RNG.normal(size=4000), 1)
    code = fitted(values)
    assert code.has_wide_cells
    known = code.scores.points
    # The mass of a value under N(0, 1) is the mean over positions in its cell.
    volumes = [at(code, known, position) for position in (0.2, 0.8)]
    mass = np.mean([np.exp(each.log_factors + norm.logpdf(each.numbers[:, 0])) for each in volumes], axis=0)
    # A value between two observed neighbors on the grid of 0.1 shares no mass.
    is_inner = np.append(np.diff(known) < 0.15, False) & np.append(False, np.diff(known) < 0.15)
    assert 0.1 * mass[is_inner] == pytest.approx(np.diff(code.scores.levels)[is_inner], rel=1e-6)


def rounded(kind, n):
    """Returns numbers on a grid, the unit of the grid, and whether they are dates (days in microseconds)."""
    rng = np.random.default_rng(n)
    if kind == "date":
        return np.round(rng.gamma(3, 60, n)) * 86400e6, 86400e6, True
    if kind == "date as integer":
        days = np.datetime64("2022-06-01") + np.round(rng.gamma(3, 60, n)).astype(int)
        return np.array([int(str(day).replace("-", "")) for day in days], float), 1.0, False
    if kind == "integer":
        return rng.negative_binomial(2, 0.05, n).astype(float), 1.0, False
    if kind == "with zeros":
        return np.where(rng.random(n) < 0.5, 0, np.round(np.exp(2 * rng.normal(size=n) + 3))), 1.0, False
    decimals = int(kind[0])
    return np.round(3 * rng.normal(size=n), decimals), 10.0**-decimals, False


@pytest.mark.parametrize("fraction", [0.0, 1.0])
@pytest.mark.parametrize("n", [100, 300, 2000, 20_000])
@pytest.mark.parametrize("kind", ["integer", "date", "date as integer", "1 decimal", "2 decimals", "with zeros"])
def test_the_cells_of_a_grid_sum_to_one_whether_values_repeat_or_not(kind, n, fraction):
    values, unit, is_date = rounded(kind, n)
    cells = Column(values, np.zeros(n, bool), None, is_date)
    code = fit_encoder("x", cells, explained=fraction)
    low, high = np.round(values.min() / unit), np.round(values.max() / unit)
    grid = np.round(np.arange(2 * low - high, 2 * high - low + 1) * unit, 2)
    if code.grid.is_calendar:
        grid = grid[dates_before(grid) == grid]
    # Tokens have the probabilities of the training rows, and scores are N(0, 1).
    tokens = code.encode(cells, np.random.default_rng(0).random(n))[0].astype(int)
    fractions = np.bincount(tokens, minlength=code.n_values) / n
    density = np.zeros(len(grid))
    positions = (np.arange(8) + 0.5) / 8 if code.has_wide_cells else [0.5]
    for position in positions:
        volume = code.volume(Column(grid, np.zeros(len(grid), bool)), np.full(len(grid), position))
        has_score = (volume.tokens >= len(code.atoms)) & (code.scores is not None and not code.has_intervals)
        normal = np.where(has_score, norm.pdf(volume.numbers[:, 0]) if code.has_number else 1.0, 1.0)
        density += fractions[volume.tokens.astype(int)] * np.exp(volume.log_factors) * normal / len(positions)
        assert np.isfinite(volume.log_factors).all()
    # Single values may have some mass on nearby numbers.
    assert density.sum() * (1 if is_date else unit) == pytest.approx(1, abs=0.01)
    inside = density[(grid >= values.min()) & (grid <= values.max())]
    assert (inside > 0).all() and inside.sum() / density.sum() > 1 - 2 / n


def test_a_new_value_takes_mass_from_the_nearest_observed_one():
    code = fitted(np.repeat([1.0, 2.0, 5.0], [100, 60, 39]))
    volume = at(code, [1, 2, 3, 4, 5, 2.4])
    kept = [1 - 0.5 / 101, 1 - 0.5 / 61, 0.5 / 61, 0.5 / 40, 1 - 1 / 40, 1 - 0.5 / 61]
    assert volume.tokens.tolist() == [0, 1, 1, 2, 2, 1] and np.exp(volume.log_factors) == pytest.approx(kept)
    # Beyond the ends, half of the remaining mass lies within one range (here 4) and half further out.
    beyond = np.exp(at(code, np.arange(6.0, 10.0)).log_factors)
    assert beyond.sum() == pytest.approx(0.5 * 0.5 / 40) and (np.diff(beyond) < 0).all()
    assert np.isfinite(at(code, [-1e300, 1e300]).log_factors).all()


def test_numbers_without_decimals_have_the_grid_of_their_smallest_distance():
    values = RNG.negative_binomial(2, 0.05, 2000)
    code, scaled = fitted(values), fitted(values / 7)
    assert scaled.grid.decimals is None
    asked = np.arange(-30, 2 * values.max())
    assert at(scaled, asked / 7).log_factors - at(code, asked).log_factors == pytest.approx(np.log(7), abs=1e-6)


@pytest.mark.parametrize("n", [300, 3000])
def test_a_unit_ten_times_smaller_has_ten_times_the_density(n):
    values = np.round(RNG.normal(size=n), 1)
    one, other = (at(fitted(each), each[:50]).log_factors for each in (values, np.round(10 * values)))
    assert one - other == pytest.approx(np.log(10), abs=1e-6)


def test_impossible_values_have_no_mass():
    some = fitted(np.where(RNG.random(200) < 0.2, np.nan, RNG.choice([1.0, 2.0, 3.0], 200)))
    volume = at(some, [2.0, np.nan])
    assert volume.log_factors.tolist() == [0, 0] and volume.tokens[1] == some.n_values
    assert at(fitted(RNG.choice([1.0, 2.0, 3.0], 200)), [np.nan]).log_factors == -np.inf
    labels = fit_encoder("x", numbers(RNG.choice([1.0, 2.0, 5.0], 200)), is_category=True)
    assert at(labels, [2.0, 3.0]).log_factors.tolist() == [0, -np.inf]


def test_the_rarest_category_shares_its_mass_with_new_ones():
    words = Column(np.array([0, 1, 2]), np.zeros(3, bool), ("b", "a", "new"))
    code = fit_encoder("x", Column(np.array([0, 1, 1]), np.zeros(3, bool), ("a", "b")))
    volume = code.volume(words, np.full(3, 0.5))
    assert volume.tokens.tolist() == [1, 0, 0] and np.exp(volume.log_factors) == pytest.approx([1, 0.5, 0.5])


def test_a_saved_encoder_has_the_same_densities_and_damaged_counts_are_refused():
    code = fitted(RNG.negative_binomial(2, 0.05, 2000))
    again = encoder_from_json(code.to_json(), code.arrays)
    asked = np.arange(-50.0, 300.0)
    assert np.array_equal(at(again, asked).log_factors, at(code, asked).log_factors)
    for counts in (code.counts[1:], 0 * code.counts, code.counts * np.nan):
        with pytest.raises(ValueError, match="counts of 'x' do not fit its values"):
            encoder_from_json(code.to_json(), [counts, *code.arrays[1:]])
