import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pointillist import load_pointset
from pointillist.diffusion.losses import Objective, denoising_loss
from pointillist.diffusion.networks import sinusoidal_embedding
from pointillist.diffusion.schedules import cosine, linear
from pointillist.engine import training
from pointillist.engine.epochs import clipped, shuffled
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.recipes import Architecture, Method, Recipe
from pointillist.engine.training import StackTrainer

SMALL = Architecture(width=16, depth=2, time_embedding=8)
ROWS = np.stack([load_pointset(name, n_rows=200)[0] for name in ("moons", "circles")])
RECIPES = [
    Recipe(dataset=0, schedule=linear(200), seed=1, epochs=5),
    Recipe(dataset=1, schedule=cosine(50), seed=2, epochs=3, learning_rate=1e-2),
    Recipe(dataset=0, schedule=linear(10), seed=3, epochs=5),
]


def trained(recipes, devices=None, calls=(5,), architecture=SMALL):
    trainer = StackTrainer(ROWS, recipes, architecture, method=Method(batch_size=32), devices=devices)
    losses = [np.empty(0)] * len(recipes)
    for epochs in calls:
        losses = [np.concatenate(pair) for pair in zip(losses, trainer.run(epochs), strict=True)]
    return trainer, losses


def assert_same(first, second):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "architecture", [SMALL, pytest.param(Architecture(), marks=pytest.mark.slow)], ids=["small", "report"]
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


def test_stopping_and_restoring_changes_nothing():
    whole, losses = trained(RECIPES)
    parts, part_losses = trained(RECIPES, calls=(1, 2))
    assert parts.epochs_done == [3, 3, 3] and not parts.is_done
    # Another stack continues from the states of the first, in another order.
    on = StackTrainer(ROWS, RECIPES[::-1], SMALL, method=Method(batch_size=32))
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


@pytest.mark.parametrize(
    "is_best", [pytest.param(False, id="plain", marks=pytest.mark.slow), pytest.param(True, id="all")]
)
def test_one_epoch_against_a_plain_optax_loop(is_best):
    """Trains with the same keys in an independent loop: Optax's Adam or AdamW on whole batches, one step at a time."""
    schedule = cosine(200)
    recipe = Recipe(dataset=0, schedule=schedule, seed=1, epochs=1, learning_rate=3e-3)
    method = Method(batch_size=32)
    if is_best:
        recipe = recipe._replace(warmup=3, decay=True, averaging=0.5, weight_decay=5.0)
        method = Method(Objective("edm", "uniform", "log-normal"), 32, is_averaged=True, is_decayed=True)
    trainer = StackTrainer(ROWS, [recipe], SMALL, method)
    network = average = jax.tree.map(jnp.asarray, trainer.networks()[0])
    rate = optax.join_schedules([optax.linear_schedule(1e-3, 3e-3, 2), lambda i: 3e-3], [2])
    optimiser = optax.adam(3e-3)
    if is_best:
        are_products = jax.tree.map(lambda w: w.ndim > 1, network)
        optimiser = optax.adamw(
            lambda i: rate(i) * 0.5 * (1 + jnp.cos(jnp.pi * i / 6)), weight_decay=5.0, mask=are_products
        )
    state = optimiser.init(network)
    epoch_key = jax.random.fold_in(key_of(1, Stream.TRAINING), 1)
    order_key, level_key, noise_key = (jax.random.fold_in(epoch_key, i) for i in range(3))
    order = shuffled(order_key, 200, 200)[:192]
    fraction = jax.random.uniform(level_key, (6, 32)).ravel()
    eps = jax.random.normal(noise_key, (192, 2))
    if is_best:
        # Strata of the noise levels, and noise in pairs of opposite sign.
        fraction = ((jnp.arange(32)[None] + jax.random.uniform(level_key, (6, 1))) / 32).ravel()
        eps = jax.random.normal(noise_key, (6, 16, 2))[:, :, None] * jnp.array([1.0, -1.0])[None, None, :, None]
        eps = eps.reshape(192, 2)
    sigma_data = jnp.asarray(np.sqrt((ROWS[0] ** 2).mean(axis=0)))
    x0 = jnp.asarray(ROWS[0])[order]
    noised = jax.jit(method.objective.noised)(x0, eps, fraction, schedule, sigma_data)
    if not is_best:
        alpha, sigma = (jnp.asarray(table)[noised.t, None] for table in (schedule.alpha, schedule.sigma))
        np.testing.assert_allclose(noised.inside, alpha * x0 + sigma * eps, atol=1e-6)

    @jax.jit
    def stepped(network, average, state, kept, *examples):
        updates, state = optimiser.update(jax.grad(denoising_loss)(network, *examples), state, network)
        network = jax.tree.map(jnp.add, network, updates)
        return network, jax.tree.map(lambda a, w: kept * a + (1 - kept) * w, average, network), state

    for i in range(6):
        batch = slice(32 * i, 32 * (i + 1))
        features = sinusoidal_embedding(noised.t[batch], 8)
        examples = noised.inside[batch], features, noised.target[batch], noised.weight[batch]
        network, average, state = stepped(network, average, state, min(0.5, (i + 1) / (i + 10)), *examples)
    trainer.run(1)
    (found,) = trainer.states()
    pairs = [(found.network, network), (trainer.networks()[0], average if is_best else network)]
    for mine, theirs in pairs:
        for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)
    assert (found.average is not None) == is_best


