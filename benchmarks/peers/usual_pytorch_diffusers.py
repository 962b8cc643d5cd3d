"""The usual way: a DataLoader, `DDPMScheduler.add_noise`, eager Adam, a loop over the scheduler's timesteps."""

import argparse

import numpy as np
import torch
from common import BATCH, BETA_END, BETA_START, EPOCH, LEARNING_RATE, TIMESTEPS, Peer, main
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_parts import averaged, layers, of_time

NOISE = {"num_train_timesteps": TIMESTEPS, "beta_start": BETA_START, "beta_end": BETA_END}


class Network(nn.Module):
    """ε of rows at timesteps 0 … T - 1."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.layers = of_time(), layers()

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Shapes (m, 2) and (m,) → (m, 2)."""
        return self.layers(torch.cat([x, self.embedding(t + 1)], dim=1))


class Usual(Peer):
    """As in the tutorials of diffusers."""

    def __init__(self, rows: np.ndarray, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.network = Network()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)
        self.average = averaged(self.network) if options.is_quality else None
        self.scheduler = DDPMScheduler(**NOISE)
        self.loader = DataLoader(TensorDataset(torch.from_numpy(rows)), batch_size=BATCH, shuffle=True)

    def run(self, budget: int) -> None:
        """Trains for so many more steps."""
        for _ in range(budget // EPOCH):
            for (x0,) in self.loader:
                noise = torch.randn_like(x0)
                t = torch.randint(0, TIMESTEPS, (len(x0),))
                predicted = self.network(self.scheduler.add_noise(x0, noise, t), t)
                loss = nn.functional.mse_loss(predicted, noise)
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
                if self.average is not None:
                    self.average.update_parameters(self.network)

    @torch.no_grad()
    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows, all side by side."""
        scheduler = DDPMScheduler(**NOISE) if sampler == "ancestral" else DPMSolverMultistepScheduler(**NOISE)
        scheduler.set_timesteps(evaluations)
        network = self.network if self.average is None else self.average.module
        x = torch.randn(n_rows, 2)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t.expand(n_rows)), t, x).prev_sample
        return x.numpy()


if __name__ == "__main__":
    main(Usual)
