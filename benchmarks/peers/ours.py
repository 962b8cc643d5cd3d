"""pointillist: the published recipe by the stacked engine ("published"), and `Diffusion()` as it is ("default")."""

import argparse

import numpy as np
from common import BATCH, EPOCH, LEARNING_RATE, TIMESTEPS, Peer, main

from pointillist import Diffusion
from pointillist.diffusion.registries import sampler_named
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL
from pointillist.engine.recipes import Method, Recipe
from pointillist.engine.sampling import sample_rows
from pointillist.engine.training import StackTrainer, sigma_data_of
from pointillist.models.configuration import REPORT
from pointillist.models.gaussian import architecture_of, noise_schedule

WITHOUT_END = 1_000_000
"""Epochs of a recipe whose learning rate is constant: the benchmark says when it ends."""


class Published(Peer):
    """A stack of models of the published recipe; rows are drawn from the first."""

    def __init__(self, rows: np.ndarray, options: argparse.Namespace) -> None:
        self.rows, self.schedule = rows, noise_schedule(REPORT)
        self.parts = architecture_of(REPORT, 0, rows.shape[1])
        recipes = [
            Recipe(dataset=0, schedule=self.schedule, seed=seed, epochs=WITHOUT_END, learning_rate=LEARNING_RATE)
            for seed in range(options.seed, options.seed + options.models)
        ]
        self.trainer = StackTrainer(rows[None], recipes, self.parts, Method(batch_size=BATCH))
        self.draws = 0

    def run(self, budget: int) -> None:
        """Trains every model for so many more steps."""
        epochs = budget // EPOCH
        while epochs > 0:
            self.trainer.run(min(epochs, MAX_EPOCHS_PER_CALL))
            epochs -= MAX_EPOCHS_PER_CALL

    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows, other ones each time."""
        self.draws += 1
        bounds = np.stack([self.rows.min(axis=0), self.rows.max(axis=0)])
        network = self.trainer.networks()[0]
        denoiser = self.parts.denoiser(
            network, REPORT["prediction"], sigma_data_of(self.rows), self.schedule, 0, bounds
        )
        walk = sampler_named(sampler, self.schedule, evaluations, REPORT["variance"])
        return sample_rows(denoiser, walk, columns=2, n_rows=n_rows, seed=self.draws)


class Default(Peer):
    """The estimator, with as many epochs as the budget has steps for: its learning rate goes down over them."""

    best = ("dpm", 20)

    def __init__(self, rows: np.ndarray, options: argparse.Namespace) -> None:
        self.rows, self.seed, self.draws = rows, options.seed, 0

    def run(self, budget: int) -> None:
        """Fits anew."""
        self.model = Diffusion(epochs=budget // EPOCH, random_state=self.seed).fit(self.rows)

    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows, other ones each time."""
        self.draws += 1
        evaluations = min(evaluations, TIMESTEPS)
        return self.model.sample(n_rows, sampler=sampler, steps=evaluations, random_state=self.draws)


def peer(rows: np.ndarray, options: argparse.Namespace) -> Peer:
    """The variant that is asked for."""
    return {"published": Published, "default": Default}[options.variant](rows, options)


if __name__ == "__main__":
    main(peer)
