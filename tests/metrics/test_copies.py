"""`copies`: rows that equal a data row, counted and compared with the data's duplicates."""

import math

import numpy as np

from pointillist.metrics import copies


def test_counts_agree_with_tuples():
    rng = np.random.default_rng(0)
    data, rows = (
        {
            "x": rng.choice([0.0, -0.0, 1.5, np.nan], n),
            "c": rng.choice(np.array(["a", "b", None], object), n),
            "y": rng.integers(0, 5, n).astype(float),
        }
        for n in (60, 40)
    )
    in_data, in_rows = ([(str(x + 0.0), c, y) for x, c, y in zip(*t.values(), strict=True)] for t in (data, rows))
    found = copies(data, rows)
    assert found.count == sum(row in in_data for row in in_rows) and found.fraction == found.count / 40
    assert found.duplicates == np.mean([in_data.count(row) > 1 for row in in_data])


def test_p_value_allows_for_duplicates_in_the_data():
    rng = np.random.default_rng(12)
    for n_values in (4, 12, 25):
        p = []
        for _ in range(100):
            data, rows = (dict(zip("abc", rng.integers(0, n_values, (3, n)) + 0.0, strict=True)) for n in (150, 100))
            p.append(copies(data, rows).p_value)
        assert np.mean(np.array(p) <= 0.1) < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 100)
