"""PyTorch by hand, for speed: all data and noise on tensors, an epoch drawn at once, no DataLoader, no schedulers.

The variant "compiled" compiles a whole step, Adam included, and a step of sampling; "eager" has fused Adam. Rows are
drawn in parts whose activations stay in the cores' caches, by DDPM or by DPM-Solver++(2M) on even steps of log-SNR.
"""

import argparse
import shutil
from typing import Any

import numpy as np
import torch
from common import AVERAGING, BATCH, BETA_END, BETA_START, EPOCH, LEARNING_RATE, TIMESTEPS, Peer, main
from torch import nn
from torch_parts import averaged, layers, of_time

PART = 1000
"""Rows side by side in sampling."""

Tensors = dict[str, torch.Tensor]


class Tuned(Peer):
    """The same model as the usual way's."""

    def __init__(self, rows: np.ndarray, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.rows, self.layers, self.embedding = torch.from_numpy(rows), layers(), of_time()
        alpha_bar = torch.cumprod(1 - torch.linspace(BETA_START, BETA_END, TIMESTEPS), dim=0)
        self.alpha, self.sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        self.average = averaged(self.layers) if options.is_quality else None
        self.shown = self.layers if self.average is None else self.average.module
        self.is_compiled = options.variant == "compiled"
        if self.is_compiled and not any(shutil.which(compiler) for compiler in ("g++", "clang++", "c++")):
            self.is_compiled, self.note = False, "no C++ compiler for torch.compile: eager"
        if self.is_compiled:
            self.weights = {name: weight.detach().clone() for name, weight in self.layers.named_parameters()}
            self.moments = [{name: torch.zeros_like(weight) for name, weight in self.weights.items()} for _ in range(2)]
            self.averages = {name: weight.clone() for name, weight in self.weights.items()} if self.average else {}
            self.steps_done = torch.zeros(())
            self.compiled_step = torch.compile(self._whole_step, dynamic=False, fullgraph=True)
            self.predict = torch.compile(self._predict, dynamic=False, fullgraph=True)
        else:
            self.optimiser = torch.optim.Adam(self.layers.parameters(), lr=LEARNING_RATE, fused=True)
            self.predict = self._predict

    def run(self, budget: int) -> None:
        """Trains for so many more steps."""
        step = self._compiled if self.is_compiled else self._eager
        for _ in range(budget // EPOCH):
            x0 = self.rows[torch.randperm(len(self.rows))]
            t, noise = torch.randint(0, TIMESTEPS, (len(x0),)), torch.randn_like(x0)
            noised = self.alpha[t, None] * x0 + self.sigma[t, None] * noise
            inputs = torch.cat([noised, self.embedding(t + 1)], dim=1)
            for batch in zip(inputs.split(BATCH), noise.split(BATCH), strict=True):
                step(*batch)

    def _eager(self, inputs: torch.Tensor, noise: torch.Tensor) -> None:
        loss = nn.functional.mse_loss(self.layers(inputs), noise)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.layers)

    @torch.no_grad()
    def _compiled(self, inputs: torch.Tensor, noise: torch.Tensor) -> None:
        self.compiled_step(self.weights, *self.moments, self.averages, self.steps_done, inputs, noise)

    def _whole_step(
        self,
        weights: Tensors,
        m: Tensors,
        v: Tensors,
        averages: Tensors,
        done: torch.Tensor,
        inputs: torch.Tensor,
        noise: torch.Tensor,
    ) -> None:
        def loss(weights: Tensors) -> torch.Tensor:
            return nn.functional.mse_loss(torch.func.functional_call(self.layers, weights, inputs), noise)

        gradient = torch.func.grad(loss)(weights)
        done.add_(1)
        for name, g in gradient.items():
            m[name].lerp_(g, 0.1)
            v[name].lerp_(g * g, 0.001)
            size = (v[name] / (1 - 0.999**done)).sqrt() + 1e-8
            weights[name].sub_(LEARNING_RATE / (1 - 0.9**done) * m[name] / size)
        for name, average in averages.items():
            average.lerp_(weights[name], 1 - AVERAGING)

    @torch.inference_mode()
    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows, in parts of one size."""
        if self.is_compiled:
            self.shown.load_state_dict(self.averages or self.weights)
        plan = self._ancestral(evaluations) if sampler == "ancestral" else self._dpm(evaluations)
        embedded = self.embedding(torch.tensor([t for t, *_ in plan])).unsqueeze(1)
        rows = torch.empty(-(-n_rows // PART) * PART, 2)
        still = torch.zeros(PART, 2)
        for part in rows.split(PART):
            x, before = torch.randn(PART, 2), still
            for i, (_, of_rows, of_noise) in enumerate(plan):
                noise = torch.randn(PART, 2) if of_noise else still
                x, before = self.predict(x, before, noise, embedded[i], of_rows)
            part.copy_(x)
        return rows[:n_rows].numpy()

    def _predict(
        self, x: torch.Tensor, before: torch.Tensor, noise: torch.Tensor, embedded: torch.Tensor, of_rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        alpha, sigma, of_x, of_x0, of_before, of_noise = of_rows.unbind()
        eps = self.shown(torch.cat([x, embedded.expand(len(x), -1)], dim=1))
        x0 = ((x - sigma * eps) / alpha).clamp(-1, 1)
        return of_x * x + of_x0 * x0 + of_before * before + of_noise * noise, x0

    def _ancestral(self, evaluations: int) -> list[tuple[float, torch.Tensor, bool]]:
        """For each step t, alpha, sigma and the shares of x_t, x̂_0, the x̂_0 before, and noise in the next x."""
        times = torch.linspace(TIMESTEPS, 1, evaluations).round().long() - 1
        plan: list[tuple[float, torch.Tensor, bool]] = []
        for t, s in zip(times, [*times[1:], None], strict=True):
            alpha, sigma = self.alpha[t], self.sigma[t]
            if s is None:
                plan.append((float(t + 1), torch.tensor([alpha, sigma, 0, 1, 0, 0]), False))
                continue
            ratio = alpha / self.alpha[s]
            beta = 1 - ratio**2
            of_x, of_x0 = ratio * self.sigma[s] ** 2 / sigma**2, self.alpha[s] * beta / sigma**2
            of_noise = beta.sqrt() * self.sigma[s] / sigma
            plan.append((float(t + 1), torch.tensor([alpha, sigma, of_x, of_x0, 0, of_noise]), True))
        return plan

    def _dpm(self, evaluations: int) -> list[tuple[float, torch.Tensor, bool]]:
        log_snr = (self.alpha / self.sigma).log().numpy()
        levels = np.linspace(log_snr[-1], log_snr[0], evaluations)
        times = np.interp(levels, log_snr[::-1], np.arange(TIMESTEPS, 0, -1))
        alphas, sigmas = 1 / np.sqrt(1 + np.exp(-2 * levels)), 1 / np.sqrt(1 + np.exp(2 * levels))
        plan: list[tuple[float, torch.Tensor, bool]] = []
        for i, (time, alpha, sigma) in enumerate(zip(times, alphas, sigmas, strict=True)):
            numbers: list[Any] = [alpha, sigma, 0, 1, 0, 0]
            if i + 1 < evaluations:
                share = -alphas[i + 1] * np.expm1(levels[i] - levels[i + 1])
                new, old = (1.0, 0.0) if i == 0 else (1.5, -0.5)
                numbers[2:5] = sigmas[i + 1] / sigma, share * new, share * old
            plan.append((float(time), torch.tensor(numbers, dtype=torch.float32), False))
        return plan


if __name__ == "__main__":
    main(Tuned)
