"""Predicted distributions of a number by NGBoost, treeffuser or a deep ensemble of five; run by a Python that has them.

`ngboost`: natural gradient boosting of a normal distribution (Duan et al. 2020, arXiv 1910.03225), with its default
trees and learning rate, as many of them, up to 2,000, as are best for a tenth of the rows, and then fitted to all
rows. `treeffuser` (Beltran-Velez et
al. 2024, arXiv 2406.07658): its defaults; its distribution is 200 draws, or as many as make 100,000 of all rows but at
least 50, its density that of a kernel with Silverman's bandwidth. `ensemble`: five networks of one hidden layer of 50
units that predict mean and variance, 40 epochs of Adam (Lakshminarayanan et al. 2017, arXiv 1612.01474, section 3.3,
without adversarial training), in PyTorch.

Rows come as .npz: X, y, and those to predict, X_test, y_test. Out go, as .npz: `points` (n, m) of equal weight,
`log_density` (n,), `mean` (n,), `seconds` of the fit and `version`.
"""

import argparse
import time
from importlib.metadata import version

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

POINTS = (np.arange(100) + 0.5) / 100
DRAWS, FEWEST_DRAWS, ALL_DRAWS = 200, 50, 100_000
NETWORKS, UNITS, EPOCHS, BATCH = 5, 50, 40, 100

Found = tuple[np.ndarray, np.ndarray, np.ndarray, float]
"""Points, log-densities, means and seconds."""


def ngboost(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, seed: int) -> Found:
    """NGBoost."""
    from ngboost import NGBRegressor

    start = time.perf_counter()
    order = np.random.default_rng(seed).permutation(len(y))
    held_out, rest = np.split(order, [max(1, len(y) // 10)])
    model = NGBRegressor(n_estimators=2000, random_state=seed, verbose=False)
    model.fit(X[rest], y[rest], X_val=X[held_out], Y_val=y[held_out], early_stopping_rounds=50)
    # Of as many trees as were best for the held-out rows, from all rows, as its authors fit them.
    model = NGBRegressor(n_estimators=model.best_val_loss_itr + 1, random_state=seed, verbose=False).fit(X, y)
    seconds = time.perf_counter() - start
    found = model.pred_dist(X_test).params
    loc, scale = found["loc"], found["scale"]
    return norm.ppf(POINTS, loc[:, None], scale[:, None]), norm.logpdf(y_test, loc, scale), loc, seconds


def treeffuser(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, seed: int) -> Found:
    """Treeffuser."""
    from treeffuser import Treeffuser

    start = time.perf_counter()
    model = Treeffuser(seed=seed).fit(X, y)
    seconds = time.perf_counter() - start
    n = max(FEWEST_DRAWS, min(DRAWS, ALL_DRAWS // len(X_test)))
    draws = np.asarray(model.sample(X_test, n_samples=n, seed=seed)).reshape(n, -1).T
    # Silverman's rule for one column; equal draws would else have none.
    width = np.maximum(draws.std(axis=1, ddof=1) * (0.75 * n) ** -0.2, 1e-6 * y.std())[:, None]
    density = logsumexp(norm.logpdf(y_test[:, None], draws, width), axis=1) - np.log(n)
    return draws, density, draws.mean(axis=1), seconds


def ensemble(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, seed: int) -> Found:
    """A deep ensemble."""
    import torch

    start = time.perf_counter()
    unit = X.std(axis=0)
    x_mean, x_unit, y_mean, y_unit = X.mean(axis=0), np.where(unit > 0, unit, 1), y.mean(), y.std()
    own, target = (torch.tensor(each, dtype=torch.float32) for each in ((X - x_mean) / x_unit, (y - y_mean) / y_unit))
    networks = []
    for member in range(NETWORKS):
        torch.manual_seed(NETWORKS * seed + member)
        network = torch.nn.Sequential(torch.nn.Linear(X.shape[1], UNITS), torch.nn.ReLU(), torch.nn.Linear(UNITS, 2))
        optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(EPOCHS):
            for places in torch.randperm(len(own)).split(BATCH):
                mean, raw = network(own[places]).T
                variance = torch.nn.functional.softplus(raw) + 1e-6
                loss = (variance.log() / 2 + (target[places] - mean) ** 2 / (2 * variance)).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        networks.append(network)
    seconds = time.perf_counter() - start
    asked = torch.tensor((X_test - x_mean) / x_unit, dtype=torch.float32)
    with torch.no_grad():
        found = np.stack([network(asked).numpy().astype(float) for network in networks])
    loc, scale = found[:, :, 0] * y_unit + y_mean, np.sqrt(np.logaddexp(0, found[:, :, 1]) + 1e-6) * y_unit
    few = (np.arange(20) + 0.5) / 20
    points = np.concatenate(norm.ppf(few, loc[:, :, None], scale[:, :, None]), axis=1)
    density = logsumexp(norm.logpdf(y_test, loc, scale), axis=0) - np.log(NETWORKS)
    return points, density, loc.mean(axis=0), seconds


METHODS = {"ngboost": ngboost, "treeffuser": treeffuser, "ensemble": ensemble}


def main() -> None:
    """Reads rows, writes predictions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=list(METHODS))
    parser.add_argument("rows")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    given = np.load(options.rows)
    parts = METHODS[options.method](given["X"], given["y"], given["X_test"], given["y_test"], options.seed)
    points, log_density, mean, seconds = parts
    package = {"ensemble": "torch"}.get(options.method, options.method)
    np.savez(
        options.out,
        points=points,
        log_density=log_density,
        mean=mean,
        seconds=seconds,
        version=f"{package} {version(package)}",
    )


if __name__ == "__main__":
    main()
