"""What a network predicts, and what that says of x_0.

A network F is read as a denoiser by x̂_0 = c_skip x_t + c_out F(c_in x_t), which is the EDM preconditioning (Karras et
al. 2022, arXiv 2206.00364, equation 7) and, with other coefficients, the prediction of ε, of v and of x_0.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

PREDICTIONS = ("eps", "v", "x0", "edm")
"""ε, the noise; v = alpha_t ε - sigma_t x_0 (Salimans & Ho 2022, arXiv 2202.00512, section 4); x_0; and EDM."""

WEIGHTINGS = ("uniform", "min-snr")
"""Of the loss: of the error in what is predicted, 1; or the min-SNR-γ weight (Hang et al. 2023, arXiv 2303.09556)."""

MIN_SNR_GAMMA = 5.0
"""γ (section 3.4)."""

Level = Float[Array, "..."]
"""alpha_t or sigma_t at some times."""

Spread = Float[Array | np.ndarray, "..."] | float
"""σ_d, the root mean square of the data: of all columns, or of each."""

Coefficient = Float[Array, "..."] | float
"""One of `Coefficients`, or a weight."""


class Coefficients(NamedTuple):
    """x̂_0 = skip x_t + out F(inside x_t)."""

    inside: Coefficient
    skip: Coefficient
    out: Coefficient


def coefficients(prediction: str, alpha_t: Level, sigma_t: Level, spread: Spread = 1.0) -> Coefficients:
    """c_in, c_skip and c_out of a prediction.

    EDM's are written for x_t = alpha_t x_0 + sigma_t ε: with its noise level σ = sigma_t / alpha_t and its input
    x_t / alpha_t they are those of its table 1. Where the data's spread σ_d is 1 they are v's, with a minus sign.

    Args:
        prediction: One of `PREDICTIONS`.
        alpha_t: At the rows' times.
        sigma_t: Above 0.
        spread: σ_d, of all columns or of each, in the units that the network sees; EDM alone looks at it.
    """
    if prediction == "eps":
        return Coefficients(1.0, 1 / alpha_t, -sigma_t / alpha_t)
    if prediction == "v":
        return Coefficients(1.0, alpha_t, -sigma_t)
    if prediction == "x0":
        return Coefficients(1.0, 0.0, 1.0)
    total = sigma_t**2 + (alpha_t * spread) ** 2
    return Coefficients(1 / jnp.sqrt(total), alpha_t * spread**2 / total, sigma_t * spread / jnp.sqrt(total))


def target(
    prediction: str,
    x0: Float[Array, "*rows d"],
    eps: Float[Array, "*rows d"],
    alpha_t: Level,
    sigma_t: Level,
    spread: Spread = 1.0,
) -> Float[Array, "*rows d"]:
    """What the network should give for x_t = alpha_t x_0 + sigma_t ε: (x_0 - c_skip x_t) / c_out."""
    if prediction == "eps":
        return eps
    if prediction == "v":
        return alpha_t * eps - sigma_t * x0
    if prediction == "x0":
        return x0
    total = jnp.sqrt(sigma_t**2 + (alpha_t * spread) ** 2)
    return (sigma_t * x0 - alpha_t * spread**2 * eps) / (spread * total)


def loss_weight(weighting: str, prediction: str, alpha_t: Level, sigma_t: Level, spread: Spread = 1.0) -> Coefficient:
    """The weight of the squared error of what is predicted.

    "uniform": 1; "min-snr": min(SNR, γ) c_out², which is min(SNR, γ) of the error in x_0: min(SNR, γ) / SNR for ε,
    min(SNR, γ) / (SNR + 1) for v. With "edm" and "uniform" it is the weight of Karras et al. 2022, equation 8.
    """
    if weighting == "uniform":
        return 1.0
    snr = (alpha_t / sigma_t) ** 2
    return jnp.minimum(snr, MIN_SNR_GAMMA) * coefficients(prediction, alpha_t, sigma_t, spread).out ** 2
