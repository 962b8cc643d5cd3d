import numpy as np
import pytest
from scipy import stats

from pointillist.metrics import Estimate
from pointillist.study.comparisons import Summary, best, excess, p_value_greater, reach_baseline, summarize


def summary_of(*lists, **options):
    """The summary of values, standard errors and degrees of freedom."""
    return summarize(list(map(Estimate, *lists)), **options)


def test_three_seeds_give_the_deviation_between_seeds():
    values = [1.0, 2.0, 4.0]
    summary = summary_of(values, [0.1] * 3, [4] * 3)
    assert summary.value == pytest.approx(7 / 3)
    assert summary.standard_error == pytest.approx(stats.sem(values)) and summary.degrees_of_freedom == 2


@pytest.mark.parametrize("n", [2, 3])
def test_seeds_of_one_value_are_one_measurement(n):
    summary = summary_of([0.8705] * n, [0.007] * n, [np.inf] * n)
    assert (summary.value, summary.standard_error) == pytest.approx((0.8705, 0.007))
    assert summary.degrees_of_freedom == np.inf


def test_fewer_seeds_combine_the_drawing_errors():
    assert summary_of([3.0], [0.5], [4]) == Summary(3.0, 0.5, 4.0, 1, 0.5)
    two = summary_of([3.0, 5.0], [0.3, 0.4], [4, 4])
    assert (two.value, two.standard_error) == (4.0, pytest.approx(0.25))
    # Welch and Satterthwaite: (.09 + .16)² / (.09²/4 + .16²/4)
    assert two.degrees_of_freedom == pytest.approx(0.25**2 / ((0.09**2 + 0.16**2) / 4))


def test_two_seeds_on_the_same_held_out_rows_have_the_error_of_one():
    two = summary_of([3.0, 5.0], [0.3, 0.4], [np.inf, np.inf], on_same_rows=True)
    assert (two.value, two.standard_error) == (4.0, pytest.approx(np.sqrt((0.09 + 0.16) / 2)))
    three = [3.0, 5.0, 4.0], [0.3] * 3, [np.inf] * 3
    assert summary_of(*three, on_same_rows=True) == summary_of(*three)


def test_p_value_is_welchs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 1, 9), rng.normal(0, 3, 5)
    summaries = [Summary(x.mean(), stats.sem(x), len(x) - 1, len(x)) for x in (a, b)]
    expected = stats.ttest_ind(a, b, equal_var=False, alternative="greater").pvalue
    assert p_value_greater(*summaries) == pytest.approx(expected)


def cell(value, error=1.0, freedom=np.inf):
    return Summary(value, error, freedom, 1)


def test_best_are_all_cells_that_no_test_distinguishes_from_the_lowest():
    assert best([cell(10), cell(11), cell(30)]) == [True, True, False]
    assert best([cell(10), cell(13, freedom=1)]) == [True, True]
    assert best([cell(10), cell(13)]) == [True, False]
    assert best([None, cell(10), cell(np.nan)]) == [False, True, False]
    assert best([None]) == [False]
    assert best([cell(2, error=0), cell(1, error=0), cell(1, error=0)]) == [False, True, True]


def test_best_is_closest_to_a_target():
    assert best([cell(0.0, 0.1), cell(1.0, 0.1), cell(2.0, 0.1)], [1.05] * 3) == [False, True, False]
    assert best([cell(0.0, 0.1), cell(1.0, 0.1), cell(2.0, 0.1)], [0.0, 2.0, 3.0]) == [True, False, False]


def test_best_is_highest_on_request():
    assert best([cell(0.0, 0.1), cell(1.0, 0.1), None], highest=True) == [False, True, False]


@pytest.mark.slow
def test_holm_keeps_the_level_over_a_row_of_equal_cells():
    """In rows of six equal cells, at most about 5 % may have a cell that is called worse than a fixed one."""
    rng = np.random.default_rng(1)
    n = 2000
    false = 0
    for _ in range(n):
        values = rng.normal(size=6)
        marks = best([cell(v) for v in values])
        # The lowest of six is not a fixed cell: only the first one is compared.
        false += not marks[0]
    assert false / n < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)


def test_excess_is_in_standard_errors_of_the_difference_on_the_worse_side():
    cell, baseline = Summary(5.0, 3.0, 10.0, 1), Summary(0.0, 4.0, 10.0, 1)
    assert [excess(cell, baseline, better) for better in ("lower", "higher", "baseline")] == [1.0, -1.0, 1.0]
    exact = Summary(0.0, 0.0, 10.0, 1)
    assert excess(exact, exact, "lower") == 0 and excess(Summary(1.0, 0.0, 10.0, 1), exact, "lower") == np.inf


def test_baseline_is_reached_if_no_test_distinguishes_or_the_cell_is_better():
    cells = [Summary(value, 1.0, 50.0, 1) for value in (10.0, 10.5, 20.0, 0.0, np.nan)] + [None]
    baselines = [Summary(10.0, 1.0, 50.0, 1)] * 6
    assert reach_baseline(cells, baselines, "lower") == [True, True, False, True, False, False]
    assert reach_baseline(cells, baselines, "higher") == [True, True, True, False, False, False]
    assert reach_baseline(cells, baselines, "baseline") == [True, True, False, False, False, False]
    assert reach_baseline(cells, [None] * 6, "baseline") == [False] * 6


def test_baseline_is_tested_at_the_level_of_the_whole_row():
    # p = 0.009: below 0.05, above 0.05 / 10.
    cells = [Summary(2.35 * 2**0.5, 1.0, np.inf, 1)] + [Summary(0.0, 1.0, np.inf, 1)] * 9
    baselines = [Summary(0.0, 1.0, np.inf, 1)] * 10
    assert reach_baseline(cells[:1], baselines[:1], "lower") == [False]
    assert reach_baseline(cells, baselines, "lower") == [True] * 10