@pytest.mark.parametrize("n", [1, 7, 2**16 + 1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 256, 2**16))])
def test_an_order_contains_every_row_once(n):
    order = np.asarray(shuffled(jax.random.key(0), n, n))
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_tables_with_other_numbers_of_rows_share_a_program():
    training._run.clear_cache()
    for n in 200, 190:
        StackTrainer(ROWS[:, :n], RECIPES[:1], SMALL, method=Method(batch_size=32)).run(1)
    assert training._run._cache_size() == 1
    # Rows of the padding come last.
    order = np.asarray(shuffled(jax.random.key(0), 190, 256))[:190]
    np.testing.assert_array_equal(order, shuffled(jax.random.key(0), 190, 190))


def test_orders_are_uniform():
    """Six rows are equally often at each index: chi-square of 25 degrees of freedom, below 44.3 in 99 % of cases."""
    orders = np.asarray(jax.vmap(lambda key: shuffled(key, 6, 6))(jax.random.split(jax.random.key(1), 6000)))
    counts = (orders[:, :, None] == np.arange(6)).sum(axis=0)
    assert ((counts - 1000) ** 2 / 1000).sum() < 44.3
    # A neighbor in the table is a neighbor in the order as often as any other row.
    order = np.asarray(shuffled(jax.random.key(2), 8000, 8000)).astype(int)
    assert (np.diff(order) == 1).sum() <= 6


def test_training_lowers_the_loss_to_below_the_trivial_one():
    # Predicting ε = 0 costs 1, the variance of the noise.
    _, losses = trained([Recipe(dataset=0, schedule=linear(200), seed=1, epochs=60)], calls=(60,))
    assert losses[0][:3].mean() > 0.85 and losses[0][-10:].mean() < 0.6


def test_a_second_stack_of_the_same_shape_compiles_nothing():
    trained(RECIPES)
    before = training._run._cache_size()
    trained(RECIPES[::-1], calls=(1, 2, 2))
    assert training._run._cache_size() == before


def trained_in_parts(n_devices, **changes):
    method = Method(batch_size=64, parts=8, **changes)
    recipe = Recipe(dataset=0, schedule=linear(200), seed=1, epochs=3, clip=0.05)
    trainer = StackTrainer(ROWS, [recipe], SMALL, method, devices=jax.devices()[:n_devices])
    (losses,) = trainer.run(3)
    return trainer.networks()[0], losses


def test_devices_share_a_batch_and_the_weights_are_the_same_bit_for_bit():
    alone, losses = trained_in_parts(1)
    together, losses_together = trained_in_parts(2)
    np.testing.assert_array_equal(losses, losses_together)
    assert_same(alone, together)


def test_cores_share_a_batch_only_on_request():
    recipe = Recipe(dataset=0, schedule=linear(200), seed=1, epochs=3)
    method = Method(batch_size=64, parts=8)
    assert StackTrainer(ROWS, [recipe], SMALL, method)._mesh.size == 1
    assert StackTrainer(ROWS, [recipe], SMALL, method, devices=jax.devices()[:2])._mesh.size == 2


@pytest.mark.slow
def test_a_batch_in_parts_gives_the_same_training():
    """Averaging the gradients of the parts gives the gradient of the mean loss."""
    in_parts, losses = trained_in_parts(2)
    recipe = Recipe(dataset=0, schedule=linear(200), seed=1, epochs=3)
    whole = StackTrainer(ROWS, [recipe], SMALL, Method(batch_size=64))
    np.testing.assert_allclose(whole.run(3)[0], losses, rtol=1e-4)
    for a, b in zip(jax.tree.leaves(in_parts), jax.tree.leaves(whole.networks()[0]), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_a_clipped_gradient_has_the_requested_norm():
    gradient = SMALL.build(jax.random.key(0), 2)
    for largest in (0.5, 100.0):
        expected = optax.clip_by_global_norm(largest).update(gradient, optax.EmptyState())[0]
        found = clipped(gradient, jnp.asarray(largest, jnp.float32))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    assert_same(found, gradient)


@pytest.mark.slow
def test_lower_precision_learns_about_the_same_and_keeps_float32_weights():
    exact, losses = trained_in_parts(2)
    lower, lower_losses = trained_in_parts(2, precision="bfloat16")
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(lower))
    assert not np.array_equal(exact.output.weight, lower.output.weight)
    np.testing.assert_allclose(lower_losses, losses, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [None, 5])
def test_models_trained_together_equal_models_trained_one_by_one(capacity):
    """Checks GPU-style training on CPU devices: equal to rounding, for the epochs of each model."""
    one_by_one, losses = trained(RECIPES)
    at_once = StackTrainer(ROWS, RECIPES, SMALL, method=Method(batch_size=32), capacity=capacity, is_side_by_side=True)
    for a, b in zip(at_once.run(5), losses, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert at_once.epochs_done == [5, 3, 5] and at_once.is_done
    for a, b in zip(jax.tree.leaves(at_once.networks()), jax.tree.leaves(one_by_one.networks()), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_shortened_training_is_the_same_as_a_short_one():
    def networks(epochs):
        recipes = [recipe._replace(epochs=epochs, decay=True) for recipe in RECIPES]
        trainer = StackTrainer(ROWS, recipes, SMALL, method=Method(batch_size=32))
        trainer.end_after(3)
        while not trainer.is_done:
            trainer.run(2)
        return trainer.networks()

    assert_same(networks(9), networks(3))
