"""Accuracy and calibration of DiffusionClassifier and of other classifiers, on fresh rows of the five sets.

knn-100: the 100 nearest neighbours among 20,000 rows that the same model draws; MLP: that of scikit-learn with layers
(100, 50), fitted to the same rows; Bayes: the true class probabilities, where they are known.
"""

import argparse
import time

import numpy as np
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from machine import median_and_range, report
from pointillist import DiffusionClassifier, load_pointset
from pointillist.datasets.pointsets import true_class_probabilities

SETS = ("moons", "circles", "blobs", "manycircles", "helix")


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, n_bins: int = 15) -> float:
    """Computes the mean difference between confidence and accuracy (Guo et al. 2017, arXiv 1706.04599, equation 3)."""
    confidences = probabilities.max(axis=1)
    excess = (probabilities.argmax(axis=1) == labels) - confidences
    bins = np.searchsorted(np.arange(1, n_bins) / n_bins, confidences)
    return float(np.abs(np.bincount(bins, excess)).sum() / len(labels))


def main() -> None:
    """Prints a table of accuracies and calibration errors, and the time for 8,000 rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8000, help="number of fresh rows")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results: dict[str, dict[str, tuple[float, float, float]]] = {}
    seconds = []
    print(f"{'set':<12}{'classifier':<12}{'accuracy':>9}{'± se':>8}{'ECE':>8}{'log loss':>10}")
    for name in options.sets:
        X, y = load_pointset(name)
        fresh, labels = load_pointset(name, options.rows, random_state=43)
        elbo = DiffusionClassifier(random_state=options.seed)
        start = time.perf_counter()
        elbo.fit(X, y)
        fitted = time.perf_counter() - start
        asked = np.random.default_rng(0).choice(elbo.classes_, 20_000, p=elbo.model_.class_counts_ / len(y))
        samples = elbo.model_.sample(labels=asked, random_state=0)
        probabilities = {
            "elbo": elbo.predict_proba(fresh),
            "exact": DiffusionClassifier(elbo.model_, method="exact").predict_proba(fresh[:2000]),
            "knn-100": KNeighborsClassifier(100).fit(samples, asked).predict_proba(fresh),
            "MLP": MLPClassifier((100, 50), random_state=0).fit(X, y).predict_proba(fresh).astype(np.float64),
        }
        if (true := true_class_probabilities(name, fresh)) is not None:
            probabilities["Bayes"] = true
        results[name] = {}
        for classifier, p in probabilities.items():
            own = labels[: len(p)]
            accuracy = float((p.argmax(axis=1) == own).mean())
            error, loss = calibration_error(p, own), float(log_loss(own, p))
            results[name][classifier] = accuracy, error, loss
            standard_error = np.sqrt(accuracy * (1 - accuracy) / len(own))
            print(f"{name:<12}{classifier:<12}{accuracy:>9.4f}{standard_error:>8.4f}{error:>8.4f}{loss:>10.4f}")
        print(f"{name:<12}fitted in {fitted:.0f} s", flush=True)
        if name == "manycircles":
            for _ in range(3):
                start = time.perf_counter()
                elbo.predict_proba(load_pointset(name, 8000, random_state=43)[0])
                seconds.append(time.perf_counter() - start)
    if seconds:
        median, low, high = median_and_range(seconds)
        print(f"elbo, 8,000 rows of manycircles, 8 classes: {median:.1f} s ({low:.1f} to {high:.1f}), median of 3")
    report("classifier", {"results": results, "elbo_seconds": seconds})


if __name__ == "__main__":
    main()
