"""What a network predicts, and how to turn that into a prediction of x_0.

A network F becomes a denoiser by x̂_0 = c_skip x_t + c_out F(c_in x_t). This is the EDM preconditioning (Karras et al.
2022, arXiv 2206.00364, equation 7) and, with other coefficients, the prediction of ε, v or x_0.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

PREDICTIONS = ("eps", "v", "x0", "edm")
"""The predictions: ε, the noise; v = alpha_t ε - sigma_t x_0 (Salimans & Ho 2022, arXiv 2202.00512, §4); x_0; EDM."""

WEIGHTINGS = ("uniform", "min-snr")
"""Weightings of the squared error of the prediction: 1, or min-SNR-γ (Hang et al. 2023, arXiv 2303.09556)."""

MIN_SNR_GAMMA = 5.0
"""The γ of min-SNR-γ (Hang et al. 2023, section 3.4)."""

SigmaData = Float[Array | np.ndarray, "..."] | float
"""σ_d, the root mean square of the data: one value, or one per column."""

Level = Float[Array, "..."]
Coefficient = Float[Array, "..."] | float


class Coefficients(NamedTuple):
    """Coefficients of x̂_0 = skip x_t + out F(inside x_t)."""

    inside: Coefficient
    skip: Coefficient
    out: Coefficient


def coefficients(prediction: str, alpha_t: Level, sigma_t: Level, sigma_data: SigmaData = 1.0) -> Coefficients:
    """Compute the coefficients c_in, c_skip and c_out of a prediction.

    The EDM coefficients are those of table 1 of Karras et al. 2022 with σ = sigma_t / alpha_t and input x_t / alpha_t,
    rewritten for x_t = alpha_t x_0 + sigma_t ε. For σ_d = 1 they equal the coefficients of v except for the sign of
    c_out.

    sigma_t must be above 0; only EDM uses σ_d, in the scale that the network sees.
    """
    if prediction == "eps":
        return Coefficients(1.0, 1 / alpha_t, -sigma_t / alpha_t)
    if prediction == "v":
        return Coefficients(1.0, alpha_t, -sigma_t)
    if prediction == "x0":
        return Coefficients(1.0, 0.0, 1.0)
    total = sigma_t**2 + (alpha_t * sigma_data) ** 2
    return Coefficients(1 / jnp.sqrt(total), alpha_t * sigma_data**2 / total, sigma_t * sigma_data / jnp.sqrt(total))


def target(
    prediction: str,
    x0: Float[Array, "*rows d"],
    eps: Float[Array, "*rows d"],
    alpha_t: Level,
    sigma_t: Level,
    sigma_data: SigmaData = 1.0,
) -> Float[Array, "*rows d"]:
    """Compute the network's target for x_t = alpha_t x_0 + sigma_t ε: (x_0 - c_skip x_t) / c_out."""
    if prediction == "eps":
        return eps
    if prediction == "v":
        return alpha_t * eps - sigma_t * x0
    if prediction == "x0":
        return x0
    total = jnp.sqrt(sigma_t**2 + (alpha_t * sigma_data) ** 2)
    return (sigma_t * x0 - alpha_t * sigma_data**2 * eps) / (sigma_data * total)


def loss_weight(
    weighting: str, prediction: str, alpha_t: Level, sigma_t: Level, sigma_data: SigmaData = 1.0
) -> Coefficient:
    """Compute the weight of the squared error of the prediction.

    "uniform": 1, which for "edm" is the weight of Karras et al. 2022, equation 8. "min-snr": min(SNR, γ) c_out², which
    weights the error in x_0 by min(SNR, γ); it equals min(SNR, γ) / SNR for ε and min(SNR, γ) / (SNR + 1) for v.
    """
    if weighting == "uniform":
        return 1.0
    snr = (alpha_t / sigma_t) ** 2
    return jnp.minimum(snr, MIN_SNR_GAMMA) * coefficients(prediction, alpha_t, sigma_t, sigma_data).out ** 2
