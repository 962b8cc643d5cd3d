"""Measures of one cell, and of real data against real data; threads compute them while the devices work."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist import metrics
from pointillist.datasets.pointsets import POINTSETS, true_class_probabilities, true_log_density
from pointillist.metrics import Estimate, Floor
from pointillist.study.comparisons import satterthwaite
from pointillist.study.grid import Cell, Dataset, random_seed
from pointillist.study.quantities import OF_EACH_CLASS, QUANTITIES, of_class
from pointillist.study.scorer import Scorer, held_out
from pointillist.study.settings import Settings

_OF_A_CLASS: dict[str, Callable[..., Estimate]] = {
    "emd": metrics.emd,
    "energy_distance": metrics.energy_distance,
    "coverage": metrics.coverage,
    "spread": metrics.spread,
}
"""Metrics that are measured class by class."""


def _options(metric: str, settings: Settings) -> dict[str, int]:
    return {"n_subsample": settings.emd_rows} if metric == "emd" else {}


def _repeats(metric: str) -> int:
    """Number of evaluations averaged for a metric's floor; few if they use every row and vary little."""
    return 50 if metric == "emd" else 12


def floor_names(name: str, dataset: Dataset, settings: Settings) -> set[str]:
    """Names of the quantities that `measure_floor` returns, if their floors are known."""
    is_by_class = settings.kind == "classes" and name in OF_EACH_CLASS
    return {name, *(of_class(name, label) for label in range(dataset.n_classes if is_by_class else 0))}


def measure_floor(
    name: str, dataset: Dataset, settings: Settings, scorer: Callable[[], Scorer] | None
) -> dict[str, Floor]:
    """Measures a quantity's floor, its value for the data itself; empty if that is not known.

    For rows, the floor is the metric between random halves of the data, and the likelihood of fresh rows under the
    distribution that they are drawn from. For classes, it is the mean over classes of the same; for the accuracy, the
    scoring classifier's own. For a classifier, it is the score of the true class probabilities.
    """
    if name == "nll":
        true = true_nll(dataset, settings)
        return {} if true is None else {name: Floor(float(true), true.standard_error, 1)}
    if settings.kind == "rows":
        n_rows = settings.n_samples
        measured = metrics.floor(
            metrics.METRICS[name], dataset.rows, n_rows=n_rows, n_repeats=_repeats(name), **_options(name, settings)
        )
        spread = measured.spread if name != "report_nll" else _error_of_half(dataset.rows, n_rows)
        return {name: Floor(measured.value, spread, measured.n_repeats)}
    if settings.kind == "classes":
        return _floors_of_classes(name, dataset, settings, None if scorer is None else scorer())
    if not has_true_probabilities(dataset):
        return {}
    best = _measure_by(lambda rows: true_class_probabilities(dataset.name, rows), dataset, settings)[name]
    return {name: Floor(float(best), best.standard_error, 1)}


