"""One training step of a wide network: two devices of one process, or two processes with a device each.

Both compute half of a batch of 2,048 rows on each device and average the gradients, the processes with JAX's
collectives over the local network. Processor seconds are those of all processes and do not depend on other programs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from machine import report

WIDTH, DEPTH, BATCH, STEPS, RUNS = 1024, 8, 2048, 8, 2
PORT = 23_456


def steps(n: int, index: int) -> tuple[list[float], float]:
    """Returns the seconds of each step, and the processor seconds of this process per step."""
    if n == 1:
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    import jax
    import jax.numpy as jnp
    import numpy as np

    if n > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{PORT}", n, index)
    mesh = jax.make_mesh((2,), ("device",))
    everywhere, by_row = (jax.NamedSharding(mesh, jax.P(*axes)) for axes in ((), ("device",)))

    def loss(weights: list[jax.Array], rows: jax.Array) -> jax.Array:
        h = rows
        for weight in weights:
            h = h + jax.nn.silu(h @ weight)
        return jnp.mean((h - rows) ** 2)

    @jax.jit
    def step(weights: list[jax.Array], rows: jax.Array) -> list[jax.Array]:
        moved = [w - 1e-3 * g for w, g in zip(weights, jax.grad(loss)(weights, rows), strict=True)]
        return jax.lax.with_sharding_constraint(moved, everywhere)

    rng, size = np.random.default_rng(0), BATCH // n
    drawn = [rng.normal(scale=WIDTH**-0.5, size=(WIDTH, WIDTH)).astype(np.float32) for _ in range(DEPTH)]
    weights = [jax.make_array_from_process_local_data(everywhere, each) for each in drawn]
    part = rng.normal(size=(BATCH, WIDTH)).astype(np.float32)[index * size : (index + 1) * size]
    rows = jax.make_array_from_process_local_data(by_row, part, (BATCH, WIDTH))
    weights = jax.block_until_ready(step(weights, rows))
    seconds, processor = [], time.process_time()
    for _ in range(STEPS):
        start = time.perf_counter()
        weights = jax.block_until_ready(step(weights, rows))
        seconds.append(time.perf_counter() - start)
    return seconds, (time.process_time() - processor) / STEPS


def main() -> None:
    """Prints the table; in one of the processes, measures its steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--process", type=int, nargs=2, metavar=("N", "INDEX"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        # JAX's collectives print other lines.
        print("RESULT", json.dumps(steps(*options.process)))
        return
    found: dict[int, list[tuple[list[float], float]]] = {1: [], 2: []}
    for _ in range(RUNS):
        for n, measured in found.items():
            command = [sys.executable, __file__, "--process", str(n)]
            started = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True) for i in range(n)]
            outputs = [json.loads(each.communicate()[0].rpartition("RESULT ")[2]) for each in started]
            measured.append((outputs[0][0], sum(processor for _, processor in outputs)))
    print("| processes | seconds a step, median | fastest | processor seconds a step |\n|---|---|---|---|")
    table = {}
    for n, measured in found.items():
        seconds = [each for run, _ in measured for each in run]
        processor = statistics.median(each for _, each in measured)
        table[n] = {"median_s": statistics.median(seconds), "fastest_s": min(seconds), "processor_s": processor}
        print(f"| {n} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {processor:.2f} |")
    report("data_parallel", {"table": table})


if __name__ == "__main__":
    main()
