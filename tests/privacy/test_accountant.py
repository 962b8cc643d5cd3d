"""Compares the accountant of private fits with closed forms and with the library's other accountant."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import norm

from pointillist.models.row_model import Guarantee
from pointillist.privacy.accountant import check_accountant, gaussian_noise, noise_for, spent_epsilon

pytest.importorskip("dp_accounting")


def delta_of(epsilon, noise):
    """Returns δ of one Gaussian mechanism (Balle and Wang 2018, theorem 8)."""
    a, b = 1 / (2 * noise), epsilon * noise
    return norm.cdf(a - b) - np.exp(epsilon) * norm.cdf(-a - b)


@pytest.mark.parametrize("noise", [0.8, 2.0, 7.0])
def test_one_gaussian_has_its_closed_form(noise):
    for delta in (1e-3, 1e-6):
        # A step that sees every row is a Gaussian mechanism.
        epsilon = spent_epsilon((), 1.0, noise, 1, delta)
        assert delta_of(epsilon, noise) <= delta * (1 + 1e-6)
        assert delta_of(epsilon - 0.01, noise) > delta
    assert delta_of(1.0, gaussian_noise(1.0, 1e-5)) == pytest.approx(1e-5, rel=1e-3)


def test_gaussians_compose_to_one_with_less_noise():
    """k mechanisms with noise s compose to one with noise s / √k."""
    composed = spent_epsilon((3.0,) * 8, 1.0, 3.0, 1, 1e-5)
    assert composed == pytest.approx(spent_epsilon((), 1.0, 1.0, 1, 1e-5), abs=0.02)


def test_the_example_of_the_moments_accountant():
    """Abadi et al. 2016, section 3.2: q = 0.01, σ = 4, δ = 1e-5, 10,000 steps are at most ε = 1.26."""
    assert 0.8 < spent_epsilon((), 0.01, 4.0, 10_000, 1e-5) <= 1.26


@pytest.mark.parametrize(("epsilon", "sampling", "steps"), [(1.0, 0.125, 300), (3.0, 0.02, 600)])
def test_the_noise_uses_exactly_the_budget(epsilon, sampling, steps):
    from dp_accounting import ComposedDpEvent, GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.rdp import RdpAccountant

    noise = noise_for((20.0, 10.0), sampling, steps, epsilon, 1e-5)
    assert epsilon * 0.98 < spent_epsilon((20.0, 10.0), sampling, noise, steps, 1e-5) <= epsilon
    accountant = RdpAccountant()
    step = PoissonSampledDpEvent(sampling, GaussianDpEvent(noise))
    events = [GaussianDpEvent(20.0), GaussianDpEvent(10.0), SelfComposedDpEvent(step, steps)]
    accountant.compose(ComposedDpEvent(events))
    # This is also an upper bound, but slightly looser.
    assert epsilon * 0.98 < accountant.get_epsilon(1e-5) < epsilon * 1.2


def test_too_small_a_budget_is_refused():
    with pytest.raises(ValueError, match="epsilon is too small"):
        noise_for((1.0,), 0.1, 100, 0.1, 1e-6)


def test_a_guarantee_survives_json():
    given = Guarantee(1.0, 1e-5, "one row added or removed", check_accountant(), ("a",), ("b", "c"), False)
    assert Guarantee.from_json(asdict(given)) == given
    assert "ε = 1, δ = 1e-05, one row added or removed" in given.line and "system's entropy" in given.line
    with pytest.raises(ValueError, match="invalid ε"):
        Guarantee.from_json({**asdict(given), "epsilon": 0})
