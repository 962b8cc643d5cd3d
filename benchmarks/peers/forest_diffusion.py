"""ForestDiffusion: gradient-boosted trees in place of a network; the variants are its "flow" and "vp".

It does not take steps: a budget is `duplicate_K`, the noised copies of each row that its trees are fitted to, all else
as by default, and each budget is a fit of its own.
"""

import argparse

import numpy as np
from common import Peer, main
from ForestDiffusion import ForestDiffusionModel


class Forest(Peer):
    """One fit."""

    samplers = ("its own",)
    best = ("its own", 50)

    def __init__(self, rows: np.ndarray, options: argparse.Namespace) -> None:
        self.rows, self.options = rows, options

    def run(self, budget: int) -> None:
        """Fits with so many copies of each row."""
        self.model = ForestDiffusionModel(
            self.rows,
            duplicate_K=budget,
            diffusion_type=self.options.variant,
            n_jobs=1,
            seed=self.options.seed,
            nthread=self.options.threads,
        )

    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows."""
        return self.model.generate(batch_size=n_rows, n_t=evaluations)


if __name__ == "__main__":
    main(Forest)
