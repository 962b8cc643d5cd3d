"""azula's own denoiser, loss, schedule and samplers around the layers of the benchmark; it has no training loop.

`xEABSampler` is its DPM-Solver++. Its schedule is continuous, with the ends of the benchmark's for the times; for
quality with its own.
"""

import argparse

import numpy as np
import torch
from azula.denoise import KarrasDenoiser
from azula.noise import VPSchedule
from azula.sample import DDPMSampler, xEABSampler
from common import BATCH, BETA_END, BETA_START, EPOCH, LEARNING_RATE, TIMESTEPS, Peer, main
from torch import nn
from torch_parts import averaged, layers, of_noise_level


class Backbone(nn.Module):
    """The network that `KarrasDenoiser` wraps: it is shown log(sigma / alpha), of each row or of all."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.layers = of_noise_level(), layers()

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Shapes (m, 2) and (m,) or () → (m, 2)."""
        return self.layers(torch.cat([x, self.embedding(level.reshape(-1)).expand(len(x), -1)], dim=1))


class Azula(Peer):
    """Batches on tensors and eager Adam around it."""

    def __init__(self, rows: np.ndarray, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.rows = torch.from_numpy(rows)
        betas = np.linspace(BETA_START, BETA_END, TIMESTEPS)
        ends = {"alpha_min": float(np.sqrt(np.prod(1 - betas))), "sigma_min": BETA_START**0.5}
        self.denoiser = KarrasDenoiser(Backbone(), VPSchedule() if options.is_quality else VPSchedule(**ends))
        self.average = averaged(self.denoiser) if options.is_quality else None
        self.optimiser = torch.optim.Adam(self.denoiser.parameters(), lr=LEARNING_RATE)

    def run(self, budget: int) -> None:
        """Trains for so many more steps."""
        for _ in range(budget // EPOCH):
            for x0 in self.rows[torch.randperm(len(self.rows))].split(BATCH):
                loss = self.denoiser.loss(x0, torch.rand(len(x0)))
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
                if self.average is not None:
                    self.average.update_parameters(self.denoiser)

    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows, all side by side."""
        kind = DDPMSampler if sampler == "ancestral" else xEABSampler
        denoiser = self.denoiser if self.average is None else self.average.module
        walk = kind(denoiser, steps=evaluations, silent=True)
        return walk(walk.init((n_rows, 2), mean=self.rows.mean(dim=0), var=self.rows.var(dim=0))).numpy()


if __name__ == "__main__":
    main(Azula)
