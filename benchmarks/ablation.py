"""Effect of each part of the default recipe: means over the sets of `pointillist study recipes`.

Reads the study's store, which that command fills. For each variant it prints the EMD divided by its real-data baseline,
the accuracy of a classifier by 15 nearest neighbours, and the held-out negative log-likelihood above that of the full
recipe. After ± is the standard error over seeds of the mean over sets; for differences, that of the paired difference.
"""

import argparse
from pathlib import Path

import numpy as np

from machine import report
from pointillist.study.quantities import protocol
from pointillist.study.results import Results
from pointillist.study.store import Store

METRICS = {"emd": "EMD / baseline", "two_sample_test": "15-NN accuracy", "nll": "NLL above full recipe (nats)"}


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("results/recipes"))
    options = parser.parse_args()
    with Store(options.folder / "study.db") as store:
        results = Results(store)
        (section,) = results.spec.sections
        found = {column.label: _of_variant(results, section.datasets, column.settings) for column in section.columns}
    reference = found[section.columns[0].label]["nll"]
    print("| variant | " + " | ".join(METRICS.values()) + " |")
    print("|---|" + "---|" * len(METRICS))
    table = {}
    for label, by_metric in found.items():
        by_metric["nll"] = by_metric["nll"] - reference
        # By seed: the mean over sets.
        means = {metric: by_metric[metric].mean(axis=0) for metric in METRICS}
        table[label] = {m: (v.mean(), v.std(ddof=1) / np.sqrt(len(v))) for m, v in means.items()}
        print(f"| {label} | " + " | ".join(f"{mean:.3f} ± {error:.3f}" for mean, error in table[label].values()) + " |")
    report("ablation", {"table": table})


def _of_variant(results: Results, datasets, settings) -> dict[str, np.ndarray]:
    """Values by metric, shape (sets, seeds)."""
    values: dict[str, list[list[float]]] = {metric: [] for metric in METRICS}
    for name in datasets:
        measures = [results.store.measures(cell.key) for cell in results.cells(name, settings)]
        baseline = results.store.baselines(results.fingerprints[name], protocol(settings))["emd"].value
        for metric in METRICS:
            scale = baseline if metric == "emd" else 1.0
            values[metric].append([float(each[metric]) / scale for each in measures])
    return {metric: np.array(rows) for metric, rows in values.items()}


if __name__ == "__main__":
    main()
