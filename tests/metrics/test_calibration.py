import math

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from pointillist.metrics import expected_calibration_error, log_loss

METRICS = (expected_calibration_error, log_loss)


def naive_ece(probabilities, labels, n_bins):
    total = 0.0
    for b in range(n_bins):
        members = [
            (max(row), list(row).index(max(row)) == label)
            for row, label in zip(probabilities, labels, strict=True)
            if b / n_bins < max(row) <= (b + 1) / n_bins
        ]
        if members:
            accuracy = sum(right for _, right in members) / len(members)
            confidence = sum(sure for sure, _ in members) / len(members)
            total += len(members) / len(labels) * abs(accuracy - confidence)
    return total


def draw(rng, n, classes=3, *, sharpen=1.0):
    """Returns labels drawn with the true probabilities, and these probabilities to a power as predictions."""
    truth = rng.dirichlet(np.full(classes, 0.7), size=n)
    labels = (truth.cumsum(axis=1) < rng.uniform(size=(n, 1))).sum(axis=1).clip(max=classes - 1)
    claimed = truth**sharpen
    return claimed / claimed.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize(("n", "classes", "n_bins"), [(1, 2, 15), (200, 3, 15), (150, 10, 1), (60, 2, 100)])
def test_ece_bin_by_bin(n, classes, n_bins):
    probabilities, labels = draw(np.random.default_rng(0), n, classes, sharpen=2.0)
    expected = naive_ece(probabilities, labels, n_bins)
    assert expected_calibration_error(probabilities, labels, n_bins=n_bins) == pytest.approx(expected, rel=1e-12)


def test_ece_by_hand():
    # One bin with difference |1/2 − 0.8| for two rows, one with |1 − 0.65| for one.
    probabilities = [[0.78, 0.22], [0.18, 0.82], [0.65, 0.35]]
    estimate = expected_calibration_error(probabilities, [0, 0, 0], n_bins=4)
    assert estimate == pytest.approx(2 / 3 * 0.3 + 1 / 3 * 0.35)
    excess = [-0.22, 0.82, 0.35]  # right − confidence, with the sign of the difference in the bin
    assert estimate.standard_error == pytest.approx(np.std(excess, ddof=1) / math.sqrt(3))


def test_an_edge_belongs_to_the_lower_bin():
    # 0.5 and 0.6 share the bin (0.4, 0.6], where their differences cancel: one is right, 1.1 is claimed.
    probabilities = [[0.6, 0.4], [0.5, 0.5]]
    assert expected_calibration_error(probabilities, [0, 1], n_bins=5) == pytest.approx(0.05)
    # With an edge at 0.5 they do not.
    assert expected_calibration_error(probabilities, [0, 1], n_bins=2) == pytest.approx(0.45)


def test_certainty():
    probabilities = np.eye(3)
    assert expected_calibration_error(probabilities, [0, 1, 2]) == 0
    assert expected_calibration_error(probabilities, [1, 2, 0]) == 1


def test_ece_of_a_calibrated_classifier_is_its_bias():
    rng = np.random.default_rng(1)
    values, errors, biases = [], [], []
    for _ in range(400):
        probabilities, labels = draw(rng, 500)
        estimate = expected_calibration_error(probabilities, labels)
        c = probabilities.max(axis=1)
        noise = np.bincount(np.ceil(15 * c).astype(int), c * (1 - c))
        biases.append(math.sqrt(2 / math.pi) * np.sqrt(noise).sum() / 500)
        values.append(float(estimate))
        errors.append(estimate.standard_error)
    assert np.mean(values) == pytest.approx(np.mean(biases), rel=0.05)
    assert np.mean(values) > 0.03
    # Too large, as documented: by a factor of 1.66 if all differences in bins are noise.
    ratio = math.sqrt(np.mean(np.square(errors))) / np.std(values, ddof=1)
    assert 1.2 < ratio < 1.66 * (1 + 3 / math.sqrt(800))


def test_ece_of_a_sharpened_classifier_is_calibrated():
    # One confidence, 0.8, that is right in 65 % of rows: no binning and next to no bias.
    rng = np.random.default_rng(2)
    z = []
    for _ in range(400):
        labels = (rng.uniform(size=400) > 0.65).astype(int)
        estimate = expected_calibration_error(np.tile([0.8, 0.2], (400, 1)), labels)
        z.append((estimate - 0.15) / estimate.standard_error)
    assert abs(np.mean(z)) < 4 / math.sqrt(400)
    assert np.std(z) == pytest.approx(1, abs=4 / math.sqrt(800))


