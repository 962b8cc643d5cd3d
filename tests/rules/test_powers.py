"""Powers of a column: found among others, and restored to the last digit."""

import numpy as np
import pyarrow as pa
import pytest

from pointillist import Diffusion
from pointillist.rules.powers import Power

RNG = np.random.default_rng(0)
AREA, KINDS = RNG.integers(100, 50_000, 400), RNG.choice(["a", "b"], 400)


@pytest.mark.parametrize(
    ("exponent", "factor"),
    [(2.0, 1.5), (3.0, 1.0), (0.5, 1.1283791670955126), (1 / 3, 2.0), (-1.0, 1000.0), (-0.5, 1.0)],
)
def test_a_power_of_an_integer_column_is_found_and_held_by_new_rows(exponent, factor):
    table = pa.table({"area": AREA, "kind": KINDS, "power": factor * AREA.astype(float) ** exponent})
    model = Diffusion(epochs=1, width=8, depth=1, random_state=0).fit(table)
    (rule,) = [each for each in model.model_.codec.rules if isinstance(each, Power)]
    assert rule.exponent == exponent and rule.factor == pytest.approx(factor, rel=1e-9)
    rows = model.sample(200, random_state=0)
    np.testing.assert_allclose(rows["power"], factor * np.asarray(rows["area"], float) ** exponent, rtol=1e-9)


def test_a_given_power_determines_its_base():
    table = pa.table({"side": RNG.gamma(4, 2, 400).round(2) + 1, "kind": KINDS})
    table = table.append_column("volume", pa.array(np.asarray(table["side"]) ** 3))
    model = Diffusion(epochs=1, width=8, depth=1, random_state=0).fit(table)
    assert np.allclose(model.sample(5, where={"volume": 27.0}, random_state=0)["side"], 3.0)


def test_noisy_powers_and_signed_numbers_are_not_related():
    noisy = AREA**0.5 * np.exp(0.01 * RNG.normal(size=400))
    signed = RNG.normal(size=400)
    table = pa.table({"kind": KINDS, "area": AREA, "noisy": noisy, "signed": signed, "square": signed**2})
    assert not [each for each in Diffusion(epochs=1, width=8).fit(table).model_.codec.rules if isinstance(each, Power)]


@pytest.mark.parametrize("content", [{"factor": -1.0}, {"exponent": 5.0}, {"columns": (0, 1, 2)}, {"factor": np.inf}])
def test_invalid_powers_are_refused(content):
    with pytest.raises(ValueError, match="power"):
        Power(**{"columns": (0, 1), "factor": 1.0, "exponent": 2.0, **content})


def test_solutions_invert_each_other():
    values = np.stack([np.zeros(50), RNG.gamma(3, 2, 50)], axis=1)
    for exponent in (2.0, -0.5):
        rule = Power((0, 1), 0.7, exponent)
        values[:, 0] = rule.solve(values, 0)
        assert np.allclose(rule.residual(values), 0)
        assert np.allclose(rule.solve(values, 1), values[:, 1])
        step = 1e-6
        moved = (rule.residual(values + np.array([0, step])) - rule.residual(values)) / step
        np.testing.assert_allclose(rule.gradient(values)[:, 1], moved, rtol=1e-4)
