import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pointillist import load_pointset
from pointillist.diffusion.losses import noise_prediction_loss
from pointillist.diffusion.networks import sinusoidal_embedding
from pointillist.diffusion.schedules import cosine, linear
from pointillist.engine import training
from pointillist.engine.training import Architecture, Recipe, StackTrainer, training_key

SMALL = Architecture(width=16, depth=2, time_embedding=8)
ROWS = np.stack([load_pointset(name, n_rows=200)[0] for name in ("moons", "circles")])
RECIPES = [
    Recipe(dataset=0, schedule=linear(200), seed=1, epochs=5),
    Recipe(dataset=1, schedule=cosine(50), seed=2, epochs=3, learning_rate=1e-2),
    Recipe(dataset=0, schedule=linear(10), seed=3, epochs=5),
]


def trained(recipes, devices=None, calls=(5,), architecture=SMALL):
    trainer = StackTrainer(ROWS, recipes, architecture, batch_size=32, devices=devices)
    losses = [np.empty(0)] * len(recipes)
    for epochs in calls:
        losses = [np.concatenate(pair) for pair in zip(losses, trainer.run(epochs), strict=True)]
    return trainer, losses


def assert_same(first, second):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "architecture", [pytest.param(SMALL, marks=pytest.mark.slow), Architecture()], ids=["small", "report"]
)
def test_stacked_equals_single_to_the_last_bit(architecture):
    stacked, losses = trained(RECIPES, architecture=architecture)
    for i, recipe in enumerate(RECIPES):
        single, single_losses = trained([recipe], architecture=architecture)
        assert_same(stacked.states()[i], single.states()[0])
        np.testing.assert_array_equal(losses[i], single_losses[0])


def test_number_of_devices_changes_nothing():
    two, _ = trained(RECIPES)
    one, _ = trained(RECIPES, devices=jax.devices()[:1])
    assert_same(two.states(), one.states())


def test_stops_and_restores_change_nothing():
    whole, losses = trained(RECIPES)
    parts, part_losses = trained(RECIPES, calls=(1, 2))
    assert parts.epochs_done == [3, 3, 3] and not parts.is_done
    # Another stack, in another order, goes on from the states of the first.
    on = StackTrainer(ROWS, RECIPES[::-1], SMALL, batch_size=32)
    on.restore(parts.states()[::-1])
    rest = on.run(5)[::-1]
    assert on.is_done and on.epochs_done == [5, 3, 5]
    assert_same(on.states()[::-1], whole.states())
    for i in range(3):
        np.testing.assert_array_equal(np.concatenate([part_losses[i], rest[i]]), losses[i])


def test_seeds_differ_and_repeat():
    again, _ = trained(RECIPES[:1])
    other, _ = trained([Recipe(dataset=0, schedule=linear(200), seed=9, epochs=5)])
    assert_same(again.networks(), trained(RECIPES[:1])[0].networks())
    assert not np.array_equal(again.networks()[0].output.weight, other.networks()[0].output.weight)


def test_one_epoch_against_a_plain_optax_loop():
    """The same keys, an independent loop: optax.adam on whole batches, one step at a time."""
    recipe = Recipe(dataset=0, schedule=linear(200), seed=1, epochs=1, learning_rate=3e-3)
    trainer = StackTrainer(ROWS, [recipe], SMALL, batch_size=32)
    network = jax.tree.map(jnp.asarray, trainer.networks()[0])
    optimiser = optax.adam(3e-3)
    state = optimiser.init(network)
    order_key, time_key, noise_key = jax.random.split(jax.random.fold_in(training_key(1), 1), 3)
    order = jax.random.permutation(order_key, 200)[:192]
    t = jax.random.randint(time_key, (192,), 1, 201)
    eps = jax.random.normal(noise_key, (192, 2))
    for i in range(6):
        batch = slice(32 * i, 32 * (i + 1))
        alpha, sigma = (jnp.asarray(table)[t[batch], None] for table in (recipe.schedule.alpha, recipe.schedule.sigma))
        x_t = alpha * ROWS[0][order[batch]] + sigma * eps[batch]
        gradient = jax.grad(noise_prediction_loss)(network, x_t, sinusoidal_embedding(t[batch], 8), eps[batch])
        updates, state = optimiser.update(gradient, state)
        network = jax.tree.map(jnp.add, network, updates)
    trainer.run(1)
    for mine, theirs in zip(jax.tree.leaves(trainer.networks()[0]), jax.tree.leaves(network), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_training_lowers_the_loss_to_below_the_trivial_one():
    # Predicting ε = 0 costs 1, the variance of the noise.
    _, losses = trained([Recipe(dataset=0, schedule=linear(200), seed=1, epochs=60)], calls=(60,))
    assert losses[0][:3].mean() > 0.85 and losses[0][-10:].mean() < 0.6


def test_a_second_stack_of_the_same_shape_compiles_nothing():
    trained(RECIPES)
    before = training._run._cache_size()
    trained(RECIPES[::-1], calls=(1, 2, 2))
    assert training._run._cache_size() == before


def test_batch_size_must_fit():
    with pytest.raises(ValueError, match=r"batch_size must be between 1 and the number of rows, 200; it is 201"):
        StackTrainer(ROWS, RECIPES, SMALL, batch_size=201)
