import numpy as np
import pytest

from pointillist.metrics import spread


def test_the_scale_of_scaled_rows_is_recovered():
    rows = np.random.default_rng(0).normal(size=(500, 3))
    assert float(spread(rows, 0.3 * rows + 5)) == pytest.approx(0.3)
    assert float(spread(rows, np.ones((10, 3)))) == 0


def test_standard_error_agrees_with_the_deviation_between_draws():
    rng = np.random.default_rng(0)
    found = [spread(rng.normal(size=(300, 2)), rng.exponential(size=(400, 2))) for _ in range(400)]
    values, errors = np.array(found, float), np.array([f.standard_error for f in found])
    assert values.mean() == pytest.approx(1.0, abs=4 * values.std() / np.sqrt(400) + 0.005)
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)


def test_constant_data():
    with pytest.raises(ValueError, match="real has no spread"):
        spread(np.ones((5, 2)), np.zeros((5, 2)))
