"""The network of the benchmark in PyTorch, for every peer that stands on it."""

import math

import torch
from common import AVERAGING, DEPTH, FEATURES, WIDTH
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def layers() -> nn.Sequential:
    """(row, features) → ε."""
    blocks = [layer for _ in range(DEPTH) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    return nn.Sequential(nn.Linear(2 + FEATURES, WIDTH), *blocks, nn.Linear(WIDTH, 2))


class Waves(nn.Module):
    """Sines and cosines of a number, 16 together.

    Args:
        lowest: Least frequency.
        highest: Greatest.
    """

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__()
        steps = torch.linspace(math.log(highest), math.log(lowest), FEATURES // 2)
        self.register_buffer("frequency", steps.exp())

    def forward(self, position: torch.Tensor) -> torch.Tensor:
        """Shape (m,) → (m, 16)."""
        angle = position[:, None] * self.frequency
        return torch.cat([angle.sin(), angle.cos()], dim=1)


def averaged(network: nn.Module) -> AveragedModel:
    """A running average of a network's weights, which makes better rows: the peers keep one where quality is asked."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING))


def of_time() -> Waves:
    """Of a timestep, 1 … T."""
    return Waves(1e-4, 1.0)


def of_noise_level() -> Waves:
    """Of log(sigma / alpha), for libraries that show a network this."""
    return Waves(0.25, 8.0)
