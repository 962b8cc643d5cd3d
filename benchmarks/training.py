"""Training: microseconds per step and model for 1 to 64 models, compilation excluded, and share of the peak speed."""

import argparse

from machine import median_and_range, peak_gflops, report, seconds
from pointillist import load_pointset
from pointillist.diffusion.schedules import linear
from pointillist.engine.recipes import Architecture, Method, Recipe
from pointillist.engine.training import StackTrainer

BATCH = 64
WEIGHTS = 85_250
STEPS = 8000 // BATCH
FLOP_PER_STEP = 6 * WEIGHTS * BATCH


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 2, 8, 16, 64])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rows = load_pointset("moons")[0][None]
    trainers = {}
    first_call = {}
    for n in options.models:
        recipes = [Recipe(dataset=0, schedule=linear(200), seed=seed, epochs=10_000) for seed in range(n)]
        trainers[n] = StackTrainer(rows, recipes, Architecture(), Method(batch_size=BATCH))
        first_call[n] = seconds(lambda n=n: trainers[n].run(1), 1)[0]
    peak = peak_gflops()
    print(f"reference network ({WEIGHTS:,} weights), batch {BATCH}, Adam, moons; {options.repeats} repeats")
    print(f"peak of a large float32 product: {peak:.0f} GFLOP/s")
    print(f"{'models':>6} {'µs/step/model':>14} {'range':>14} {'GFLOP/s':>8} {'of peak':>8} {'first call':>11}")
    table = []
    for n, trainer in trainers.items():
        epochs = max(2, 32 // n)
        taken = [1e6 * t / (epochs * STEPS * n) for t in seconds(lambda: trainer.run(epochs), options.repeats)]  # noqa: B023
        median, low, high = median_and_range(taken)
        gflops = FLOP_PER_STEP / median / 1e3
        print(
            f"{n:>6} {median:>14.0f} {f'{low:.0f}-{high:.0f}':>14} {gflops:>8.0f} {gflops / peak:>8.2f}"
            f" {first_call[n]:>9.1f} s"
        )
        table.append({"models": n, "us_per_step_per_model": taken, "first_call_s": first_call[n]})
    report("training", {"peak_gflops": peak, "table": table})


if __name__ == "__main__":
    main()
