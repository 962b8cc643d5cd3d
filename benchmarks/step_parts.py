"""Parts of a training step's time on one core: forward, with gradient, with Adam, and the matrix products alone."""

import os

os.environ["POINTILLIST_DEVICES"] = "1"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp

from machine import median_and_range, report, seconds
from pointillist.diffusion.losses import denoising_loss
from pointillist.engine.devices import configure
from pointillist.engine.epochs import TrainingState, updated
from pointillist.engine.recipes import Architecture

STEPS, BATCH, WIDTH = 1000, 64, 128


def forward(carry, batch):
    """Computes the loss alone."""
    network, total = carry
    return (network, total + denoising_loss(network, *batch)), None


def gradient(carry, batch):
    """Computes the loss and its gradient, which is added up so that no part of it is optimized away."""
    network, total = carry
    return (network, jax.tree.map(jnp.add, total, jax.grad(denoising_loss)(network, *batch))), None


def adam(carry, batch):
    """Makes a whole step."""
    return updated(carry, jax.grad(denoising_loss)(carry.network, *batch), 1e-3, 0.0, 0.0), None


def products(carry, _):
    """Computes as many products of 64 x 128 by 128 x 128 as the five hidden layers take, forward and backward."""
    x, w = carry
    for _ in range(15):
        x = x @ w
    return (x, w), None


def main() -> None:
    """Prints the table."""
    configure()
    key = jax.random.key(0)
    network = Architecture().build(key, 2)
    batches = tuple(jax.random.normal(key, (STEPS, BATCH, columns)) for columns in (2, 16, 2))
    batches += (jnp.ones((STEPS, BATCH, 1)),)
    square = jax.random.normal(key, (WIDTH, WIDTH)) / WIDTH**0.5
    parts = {
        "products of the hidden layers": (products, (batches[1][0] @ square[:16], square)),
        "forward": (forward, (network, jnp.zeros(()))),
        "forward and gradient": (gradient, (network, jax.tree.map(jnp.zeros_like, network))),
        "whole step with Adam": (adam, TrainingState.initial(network, is_averaged=False)),
    }
    table = {}
    for name, (body, carry) in parts.items():
        run = jax.jit(lambda carry, batches, body=body: jax.lax.scan(body, carry, batches)[0])
        jax.block_until_ready(run(carry, batches))
        taken = seconds(lambda run=run, carry=carry: jax.block_until_ready(run(carry, batches)), 7)
        table[name] = [1e6 * t / STEPS for t in taken]
        median, low, high = median_and_range(table[name])
        print(f"{name:<32} {median:6.0f} µs ({low:.0f} to {high:.0f})")
    report("step_parts", {"us": table})


if __name__ == "__main__":
    main()
