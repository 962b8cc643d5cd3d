import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.parameterizations import (
    PREDICTIONS,
    WEIGHTINGS,
    coefficients,
    loss_weight,
    target,
)

LAMBDA = np.linspace(-4, 4, 9)[:, None]
ALPHA, SIGMA = np.sqrt(1 / (1 + np.exp(-2 * LAMBDA))), np.sqrt(1 / (1 + np.exp(2 * LAMBDA)))
RNG = np.random.default_rng(0)
X0, EPS = RNG.normal(size=(9, 3)), RNG.normal(size=(9, 3))
X_T = ALPHA * X0 + SIGMA * EPS
SIGMA_DATA = np.array([[0.3, 1.0, 2.0]])
LEVELS = tuple(jnp.asarray(v, jnp.float32) for v in (ALPHA, SIGMA, SIGMA_DATA))


def as_arrays(*values):
    return tuple(jnp.asarray(v, jnp.float32) for v in values)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_target_converts_back_to_the_data(prediction):
    _, skip, out = coefficients(prediction, *LEVELS)
    wanted = target(prediction, *as_arrays(X0, EPS), *LEVELS)
    # Where almost no signal is left, the data is a difference of two nearly equal numbers.
    tolerance = 2e-6 / ALPHA.min()
    np.testing.assert_allclose(skip * X_T.astype(np.float32) + out * wanted, X0, atol=tolerance)


def test_predictions_have_their_definitions():
    asked = *as_arrays(X0, EPS), *LEVELS
    np.testing.assert_allclose(target("eps", *asked), EPS, rtol=1e-6)
    np.testing.assert_allclose(target("x0", *asked), X0, rtol=1e-6)
    v = ALPHA * EPS - SIGMA * X0
    np.testing.assert_allclose(target("v", *asked), v, atol=1e-6)
    # Salimans & Ho 2022, appendix D: x_0 = alpha x_t - sigma v, ε = sigma x_t + alpha v.
    np.testing.assert_allclose(ALPHA * X_T - SIGMA * v, X0, atol=1e-12)
    np.testing.assert_allclose(SIGMA * X_T + ALPHA * v, EPS, atol=1e-12)


def test_edm_agrees_with_table_1_of_karras():
    """Returns c_skip, c_out, c_in for an input x_0 + σ ε; x_t is alpha times it."""
    sigma = SIGMA / ALPHA
    inside, skip, out = coefficients("edm", *LEVELS)
    np.testing.assert_allclose(skip * ALPHA, SIGMA_DATA**2 / (sigma**2 + SIGMA_DATA**2), rtol=1e-5)
    np.testing.assert_allclose(out, sigma * SIGMA_DATA / np.sqrt(sigma**2 + SIGMA_DATA**2), rtol=1e-5)
    np.testing.assert_allclose(inside * ALPHA, 1 / np.sqrt(sigma**2 + SIGMA_DATA**2), rtol=1e-5)
    # Its loss weight, equation 8, is 1 / c_out² of the error in x_0: 1 of the error in F.
    assert loss_weight("uniform", "edm", *LEVELS) == 1.0


def test_edm_with_unit_standard_deviation_is_minus_v():
    one = (*LEVELS[:2], 1.0)
    np.testing.assert_allclose(
        target("edm", *as_arrays(X0, EPS), *one), -target("v", *as_arrays(X0, EPS), *one), atol=1e-6
    )
    np.testing.assert_allclose(coefficients("edm", *one).skip, coefficients("v", *one).skip, rtol=1e-6)


@pytest.mark.parametrize(
    "prediction,divisor", [("x0", lambda snr: 1), ("eps", lambda snr: snr), ("v", lambda snr: snr + 1)]
)
def test_min_snr_weights(prediction, divisor):
    """Hang et al. 2023, section 3.4: min(SNR, 5), over SNR for ε, over SNR + 1 for v."""
    snr = (ALPHA / SIGMA) ** 2
    expected = np.minimum(snr, 5) / divisor(snr)
    np.testing.assert_allclose(loss_weight("min-snr", prediction, *LEVELS) * np.ones_like(snr), expected, rtol=1e-5)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_weighted_error_of_the_prediction_is_an_error_of_x0(prediction, weighting):
    """Weighting by 1 / c_out² gives the same loss for every prediction."""
    _, _, out = coefficients(prediction, *LEVELS)
    weight = loss_weight(weighting, prediction, *LEVELS) / np.asarray(out) ** 2
    if weighting == "min-snr":
        np.testing.assert_allclose(
            weight * np.ones((9, 3)), np.minimum((ALPHA / SIGMA) ** 2, 5) * np.ones((9, 3)), rtol=1e-5
        )
    else:
        expected = {
            "x0": 1.0,
            "eps": (ALPHA / SIGMA) ** 2,
            "v": 1 / SIGMA**2,
            "edm": (SIGMA**2 + (ALPHA * SIGMA_DATA) ** 2) / (SIGMA * SIGMA_DATA) ** 2,
        }[prediction]
        np.testing.assert_allclose(weight * np.ones((9, 3)), expected * np.ones((9, 3)), rtol=1e-5)
