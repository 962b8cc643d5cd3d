"""smalldiffusion's own `training_loop` and `samples`, around a network of the benchmark's size.

The library shows a network x_0 + σ ε and σ; `Scaled` keeps its input's size. Its loop has AdamW. `samples` with
mu = 1/2 is DDPM; with gam = 2 it is its accelerated sampler of second order.
"""

import argparse

import numpy as np
import torch
from accelerate import Accelerator
from common import BATCH, BETA_END, BETA_START, LEARNING_RATE, TIMESTEPS, Peer, main
from smalldiffusion import ModelMixin, Scaled, ScheduleDDPM, ScheduleLogLinear, samples, training_loop
from torch import nn
from torch.utils.data import DataLoader
from torch_parts import averaged, layers, of_noise_level


class Network(nn.Module, ModelMixin):
    """ε of rows at levels σ, of which there is one a row or one for all."""

    input_dims = (2,)

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.layers = of_noise_level(), layers()

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, cond: None = None) -> torch.Tensor:
        """Shapes (m, 2) and (m, 1) or () → (m, 2)."""
        level = sigma.log().reshape(-1)
        return self.layers(torch.cat([x, self.embedding(level).expand(len(x), -1)], dim=1))


class SmallDiffusion(Peer):
    """Its schedule of the benchmark for the times, and the one of its own examples for quality."""

    # With as many evaluations as its schedule has levels two of these are equal, and its rows NaN.
    best = ("ancestral", TIMESTEPS // 2)

    def __init__(self, rows: np.ndarray, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.model = Scaled(Network)()
        self.schedule = ScheduleDDPM(TIMESTEPS, BETA_START, BETA_END)
        if options.is_quality:
            self.schedule = ScheduleLogLinear(TIMESTEPS, sigma_min=0.005, sigma_max=10)
        self.average = averaged(self.model) if options.is_quality else None
        self.accelerator = Accelerator(cpu=True)
        loader = DataLoader(torch.from_numpy(rows), batch_size=BATCH, shuffle=True)
        self.training = training_loop(loader, self.model, self.schedule, self.accelerator, lr=LEARNING_RATE)

    def run(self, budget: int) -> None:
        """Trains for so many more steps."""
        for _ in range(budget):
            next(self.training)
            if self.average is not None:
                self.average.update_parameters(self.model)

    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows, all side by side."""
        kind = {"gam": 1.0, "mu": 0.5} if sampler == "ancestral" else {"gam": 2.0}
        sigmas = self.schedule.sample_sigmas(evaluations)
        model = self.model if self.average is None else self.average.module
        *_, rows = samples(model, sigmas, **kind, batchsize=n_rows, accelerator=self.accelerator)
        return rows.numpy()


if __name__ == "__main__":
    main(SmallDiffusion)
