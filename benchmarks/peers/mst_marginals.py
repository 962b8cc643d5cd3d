"""MST: noisy marginals of all columns and of the pairs of a spanning tree, and the graphical model of them.

McKenna et al. 2021, arXiv 2108.04978: a third of the budget each for the marginals of columns, for the choice of the
tree (of pairs that differ most from independent columns, by the exponential mechanism), and for its pairs. Budgets are
of zero-concentrated differential privacy, converted by Canonne, Kamath and Steinke 2020, arXiv 2004.00010,
proposition 12.

Rows come and go as .npz: `codes`, shape (n, columns), and `sizes`; run by a Python that has `mbi`.
"""

import argparse
import itertools
import math

import numpy as np
from mbi import Dataset, Domain, LinearMeasurement
from mbi.estimation import MirrorDescent

ORDERS = 1 + np.geomspace(1e-3, 1e4, 20_000)
"""Orders of Rényi divergences among which the best is taken."""


def rho_of(epsilon: float, delta: float) -> float:
    """The largest ρ of which (ε, δ) follow (Canonne, Kamath & Steinke 2020, arXiv 2004.00010, proposition 12)."""
    low, high = 0.0, epsilon
    for _ in range(60):
        middle = (low + high) / 2
        exponents = (ORDERS - 1) * (ORDERS * middle - epsilon) + ORDERS * np.log1p(-1 / ORDERS) - np.log(ORDERS - 1)
        is_private = exponents.min() <= math.log(delta)
        low, high = (middle, high) if is_private else (low, middle)
    return low


def main() -> None:
    """Reads codes, writes as many generated ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows")
    parser.add_argument("out")
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--delta", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    given = np.load(options.rows)
    codes, sizes = given["codes"], given["sizes"].tolist()
    names = [str(i) for i in range(len(sizes))]
    rng = np.random.default_rng(options.seed)
    rho = rho_of(options.epsilon, options.delta)

    def marginal(*columns: int) -> np.ndarray:
        shape = tuple(sizes[i] for i in columns)
        places = np.ravel_multi_index(tuple(codes[:, i] for i in columns), shape)
        return np.bincount(places, minlength=math.prod(shape)).astype(float)

    deviation = math.sqrt(len(sizes) / (2 * rho / 3))
    measured, noisy = [], []
    for i in range(len(sizes)):
        noisy.append(marginal(i) + deviation * rng.normal(size=sizes[i]))
        measured.append(LinearMeasurement(noisy[i], (names[i],), deviation))
    shares = [np.maximum(each, 0) / np.maximum(each, 0).sum() for each in noisy]
    total = float(np.mean([each.sum() for each in noisy]))
    weights = {
        (i, j): float(np.abs(marginal(i, j) - total * np.outer(shares[i], shares[j]).ravel()).sum())
        for i, j in itertools.combinations(range(len(sizes)), 2)
    }
    chosen, part = [], list(range(len(sizes)))
    # Each choice spends an equal part of a third of ρ: ρ = ε² / 8 of an exponential mechanism, by sensitivity 1.
    strength = math.sqrt(8 * rho / 3 / (len(sizes) - 1))
    for _ in range(len(sizes) - 1):
        open_pairs = [pair for pair in weights if part[pair[0]] != part[pair[1]]]
        scores = np.array([weights[pair] for pair in open_pairs]) * strength / 2
        pair = open_pairs[int(np.argmax(scores + rng.gumbel(size=len(scores))))]
        chosen.append(pair)
        old, new = part[pair[0]], part[pair[1]]
        part = [new if each == old else each for each in part]
    deviation = math.sqrt(len(chosen) / (2 * rho / 3))
    for i, j in chosen:
        values = marginal(i, j) + deviation * rng.normal(size=sizes[i] * sizes[j])
        measured.append(LinearMeasurement(values, (names[i], names[j]), deviation))
    np.random.seed(options.seed)
    model = MirrorDescent().estimate(Domain(names, sizes), measured)
    made: Dataset = model.synthetic_data(rows=len(codes))
    table = made.to_dict()
    np.savez_compressed(options.out, codes=np.stack([table[name] for name in names], axis=1))


if __name__ == "__main__":
    main()
