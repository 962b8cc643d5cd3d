import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.networks import MLP, ResidualMLP, noise_level_embedding, sinusoidal_embedding, waves


@pytest.mark.parametrize("columns,n_weights", [(2, 85_250), (3, 85_507), (64, 101_184)])
def test_the_reports_network(columns, n_weights):
    network = MLP(jax.random.key(0), columns=columns, features=16, width=128, depth=5)
    shapes = [layer.weight.shape for layer in (network.input, *network.hidden, network.output)]
    assert shapes == [(128, columns + 16), *[(128, 128)] * 5, (columns, 128)]
    assert sum(leaf.size for leaf in jax.tree.leaves(network)) == n_weights
    assert network.features == 16


def test_forward_pass_is_linear_then_relu_blocks_then_linear():
    network = MLP(jax.random.key(1), columns=2, features=16, width=128, depth=5)
    x_t, features = jnp.array([0.3, -0.8]), sinusoidal_embedding(jnp.array(17), 16)
    weights = [
        (np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64))
        for layer in (network.input, *network.hidden, network.output)
    ]
    h = weights[0][0] @ np.concatenate([x_t, features]) + weights[0][1]
    for weight, bias in weights[1:-1]:
        h = np.maximum(weight @ h + bias, 0)
    np.testing.assert_allclose(network(x_t, features), weights[-1][0] @ h + weights[-1][1], rtol=1e-4, atol=1e-6)


def test_embedding_against_its_formula():
    t = np.array([0, 1, 150])
    angle = t[:, None] * 10_000.0 ** (-np.arange(8) / 7)
    np.testing.assert_allclose(
        sinusoidal_embedding(jnp.asarray(t), 16), np.concatenate([np.sin(angle), np.cos(angle)], 1), atol=2e-5
    )


def test_noise_level_embedding_against_its_formula():
    value = np.array([-4.0, 0.3, 5.0])
    angle = value[:, None] * 0.25 * 32.0 ** (np.arange(8) / 7)
    np.testing.assert_allclose(
        noise_level_embedding(jnp.asarray(value, jnp.float32), 16),
        np.concatenate([np.sin(angle), np.cos(angle)], 1),
        atol=1e-5,
    )


def test_waves_of_many_frequencies_against_numpy():
    x, frequencies = np.linspace(-6, 6, 20_001, dtype=np.float32), [2.0**i for i in range(16)]
    angles = [frequency * x.astype(float) for frequency in frequencies]
    expected = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    # The first rounding error is at most 2⁻²⁴, and each of five doublings multiplies it by at most 4.
    np.testing.assert_allclose(jnp.stack(waves(jnp.asarray(x), frequencies)), expected, rtol=0, atol=4**5 * 2.0**-24)


def test_residual_blocks_against_their_formula():
    network = ResidualMLP(jax.random.key(2), columns=3, features=8, width=12, depth=2)
    # New networks have output 0: other weights make it visible.
    leaves, structure = jax.tree.flatten(network)
    keys = jax.random.split(jax.random.key(3), len(leaves))
    network = jax.tree.unflatten(
        structure, [jax.random.normal(k, a.shape) / 3 for k, a in zip(keys, leaves, strict=True)]
    )
    x, features = np.array([0.3, -0.8, 1.1]), np.linspace(-1, 1, 8)

    def linear(layer, v):
        return v @ np.asarray(layer.weight, np.float64) + np.asarray(layer.bias, np.float64)

    seen = np.concatenate([x, np.sin(x), np.cos(x), np.sin(2 * x), np.cos(2 * x)])
    h, modulation = linear(network.input, seen), linear(network.modulation, features).reshape(2, 2, 12)
    for inner, outer, (scale, shift) in zip(network.inner, network.outer, modulation, strict=True):
        u = linear(inner, (1 + scale) * h / np.sqrt(np.mean(h**2) + 1e-6) + shift)
        h = h + linear(outer, u / (1 + np.exp(-u)))
    asked = jnp.asarray(x, jnp.float32), jnp.asarray(features, jnp.float32)
    np.testing.assert_allclose(network(*asked), linear(network.output, h), rtol=1e-4, atol=1e-5)
    # Contributions of parts of the features add up.
    contributions = network.contribution(asked[1][:5]) + network.contribution(asked[1][5:], 5)
    np.testing.assert_allclose(
        network.from_contributions(asked[0], contributions), network(*asked), rtol=1e-4, atol=1e-5
    )


def test_a_residual_network_begins_at_zero():
    network = ResidualMLP(jax.random.key(0), columns=2, features=32, width=96, depth=3)
    assert network.features == 32
    np.testing.assert_array_equal(network(jnp.ones(2), jnp.ones(32)), np.zeros(2))
