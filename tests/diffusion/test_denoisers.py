"""Compares denoisers of networks with the published formulas in float64."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.denoisers import NetworkDenoiser
from pointillist.diffusion.networks import MLP, ResidualMLP, noise_level_embedding, sinusoidal_embedding
from pointillist.diffusion.parameterizations import PREDICTIONS
from pointillist.diffusion.schedules import alpha_sigma, cosine

SCHEDULE = cosine(50)
SIGMA_DATA = np.array([0.4, 1.7], np.float32)
X_T = jnp.array([0.3, -1.2])


def randomized(network):
    """Returns the network with random weights in every layer; the output of a new network may be 0."""
    leaves, structure = jax.tree.flatten(network)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    pairs = zip(keys, leaves, strict=True)
    return jax.tree.unflatten(structure, [jax.random.normal(key, leaf.shape) / 3 for key, leaf in pairs])


def published_denoiser(prediction, F, x_t, alpha, sigma):
    if prediction == "eps":  # Ho et al. 2020, equation 15
        return (x_t - sigma * F(x_t)) / alpha
    if prediction == "v":  # Salimans & Ho 2022, appendix D
        return alpha * x_t - sigma * F(x_t)
    if prediction == "x0":
        return F(x_t)
    # Karras et al. 2022, equation 7 and table 1, for x = x_t / alpha with noise level sigma / alpha.
    x, s, d = x_t / alpha, sigma / alpha, SIGMA_DATA.astype(np.float64)
    return d**2 / (s**2 + d**2) * x + s * d / np.sqrt(s**2 + d**2) * F(x / np.sqrt(s**2 + d**2))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", [MLP, ResidualMLP])
def test_predictions_convert_to_the_data(kind, prediction):
    network = randomized(kind(jax.random.key(0), columns=2, features=8, width=6, depth=2))
    t = jnp.asarray(20)
    alpha, sigma = (float(v) for v in alpha_sigma(SCHEDULE, t))
    level = jnp.asarray(np.log(alpha / sigma), jnp.float32)
    features = sinusoidal_embedding(t, 8) if kind is MLP else noise_level_embedding(level, 8)

    apply = eqx.filter_jit(network)

    def F(x):
        return np.asarray(apply(jnp.asarray(x, jnp.float32), features), np.float64)

    expected = published_denoiser(prediction, F, np.asarray(X_T, np.float64), alpha, sigma)
    denoiser = NetworkDenoiser(network=network, schedule=SCHEDULE, sigma_data=SIGMA_DATA, prediction=prediction)
    np.testing.assert_allclose(eqx.filter_jit(denoiser)(X_T, t), expected, rtol=2e-4, atol=1e-5)
    bounds = np.array([[-0.01, -0.01], [0.01, 0.01]], np.float32)
    clipped = NetworkDenoiser(
        network=network, schedule=SCHEDULE, sigma_data=SIGMA_DATA, prediction=prediction, bounds=bounds
    )
    np.testing.assert_allclose(eqx.filter_jit(clipped)(X_T, t), np.clip(expected, -0.01, 0.01), atol=1e-5)
    # Predictions of a column with little noise (here the second) are not clipped.
    least = jnp.asarray(1)
    free = np.asarray(eqx.filter_jit(denoiser)(X_T, least))
    np.testing.assert_allclose(eqx.filter_jit(clipped)(X_T, least), [np.clip(free[0], -0.01, 0.01), free[1]], atol=1e-6)


def test_residual_blocks_depend_on_the_class():
    network = randomized(ResidualMLP(jax.random.key(0), columns=2, features=16, width=6, depth=2))
    denoiser = NetworkDenoiser(
        network=network,
        schedule=SCHEDULE,
        n_classes=jnp.asarray(3),
        class_embedding=8,
        sigma_data=SIGMA_DATA,
        prediction="edm",
    )
    t = jnp.asarray(20)
    alpha, sigma = (float(v) for v in alpha_sigma(SCHEDULE, t))
    level = noise_level_embedding(jnp.asarray(np.log(alpha / sigma), jnp.float32), 8)
    for bound, label in ((denoiser, 3), (denoiser.given(jnp.asarray(1)), 1)):
        features = jnp.concatenate([level, sinusoidal_embedding(jnp.asarray(label), 8)])

        def F(x, features=features):
            return np.asarray(network(jnp.asarray(x, jnp.float32), features), np.float64)

        expected = published_denoiser("edm", F, np.asarray(X_T, np.float64), alpha, sigma)
        np.testing.assert_allclose(bound(X_T, t), expected, rtol=2e-4, atol=1e-5)
