"""Masses and densities of cells within their columns' codes."""

import numpy as np
import pytest
from scipy.stats import norm

from pointillist.points.cell_density import has_masses, measured
from pointillist.points.column_code import ColumnCode
from pointillist.points.mixed import Cells

RNG = np.random.default_rng(0)


def numbers(values):
    return Cells(np.asarray(values, float), np.isnan(np.asarray(values, float)))


def fitted(values, share=1.0):
    return ColumnCode.fit("x", numbers(values), share=share)


def at(code, values, place=0.5):
    cells = numbers(values)
    return measured(code, Cells(np.nan_to_num(cells.values), cells.is_missing), np.full(len(values), place))


def between(code):
    """A number between every two knots, and beyond the ends, and the length that it stands for."""
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


def test_a_continuous_number_has_the_slope_of_its_score_and_beyond_the_ends_too():
    code = fitted(RNG.normal(3, 2, 500))
    x, length = between(code)
    own = at(code, x)
    assert not has_masses(code)
    density = np.exp(own.log_factors + norm.logpdf(own.scores))
    assert density @ length == pytest.approx(1, abs=2e-3)
    inside = at(code, code.scores.points[5:9])
    assert np.allclose(inside.scores, code.encode(numbers(code.scores.points[5:9]))[1], atol=1e-9)


def test_two_close_values_at_an_end_do_not_decide_what_is_beyond_it():
    code = fitted(np.append(RNG.normal(size=300), [4.0, 4.0 + 1e-9]))
    scores = at(code, np.array([4.0, 4.2, 5.0])).scores
    assert 0 < scores[1] - scores[0] < 0.5 and scores[2] < 6


def test_numbers_in_intervals_have_a_density_that_integrates_to_one_in_each():
    code = fitted(RNG.normal(size=2000), share=0.0)
    assert code.has_intervals
    x, length = between(code)
    own = at(code, x)
    total = 0.0
    for token in range(code.n_intervals):
        there = own.tokens == token
        share = np.exp(own.log_factors[there]) @ length[there]
        # A knot's neighbors may lie in two intervals.
        assert share == pytest.approx(1, abs=0.05)
        total += share * np.diff(code.scores.edges)[token]
    assert total == pytest.approx(1, abs=2e-3)


def test_values_of_a_discrete_column_have_the_mass_of_their_scores():
    values = np.round(RNG.normal(size=4000), 1)
    code = fitted(values)
    assert has_masses(code)
    known = code.scores.points
    # Under the normal distribution of the scores, of which a value's mass is the mean over its places.
    mass = np.mean(
        [np.exp(own.log_factors + norm.logpdf(own.scores)) for own in (at(code, known, u) for u in (0.2, 0.8))], axis=0
    )
    assert mass == pytest.approx(np.diff(code.scores.levels), rel=1e-6)
    assert at(code, [0.05]).log_factors == -np.inf


def test_what_no_training_row_had_has_no_mass():
    few = fitted(RNG.choice([1.0, 2.0, 5.0], 200))
    assert at(few, [2.0, 3.0, np.nan]).log_factors.tolist() == [0, -np.inf, -np.inf]
    some = fitted(np.where(RNG.random(200) < 0.2, np.nan, RNG.choice([1.0, 2.0, 5.0], 200)))
    own = at(some, [2.0, np.nan])
    assert own.log_factors.tolist() == [0, 0] and own.tokens[1] == some.n_values
    words = Cells(np.array([0, 1, 2]), np.zeros(3, bool), ("b", "a", "new"))
    code = ColumnCode.fit("x", Cells(np.array([0, 1]), np.zeros(2, bool), ("a", "b")))
    own = measured(code, words, np.full(3, 0.5))
    assert own.tokens[:2].tolist() == [1, 0] and own.log_factors.tolist() == [0, 0, -np.inf]
