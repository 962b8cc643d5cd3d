"""Largest networks that one machine holds: seconds and peak memory of two training steps, and seconds of a draw.

Each size runs in its own process, on a table of 64 columns in batches of 4,096 rows, with the default network of
residual blocks. Compilation counts.
"""

import argparse
import json
import os
import resource
import subprocess
import sys

from machine import report, seconds

COLUMNS, BATCH, DRAWN = 64, 4096, 1000


def _measured(width: int, depth: int) -> dict[str, float]:
    import jax
    import numpy as np

    from pointillist import Diffusion

    rows = np.random.default_rng(0).standard_normal((2 * BATCH, COLUMNS))
    model = Diffusion(width=width, depth=depth, batch_size=BATCH, epochs=1, random_state=0)
    fit = seconds(lambda: model.fit(rows), 1)[0]
    trained = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    drawn = seconds(lambda: model.sample(DRAWN, random_state=0), 1)[0]
    weights = sum(leaf.size for leaf in jax.tree.leaves(model.model_.network))
    return {"weights": weights, "fit_s": fit, "peak_gib": trained, "draw_s": drawn}


def main() -> None:
    """Prints the table; in the process of one size, measures that size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measured(options.measure, options.depth)))
        return
    table = {}
    print(
        f"| width x depth | weights | fit, two steps, s | peak GiB | {DRAWN:,} rows drawn, s |\n|---|---|---|---|---|"
    )
    for width in options.widths:
        command = [sys.executable, __file__, "--measure", str(width), "--depth", str(options.depth)]
        environment = {**os.environ, "POINTILLIST_CACHE": "off"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        name = f"{width} x {options.depth}"
        if done.returncode:
            # Also where the system ended it for want of memory.
            why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            print(f"| {name} | | {why[:100]} | | |", flush=True)
            continue
        table[name] = each = json.loads(done.stdout)
        cells = f"{each['fit_s']:.0f} | {each['peak_gib']:.1f} | {each['draw_s']:.0f}"
        print(f"| {name} | {each['weights'] / 1e6:.0f} million | {cells} |", flush=True)
    report("large", {"table": table})


if __name__ == "__main__":
    main()
