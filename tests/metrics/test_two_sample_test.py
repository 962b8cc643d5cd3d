import math

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pointillist.metrics import two_sample_test


def pair(seed, n, m, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + shift


@pytest.mark.parametrize("classifier", ["forest", "knn"])
def test_equal_distributions_are_at_chance_and_disjoint_ones_at_one(classifier):
    same = two_sample_test(*pair(0, 150, 150), classifier=classifier)
    assert abs(same - 0.5) < 3 * same.null_standard_error
    far = two_sample_test(*pair(1, 150, 150, shift=20.0), classifier=classifier)
    assert far == 1.0
    assert 0 < far.standard_error < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_standard_error_allows_for_cross_validation(shift):
    estimates = [
        two_sample_test(*pair(seed, 120, 120, shift), classifier="knn", random_state=seed) for seed in range(150)
    ]
    values = np.array(estimates, dtype=float)
    claimed = math.sqrt(np.mean([estimate.standard_error**2 for estimate in estimates]))
    # Independent trials would claim a ratio of about 0.8; a ratio from 150 values is known to 0.06.
    assert 0.8 < values.std(ddof=1) / claimed < 1.15
    if shift == 0:
        assert abs(values.mean() - 0.5) < 3 * claimed / math.sqrt(len(values))


@pytest.mark.slow
def test_standard_error_of_the_forest():
    forest = RandomForestClassifier(30, min_samples_leaf=5)
    estimates = [two_sample_test(*pair(seed, 120, 120), classifier=forest, random_state=seed) for seed in range(150)]
    ratio = np.std(estimates, ddof=1) / estimates[0].null_standard_error
    assert 0.8 < ratio < 1.15


def test_best_accuracy_of_two_shifted_normals():
    # The best rule for N(0, 1) against N(1, 1) is right with probability Φ(1/2) = 0.691.
    rng = np.random.default_rng(2)
    A, B = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 1)) + 1.0
    estimate = two_sample_test(A, B, classifier=LogisticRegression())
    assert abs(estimate - 0.6915) < 3 * estimate.standard_error


def test_tables_are_balanced_and_limited():
    # Unbalanced, a constant guess would reach 10/11; limited, the null error tells how many rows were used.
    A, B = pair(3, 1000, 100)
    estimate = two_sample_test(A, B, classifier="knn")
    assert abs(estimate - 0.5) < 3 * estimate.null_standard_error
    full = math.sqrt((1 + 2 / math.pi) / 4 / 200)
    assert estimate.null_standard_error == pytest.approx(full)
    limited = two_sample_test(A, B, classifier="knn", max_rows=50)
    assert limited.null_standard_error == pytest.approx(full * math.sqrt(2))


def test_columns_of_any_unit_for_knn():
    A, B = pair(4, 200, 200)
    B[:, 0] += 1.5
    scaled = [side * [1e-3, 1e3] for side in (A, B)]
    assert two_sample_test(*scaled, classifier="knn") == two_sample_test(A, B, classifier="knn")


def test_a_given_classifier_is_cloned_and_seeded():
    forest = RandomForestClassifier(10)
    pipeline = make_pipeline(StandardScaler(), forest)
    A, B = pair(5, 100, 100, shift=0.5)
    one, two = (two_sample_test(A, B, classifier=pipeline, random_state=1) for _ in range(2))
    assert one == two
    assert forest.random_state is None
    assert not hasattr(forest, "estimators_")


def test_errors():
    A, B = pair(6, 10, 10)
    with pytest.raises(ValueError, match=r"^classifier='svm' is unknown: use 'forest', 'knn' or"):
        two_sample_test(A, B, classifier="svm")
    with pytest.raises(ValueError, match=r"^n_splits=11 must be at least 2 and at most 10"):
        two_sample_test(A, B, classifier="knn", n_splits=11)
    with pytest.raises(ValueError, match=r"^n_splits=1 must be"):
        two_sample_test(A, B, classifier="knn", n_splits=1)


@pytest.mark.slow
def test_the_forest_sees_blurred_moons(moons):
    blurred = moons[4000:] + np.random.default_rng(7).normal(size=(4000, 2)) * 0.06
    estimate = two_sample_test(moons[:4000], blurred)
    assert estimate - 0.5 > 8 * estimate.null_standard_error


def test_few_rows_have_fewer_neighbors():
    A, B = pair(0, 8, 8, 5.0)
    assert two_sample_test(A, B, classifier="knn") > 0.9
