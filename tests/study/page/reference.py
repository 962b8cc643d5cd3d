"""The training of a page, in Python: the same network, seed, batches and optimizer."""

from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
import optax

from pointillist.diffusion.networks import MLP, sinusoidal_embedding
from pointillist.engine.weights import named

M32 = 2**32 - 1


def mulberry32(seed):
    """Yields numbers in [0, 1), the same for the same seed."""
    state = seed
    while True:
        state = (state + 0x6D2B79F5) & M32
        value = ((state ^ (state >> 15)) * (state | 1)) & M32
        value = ((value + (((value ^ (value >> 7)) * (value | 61)) & M32)) & M32) ^ value
        yield (value ^ (value >> 14)) / 2**32


def sfc32(seed, row):
    """C. Doty-Humphrey's small fast counting generator of a row: integers below 2^32."""
    a, b, c, counter = seed, row, 0x9E3779B9, 1
    for i in count():
        total = (a + b + counter) & M32
        counter = (counter + 1) & M32
        a, b = b ^ (b >> 9), (c + (c << 3)) & M32
        c = ((((c << 21) | (c >> 11)) & M32) + total) & M32
        if i >= 15:
            yield total


def normals(words, columns):
    """Numbers of N(0, 1) for one row, by the method of Box and Muller."""
    pairs = -(-columns // 2)
    radii, angles = np.array([[next(words), next(words)] for _ in range(pairs)]).T
    radius, angle = np.sqrt(-2 * np.log((radii + 1) / 2**32)), 2 * np.pi * angles / 2**32
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:columns]


def first_network(uniform, *, columns, features, width, depth):
    """A network with uniform weights between ± 1 / √inputs: of each layer the matrix by inputs, then the offsets."""
    network = MLP(jax.random.key(0), columns=columns, features=features, width=width, depth=depth)
    leaves = []
    for name, leaf in named(network).items():
        assert name.endswith((".weight", ".bias"))
        if leaf.ndim == 2:
            outputs, inputs = leaf.shape
        shape = (inputs, outputs) if leaf.ndim == 2 else (outputs,)
        drawn = np.array([2 * next(uniform) - 1 for _ in range(leaf.size)]).reshape(shape) / np.sqrt(inputs)
        leaves.append(np.asarray(drawn.T if leaf.ndim == 2 else drawn, np.float32))
    return jax.tree.unflatten(jax.tree.structure(network), leaves)


def loss_of(network, schedule, sigma_data, x0, times, noise, features):
    """Mean squared error of F with EDM preconditioning (Karras et al. 2022, table 1), over rows and columns."""
    alpha, sigma = (np.asarray(of, np.float64)[times, None] for of in (schedule.alpha, schedule.sigma))
    x_t = alpha * x0 + sigma * noise
    total = sigma**2 + (alpha * sigma_data) ** 2
    wanted = (x0 - alpha * sigma_data**2 / total * x_t) / (sigma * sigma_data / np.sqrt(total))
    seen = sinusoidal_embedding(jnp.asarray(times), features)
    return _error(network, jnp.asarray(x_t / np.sqrt(total), jnp.float32), seen, jnp.asarray(wanted, jnp.float32))


@jax.jit
def _error(network, x, seen, wanted):
    def error(network):
        return jnp.mean((jax.vmap(network)(x, seen) - wanted) ** 2)

    return jax.value_and_grad(error)(network)


def trained(data, schedule, sigma_data, steps, *, features, width, depth, batch, rate, seed):
    """Trains on rows of data, shape (n, columns), by Adam after a warm-up of 100 steps.

    Returns:
        The averaged weights by name, and the mean loss of the steps.
    """
    n, columns = data.shape
    uniform = mulberry32(seed)
    words = [sfc32(seed, row) for row in range(batch)]
    network = first_network(uniform, columns=columns, features=features, width=width, depth=depth)
    averages = network
    adam = optax.adam(lambda count: rate * jnp.minimum(1.0, (count + 1) / 100), b2=0.99)
    state = adam.init(network)
    losses = []
    for step in range(1, steps + 1):
        drawn = np.array([next(uniform) for _ in range(2 * batch)]).reshape(batch, 2)
        rows, times = (drawn[:, 0] * n).astype(int), 1 + (drawn[:, 1] * (len(schedule.alpha) - 1)).astype(int)
        noise = np.array([normals(generator, columns) for generator in words])
        loss, gradients = loss_of(network, schedule, sigma_data, data[rows], times, noise, features)
        losses.append(float(loss))
        updates, state = adam.update(gradients, state)
        network = optax.apply_updates(network, updates)
        averages = optax.incremental_update(network, averages, 1 - min(0.999, (1 + step) / (10 + step)))
    return named(jax.tree.map(np.asarray, averages)), np.mean(losses)
