import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.denoisers import NetworkDenoiser
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.networks import MLP, sinusoidal_embedding
from pointillist.diffusion.schedules import alpha_sigma, linear

SCHEDULE = linear(200)
NETWORK = MLP(jax.random.key(0), columns=2, features=32, width=128, depth=5)
CONDITIONAL = NetworkDenoiser(network=NETWORK, schedule=SCHEDULE, n_classes=jnp.asarray(3), class_embedding=16)
PLAIN = NetworkDenoiser(network=MLP(jax.random.key(1), columns=2, features=16, width=8, depth=1), schedule=SCHEDULE)
X_T = jnp.array([0.7, -0.2])


def test_each_class_has_an_embedding_and_no_class_has_one_more():
    t = jnp.asarray(20)
    for denoiser, label in [(CONDITIONAL, 3), (CONDITIONAL.given(jnp.asarray(1)), 1)]:
        features = jnp.concatenate([sinusoidal_embedding(t, 16), sinusoidal_embedding(jnp.asarray(label), 16)])
        alpha_t, sigma_t = alpha_sigma(SCHEDULE, t)
        eps = (X_T - alpha_t * denoiser(X_T, t)) / sigma_t
        np.testing.assert_allclose(eps, NETWORK(X_T, features), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("w", [0.0, 0.5, 4.0])
def test_classifier_free_guidance_equals_the_formula_in_eps(w):
    t, label = jnp.asarray(50), jnp.asarray(2)

    def eps(denoiser):
        alpha_t, sigma_t = alpha_sigma(SCHEDULE, t)
        return (X_T - alpha_t * denoiser(X_T, t)) / sigma_t

    guided = ClassifierFree(CONDITIONAL, w)
    expected = (1 + w) * eps(CONDITIONAL.given(label)) - w * eps(CONDITIONAL)
    np.testing.assert_allclose(eps(guided.given(label)), expected, rtol=1e-3, atol=1e-5)
    # Guidance needs a class.
    np.testing.assert_allclose(guided(X_T, t), CONDITIONAL(X_T, t), rtol=1e-5)


def test_guidance_calls_the_network_once_on_a_doubled_batch():
    rows, labels = jnp.zeros((500, 2)), jnp.zeros(500, jnp.int32)

    def sizes(denoiser):
        program = jax.make_jaxpr(jax.vmap(lambda x, label: denoiser.given(label)(x, jnp.asarray(50))))(rows, labels)
        products = [e for e in program.eqns if e.primitive.name == "dot_general"]
        return [e.outvars[0].aval.size for e in products if e.invars[1].aval.shape == (128, 128)]

    # The first of the five hidden layers belongs to the input layer.
    assert sizes(CONDITIONAL) == [500 * 128] * 4
    assert sizes(ClassifierFree(CONDITIONAL, 1.0)) == [1000 * 128] * 4
