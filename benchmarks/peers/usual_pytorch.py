"""One model in the usual PyTorch way: DataLoader, eager steps, a Python loop over timesteps; prints seconds as JSON.

The same network, data, hyper-parameters, sampler and scores as a cell of the study: moons, T = 200, 100 epochs of
batches of 64, 5,000 rows, EMD and report NLL.
"""

import json
import math
import sys
import time

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import make_moons
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

T, EPOCHS, BATCH, N_SAMPLES = 200, int(sys.argv[1]) if len(sys.argv) > 1 else 100, 64, 5000


class Network(nn.Module):
    """(row, 16-wide embedding of t) -> 128, five blocks of 128 -> 128 and ReLU, 128 -> 2."""

    def __init__(self):
        super().__init__()
        frequency = torch.exp(-math.log(10000) * torch.arange(8) / 7)
        self.register_buffer("frequency", frequency)
        blocks = [layer for _ in range(5) for layer in (nn.Linear(128, 128), nn.ReLU())]
        self.layers = nn.Sequential(nn.Linear(18, 128), *blocks, nn.Linear(128, 2))

    def forward(self, x, t):
        """Predicts the noise in x at times t."""
        angle = t[:, None] * self.frequency
        return self.layers(torch.cat([x, angle.sin(), angle.cos()], dim=1))


def emd(a, b, rng):
    """Mean of 5 exact transports between 250 rows of each side."""
    costs = []
    for _ in range(5):
        x, y = a[rng.choice(len(a), 250, replace=False)], b[rng.choice(len(b), 250, replace=False)]
        distance = np.linalg.norm(x[:, None] - y[None], axis=2)
        costs.append(distance[linear_sum_assignment(distance)].sum())
    return float(np.mean(costs))


def report_nll(data, samples):
    """-log of the mean Gaussian kernel over all pairs, temperature 0.1."""
    total = 0.0
    for part in np.array_split(samples, 50):
        squared = ((part[:, None] - data[None]) ** 2).sum(axis=2)
        total += np.exp(-squared / 0.4).sum() / (2 * np.pi * 0.1)
    return float(-np.log(total / len(samples) / len(data)))


def main():
    """Trains, samples, scores."""
    torch.manual_seed(0)
    rows, _ = make_moons(8000, noise=0.04, random_state=42)
    rows = (2 * (rows - rows.min(0)) / (rows.max(0) - rows.min(0)) - 1).astype(np.float32)
    beta = torch.linspace(1e-4, 0.02, T)
    alpha_bar = torch.cumprod(1 - beta, dim=0)
    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(torch.from_numpy(rows)), batch_size=BATCH, shuffle=True)

    start = time.perf_counter()
    for _ in range(EPOCHS):
        for (x0,) in loader:
            t = torch.randint(0, T, (len(x0),))
            eps = torch.randn_like(x0)
            x_t = alpha_bar[t].sqrt()[:, None] * x0 + (1 - alpha_bar[t]).sqrt()[:, None] * eps
            loss = nn.functional.mse_loss(network(x_t, t + 1), eps)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    trained = time.perf_counter()

    with torch.no_grad():
        x = torch.randn(N_SAMPLES, 2)
        for i in reversed(range(T)):
            eps = network(x, torch.full((N_SAMPLES,), i + 1))
            x = (x - beta[i] / (1 - alpha_bar[i]).sqrt() * eps) / (1 - beta[i]).sqrt()
            if i > 0:
                x = x + beta[i].sqrt() * torch.randn_like(x)
    rng = np.random.default_rng(0)
    scores = {"emd": emd(rows, x.numpy(), rng), "report_nll": report_nll(rows, x.numpy())}
    times = {"train_s": trained - start, "sample_and_score_s": time.perf_counter() - trained}
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), **times, **scores}))


if __name__ == "__main__":
    main()
