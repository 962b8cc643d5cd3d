"""ForestDiffusion on a small table: fits, draws rows, and prints the seconds of the fit.

`python forest_tables.py IN OUT {flow,vp}`: IN is an .npz file with `numbers`, shape (n, d), and `labels`, shape (n,),
integers from 0 on, empty where there are none; OUT gets `numbers` and `labels` of new rows. Everything is as by
default, but for the copies of each row if `--copies` asks for fewer than its 100. Labels are its `label_y`, as its
documentation advises (a model for each class), and columns that hold integers only are its `int_indexes`.
"""

import argparse
import time

import numpy as np
from ForestDiffusion import ForestDiffusionModel


def main() -> None:
    """Fits, draws, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("out")
    parser.add_argument("kind", choices=("flow", "vp"))
    parser.add_argument("--rows", type=int, required=True, help="how many to draw")
    parser.add_argument("--copies", type=int, default=100, help="noised copies of each row to fit to")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with np.load(options.table) as table:
        numbers, labels = table["numbers"], table["labels"]
    start = time.perf_counter()
    model = ForestDiffusionModel(
        numbers,
        label_y=labels if len(labels) else None,
        int_indexes=np.flatnonzero((numbers == np.round(numbers)).all(axis=0)).tolist(),
        diffusion_type=options.kind,
        duplicate_K=options.copies,
        seed=options.seed,
    )
    fit = time.perf_counter() - start
    rows = model.generate(batch_size=options.rows)
    drawn = rows[:, -1].astype(np.int64) if len(labels) else labels
    np.savez(options.out, numbers=rows[:, : numbers.shape[1]], labels=drawn)
    print(fit)


if __name__ == "__main__":
    main()
