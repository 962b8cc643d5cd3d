"""What a network predicts, and how that becomes a prediction of x_0.

A network F becomes a denoiser by x̂_0 = c_skip x_t + c_out F(c_in x_t), which is the EDM preconditioning (Karras et
al. 2022, arXiv 2206.00364, equation 7) and, with other coefficients, the prediction of ε, of v and of x_0.
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
"""The γ of min-SNR-γ (section 3.4 there)."""

Level = Float[Array, "..."]
"""alpha_t or sigma_t at some times."""

SigmaData = Float[Array | np.ndarray, "..."] | float
"""σ_d, the root mean square of the data: of all columns, or of each."""

Coefficient = Float[Array, "..."] | float
"""One of `Coefficients`, or a weight."""


class Coefficients(NamedTuple):
    """Coefficients of x̂_0 = skip x_t + out F(inside x_t)."""

    inside: Coefficient
    skip: Coefficient
    out: Coefficient


def coefficients(prediction: str, alpha_t: Level, sigma_t: Level, sigma_data: SigmaData = 1.0) -> Coefficients:
    """Coefficients c_in, c_skip and c_out of a prediction.

    EDM's are written here for x_t = alpha_t x_0 + sigma_t ε: with its noise level σ = sigma_t / alpha_t and its input
    x_t / alpha_t they are those of its table 1. If σ_d is 1, they equal those of v, with a minus
    sign.

    Args:
        prediction: One of `PREDICTIONS`.
        alpha_t: alpha_t at the rows' times.
        sigma_t: sigma_t at the rows' times, above 0.
        sigma_data: σ_d, of all columns or of each, in the units that the network sees; only EDM uses it.
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
    """Target of the network for x_t = alpha_t x_0 + sigma_t ε: (x_0 - c_skip x_t) / c_out."""
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
    """Weight of the squared error of the prediction.

    It is 1 for "uniform". For "min-snr" it is min(SNR, γ) c_out², which weights the error in x_0 by min(SNR, γ): this
    is min(SNR, γ) / SNR for ε and min(SNR, γ) / (SNR + 1) for v. With "edm" and "uniform" it is the weight of Karras et
    al. 2022, equation 8.
    """
    if weighting == "uniform":
        return 1.0
    snr = (alpha_t / sigma_t) ** 2
    return jnp.minimum(snr, MIN_SNR_GAMMA) * coefficients(prediction, alpha_t, sigma_t, sigma_data).out ** 2
