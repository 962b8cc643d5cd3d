import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.networks import MLP, sinusoidal_embedding


@pytest.mark.parametrize("columns,n_weights", [(2, 85_250), (3, 85_507), (64, 101_184)])
def test_the_reports_network(columns, n_weights):
    network = MLP(jax.random.key(0), columns=columns, features=16, width=128, depth=5)
    shapes = [layer.weight.shape for layer in (network.input, *network.hidden, network.output)]
    assert shapes == [(128, columns + 16), *[(128, 128)] * 5, (columns, 128)]
    assert sum(leaf.size for leaf in jax.tree.leaves(network)) == n_weights
    assert (network.columns, network.features) == (columns, 16)


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