def _error_of_half(rows: Float[np.ndarray, "n d"], n_rows: int) -> float:
    """Standard error of the report NLL of half of the data, or of `n_rows` rows if these are fewer.

    Its spread over splits of all the data is far smaller: it is nearly a sum over the rows of both halves, which is
    always the same.
    """
    n = 2 * min(len(rows) // 2, n_rows)
    chosen = rows[np.arange(n) * len(rows) // n]
    return metrics.METRICS["report_nll"](chosen[::2], chosen[1::2]).standard_error


def has_true_probabilities(dataset: Dataset) -> bool:
    """Whether the class probabilities of a data set are known."""
    return dataset.name in POINTSETS and true_class_probabilities(dataset.name, dataset.rows[:1]) is not None


def true_nll(dataset: Dataset, settings: Settings) -> Estimate | None:
    """Negative log-likelihood of held-out rows under the distribution they are drawn from; None if it is not known."""
    fresh = held_out(dataset.name, settings.n_held_out)
    log_density = None if fresh is None else true_log_density(dataset.name, fresh[0])
    return None if log_density is None else measure_likelihood(log_density)


def measure_likelihood(log_density: Float[np.ndarray, " n"]) -> Estimate:
    """Computes the mean of minus log p(x) over held-out rows, in nats."""
    values = -np.asarray(log_density, np.float64)
    return Estimate(values.mean(), values.std(ddof=1) / np.sqrt(len(values)))


def _floors_of_classes(name: str, dataset: Dataset, settings: Settings, scorer: Scorer | None) -> dict[str, Floor]:
    if name == "accuracy":
        assert scorer is not None
        return {name: Floor(scorer.held_out_accuracy, scorer.held_out_error, 1)}
    records = {}
    n_rows = np.bincount(dataset.labels_to_draw(settings.n_samples), minlength=dataset.n_classes)
    for label in range(dataset.n_classes):
        function = partial(_OF_A_CLASS[name], **_options(name, settings), **({"n_repeats": 1} if name == "emd" else {}))
        measured = metrics.floor(function, dataset.of_class(label), n_rows=int(n_rows[label]), n_repeats=_repeats(name))
        # A cell's EMD is the mean of five draws.
        one = measured.spread / np.sqrt(5) if name == "emd" else measured.spread
        records[of_class(name, label)] = Floor(measured.value, one, measured.n_repeats)
    values = [(r.value, r.spread) for r in records.values()]
    mean = float(np.mean([v for v, _ in values])), float(np.linalg.norm([s for _, s in values]) / len(values))
    return {name: Floor(*mean, _repeats(name)), **(records if name in OF_EACH_CLASS else {})}


def measure_rows(
    cell: Cell,
    data: Float[np.ndarray, "n d"],
    rows: Float[np.ndarray, "m d"],
    log_density: Float[np.ndarray, " h"] | None,
) -> dict[str, Estimate]:
    """Measures every metric of a cell's generated rows, and the likelihood of held-out rows; NaN if the model diverged.

    Args:
        cell: The cell.
        data: Real rows, shape (n, d).
        rows: Generated rows, shape (m, d).
        log_density: Log-densities of held-out rows in nats; None if there are none.
    """
    likelihood = {} if log_density is None else {"nll": measure_likelihood(log_density)}
    if not np.isfinite(rows).all():
        return {**_diverged(metrics.METRICS), **likelihood}
    seed = random_seed(cell.key)
    measures = {
        name: metric(data, rows, random_state=seed, **_options(name, cell.settings))
        for name, metric in metrics.METRICS.items()
    }
    return {**measures, **likelihood}


def measure_classes(
    cell: Cell, dataset: Dataset, rows: Float[np.ndarray, "m d"], scorer: Scorer
) -> dict[str, Estimate]:
    """Measures every quantity of rows of classes, drawn with `labels_to_draw`; NaN if the model diverged."""
    each = [of_class(name, label) for name in OF_EACH_CLASS for label in range(dataset.n_classes)]
    names = [*QUANTITIES["classes"], *each]
    if not np.isfinite(rows).all():
        return _diverged(names)
    labels = dataset.labels_to_draw(len(rows))
    rng = np.random.default_rng(random_seed(cell.key))
    by_class: dict[str, list[Estimate]] = {name: [] for name in _OF_A_CLASS}
    for label in range(dataset.n_classes):
        real, generated = dataset.of_class(label), rows[labels == label]
        by_class["emd"].append(metrics.emd(real, generated, n_subsample=cell.settings.emd_rows, random_state=rng))
        by_class["energy_distance"].append(metrics.energy_distance(real, generated))
        # As many rows on both sides, as in the floor: coverage grows with the share of samples.
        size = min(len(real), len(generated))
        halves = (side[rng.permutation(len(side))[:size]] for side in (real, generated))
        by_class["coverage"].append(metrics.coverage(*halves))
        by_class["spread"].append(metrics.spread(real, generated))
    measures = {name: _mean(estimates) for name, estimates in by_class.items()}
    for name in OF_EACH_CLASS:
        for label, estimate in enumerate(by_class[name]):
            measures[of_class(name, label)] = estimate
    return {**measures, "accuracy": _share(scorer.hits(rows, labels))}


def measure_classifier(
    probabilities: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]
) -> dict[str, Estimate]:
    """Measures a classifier's probabilities of held-out rows; NaN if the model diverged."""
    if not np.isfinite(probabilities).all():
        return _diverged(("accuracy", "calibration_error", "log_loss"))
    return {
        "accuracy": _share(probabilities.argmax(axis=1) == labels),
        "calibration_error": metrics.expected_calibration_error(probabilities, labels),
        "log_loss": metrics.log_loss(probabilities, labels),
    }


def measure_fitted(cell: Cell, dataset: Dataset, classifier: Any) -> dict[str, Estimate]:
    """Measures every quantity of a scikit-learn classifier, on held-out rows and on the training rows."""
    return _measure_by(classifier.predict_proba, dataset, cell.settings)


def _measure_by(
    probabilities_of: Callable[[np.ndarray], Any],
    dataset: Dataset,
    settings: Settings,
    on_training: Callable[[np.ndarray], Any] | None = None,
) -> dict[str, Estimate]:
    fresh = held_out(dataset.name, settings.n_held_out)
    assert fresh is not None
    measures = measure_classifier(np.asarray(probabilities_of(fresh[0]), np.float64), fresh[1])
    found = np.asarray((on_training or probabilities_of)(dataset.rows)).argmax(axis=1)
    return {**measures, "training_accuracy": _share(found == dataset.labels)}


def measure_neighbors(cell: Cell, dataset: Dataset, rows: Float[np.ndarray, "m d"]) -> dict[str, Estimate]:
    """Measures every quantity of a classifier by the 100 nearest generated rows.

    As many rows are generated of each class. On held-out rows, which have the data's shares of them, a vote counts as
    many data rows as each generated row of its class stands for; on the training rows all count the same, as in the
    published report.
    """
    if not np.isfinite(rows).all():
        return _diverged(QUANTITIES["classifier"])
    from sklearn.neighbors import KNeighborsClassifier

    labels = dataset.labels_to_draw(len(rows))
    neighbors = KNeighborsClassifier(min(100, len(rows))).fit(rows, labels)
    weights = dataset.class_sizes / np.bincount(labels)

    def probabilities_of(rows: np.ndarray) -> np.ndarray:
        votes: np.ndarray = neighbors.predict_proba(rows) * weights
        return votes / votes.sum(axis=1, keepdims=True)

    return _measure_by(probabilities_of, dataset, cell.settings, neighbors.predict_proba)


def _mean(estimates: list[Estimate]) -> Estimate:
    """Averages over classes, whose errors are independent; degrees of freedom by Welch and Satterthwaite."""
    variances = np.array([e.standard_error for e in estimates]) ** 2
    freedom = satterthwaite(variances, [e.degrees_of_freedom for e in estimates])
    return Estimate(np.mean(estimates), np.sqrt(variances.sum()) / len(estimates), freedom)


def _share(hits: np.ndarray) -> Estimate:
    # Two hits and two misses more: the share's error is not 0 where all are hits (Agresti & Coull 1998).
    n = len(hits) + 4
    p = (hits.sum() + 2) / n
    return Estimate(hits.mean(), np.sqrt(p * (1 - p) / n))


def _diverged(names: Any) -> dict[str, Estimate]:
    return dict.fromkeys(names, Estimate(np.nan, np.nan, np.nan))
