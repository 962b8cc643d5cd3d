"""Training steps per second of stacks of models, and rows drawn per second, on GPUs, with the cards' names."""

import argparse

import jax
import numpy as np

from machine import median_and_range, report, seconds
from pointillist import load_pointset
from pointillist.diffusion.registries import sampler_named
from pointillist.diffusion.schedules import linear
from pointillist.engine.devices import configure
from pointillist.engine.recipes import Architecture, Method, Recipe
from pointillist.engine.sampling import sample_rows
from pointillist.engine.training import StackTrainer, sigma_data_of

BATCH, STEPS = 64, 8000 // 64


def main() -> None:
    """Prints both rates, or that there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--on-cpu", action="store_true", help="measure without a GPU too")
    options = parser.parse_args()
    configure()
    cards = sorted({device.device_kind for device in jax.devices() if device.platform != "cpu"})
    if not cards and not options.on_cpu:
        print("no GPU here: nothing is measured")
        return
    print(f"{jax.device_count()} x {', '.join(cards) or 'CPU device'}")
    rows = load_pointset("moons")[0]
    training = {}
    for n in options.models:
        recipes = [Recipe(dataset=0, schedule=linear(200), seed=seed, epochs=10_000) for seed in range(n)]
        trainer = StackTrainer(rows[None], recipes, Architecture(), Method(batch_size=BATCH))
        trainer.run(1)
        rates = [n * 4 * STEPS / taken for taken in seconds(lambda: trainer.run(4), options.repeats)]  # noqa: B023
        training[n] = rates
        median, low, high = median_and_range(rates)
        print(f"{n:>4} models: {median:>10,.0f} steps/s over all models ({low:,.0f} to {high:,.0f})")
    network = trainer.networks()[0]
    schedule = linear(200)
    denoiser = Architecture().denoiser(network, "eps", sigma_data_of(rows), schedule, 0)
    sampling = {}
    for name, steps in (("ancestral", 200), ("dpm", 20)):
        sampler = sampler_named(name, schedule, steps)
        draw = lambda: sample_rows(denoiser, sampler, columns=2, n_rows=options.rows, seed=0)  # noqa: B023, E731
        assert np.isfinite(draw()).all()
        rates = [options.rows / taken for taken in seconds(draw, options.repeats)]
        sampling[f"{name}, {steps}"] = rates
        median, low, high = median_and_range(rates)
        print(f"{name}, {steps} evaluations: {median:>10,.0f} rows/s ({low:,.0f} to {high:,.0f})")
    report("gpu", {"cards": cards, "training": training, "sampling": sampling})


if __name__ == "__main__":
    main()