def test_ece_error_with_many_confidences():
    rng = np.random.default_rng(3)
    estimates = [expected_calibration_error(*draw(rng, 2000, sharpen=4.0)) for _ in range(300)]
    claimed = math.sqrt(np.mean([estimate.standard_error**2 for estimate in estimates]))
    assert np.mean(estimates) > 5 * claimed
    assert claimed / np.std(estimates, ddof=1) == pytest.approx(1, abs=4 / math.sqrt(600))


def test_log_loss_by_scikit_learn():
    probabilities, labels = draw(np.random.default_rng(4), 300, 4)
    assert log_loss(probabilities, labels) == pytest.approx(sklearn_log_loss(labels, probabilities), rel=1e-12)


def test_log_loss_in_closed_form():
    even = log_loss(np.full((7, 5), 0.2), [0, 1, 2, 3, 4, 0, 1])
    assert even == pytest.approx(math.log(5))
    assert even.standard_error == pytest.approx(0, abs=1e-15)
    # The entropy of a coin with probability 0.3, by simulation.
    rng = np.random.default_rng(5)
    entropy = -0.3 * math.log(0.3) - 0.7 * math.log(0.7)
    coins = [log_loss(np.tile([0.7, 0.3], (200, 1)), (rng.uniform(size=200) < 0.3).astype(int)) for _ in range(400)]
    z = [(estimate - entropy) / estimate.standard_error for estimate in coins]
    assert abs(np.mean(z)) < 4 / math.sqrt(400)
    assert np.std(z) == pytest.approx(1, abs=4 / math.sqrt(800))


def test_log_loss_of_an_impossible_label_is_finite():
    estimate = log_loss([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    assert estimate == pytest.approx(-math.log(np.finfo(np.float64).tiny) / 2)
    assert math.isfinite(estimate.standard_error)


@pytest.mark.parametrize("metric", METRICS)
def test_a_single_row_has_no_standard_error(metric):
    assert math.isnan(metric([[0.3, 0.7]], [1]).standard_error)


@pytest.mark.parametrize("metric", METRICS)
def test_lists_float32_and_any_integers_are_accepted(metric):
    probabilities, labels = draw(np.random.default_rng(6), 40, 2)
    probabilities = probabilities.astype(np.float32)
    copies = probabilities.copy(), labels.copy()
    estimate = metric(probabilities, labels)
    assert estimate == metric(probabilities.astype(np.float64).tolist(), labels.tolist())
    assert estimate == metric(probabilities, labels.astype(np.uint8)) == metric(probabilities, labels == 1)
    np.testing.assert_array_equal(probabilities, copies[0])
    np.testing.assert_array_equal(labels, copies[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.2, 0.8], [0, 1], r"probabilities has 1 dimension\(s\) but needs 2, .*np.column_stack"),
        (np.full((2, 2, 2), 0.5), [0, 1], r"probabilities has 3 dimension\(s\) but needs 2"),
        (np.zeros((0, 2)), [], r"probabilities has 0 row\(s\) but needs at least 1"),
        ([["a", "b"]], [0], "probabilities is not an array of real numbers"),
        ([[0.5, 0.5], [np.nan, 1.0]], [0, 1], "probabilities has a NaN in row 1, column 0: drop or fill"),
        ([[0.5, 0.5], [2.0, -1.0]], [0, 1], r"probabilities has 2 in row 1, column 0, outside \[0, 1\]: .*softmax"),
        ([[1.0, -0.0001]], [0], r"probabilities has -0.0001 in row 0, column 1, outside"),
        ([[0.5, 0.5], [0.5, 0.4]], [0, 1], "probabilities sums to 0.9 in row 1 but must sum to 1: divide each row"),
        ([[0.5, 0.5]], [0, 1], r"labels has shape \(2,\) but probabilities has 1 row\(s\): pass one label per row"),
        ([[0.5, 0.5]], [[0, 1]], r"labels has shape \(1, 2\) .*argmax"),
        ([[0.5, 0.5]], [np.nan], "labels is an array of float64 but needs integers: pass the index"),
        ([[0.5, 0.5]], ["yes"], "labels is an array of <U3 but needs integers"),
        ([[0.5, 0.5]] * 2, [1, 2], r"labels has 2 in row 1 but probabilities has 2 column\(s\): number .* from 0 to 1"),
        ([[0.5, 0.5]], [-1], "labels has -1 in row 0"),
    ],
)
def test_bad_predictions_are_named(metric, probabilities, labels, message):
    with pytest.raises(ValueError, match=f"^{message}") as error:
        metric(probabilities, labels)
    assert "\n" not in str(error.value)


def test_sums_may_be_off_by_the_rounding_of_short_floats():
    assert log_loss([[0.5, 0.4995]], [0]) == pytest.approx(math.log(2))


def test_bins_must_be_positive():
    with pytest.raises(ValueError, match=r"^n_bins is 0 but must be at least 1$"):
        expected_calibration_error([[0.5, 0.5]], [0], n_bins=0)
