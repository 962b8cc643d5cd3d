"""Measures of one cell, and of real data against real data; threads compute them while the devices work."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pointillist import metrics
from pointillist.datasets.pointsets import POINTSETS, load_pointset, true_class_probabilities, true_log_density
from pointillist.diffusion.denoisers import Label
from pointillist.lazy import neighbors, neural_network
from pointillist.metrics import Baseline, Estimate
from pointillist.study.comparisons import satterthwaite
from pointillist.study.grid import HELD_OUT_SEED, Cell, Dataset, has_fresh_rows, random_seed
from pointillist.study.quantities import OF_EACH_CLASS, QUANTITIES, class_metric
from pointillist.study.settings import Settings

Measures = dict[str, Estimate]
Probabilities = Callable[[np.ndarray], Any]

HIDDEN_LAYERS = (100, 50)

_HELD_OUT = 0.2
"""Fraction of a fixed table held out for the classifier's accuracy, because there are no fresh rows."""


class ClassProbability(eqx.Module):
    """Class probability p(y | x) of a multi-layer perceptron, as a reward that JAX can trace; y is 0 if None."""

    weights: tuple[Float[Array | np.ndarray, "_ _"], ...]
    biases: tuple[Float[Array | np.ndarray, " _"], ...]
    label: Label | None = None

    def given(self, label: Label) -> "ClassProbability":
        """Returns the probability of another class."""
        return ClassProbability(self.weights, self.biases, label)

    def __call__(self, x0: Float[Array, "m d"]) -> Float[Array, " m"]:
        """Computes p(label | x0)."""
        h = x0
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = jax.nn.relu(h @ jnp.asarray(weight) + jnp.asarray(bias)[None])
        logits = h @ jnp.asarray(self.weights[-1]) + jnp.asarray(self.biases[-1])[None]
        if logits.shape[1] == 1:  # scikit-learn has one output for two classes
            logits = jnp.concatenate([jnp.zeros_like(logits), logits], axis=1)
        return jax.nn.softmax(logits)[:, 0 if self.label is None else jnp.asarray(self.label)]


@dataclass(frozen=True)
class Scorer:
    """A classifier fitted to all rows of a data set, with its accuracy on other rows and the standard error.

    The accuracy is the mean over classes, because generated rows have all classes in equal parts. For a fixed table, it
    is the accuracy on the last fifth of a classifier fitted to the rest.
    """

    classifier: "neural_network.MLPClassifier"
    held_out_accuracy: float
    held_out_error: float

    @classmethod
    def fit(cls, dataset: Dataset) -> "Scorer":
        """Fits the classifier; the same data give the same classifier."""
        assert dataset.labels is not None
        perceptron = partial(neural_network.MLPClassifier, HIDDEN_LAYERS, max_iter=500, random_state=42)
        tested = classifier = perceptron().fit(dataset.rows, dataset.labels)
        fresh = held_out(dataset.name)
        if fresh is None:
            order = np.random.default_rng(0).permutation(len(dataset.rows))
            tests, trains = np.split(order, [round(_HELD_OUT * len(order))])
            tested = perceptron().fit(dataset.rows[trains], dataset.labels[trains])
            fresh = dataset.rows[tests], dataset.labels[tests]
        rows, labels = fresh
        sizes = np.bincount(labels)
        hits = np.bincount(labels[tested.predict(rows) == labels], minlength=len(sizes))
        hits, n = hits[sizes > 0], sizes[sizes > 0]
        # So that the error is not 0 where all are hits (Agresti & Coull 1998).
        p = (hits + 2) / (n + 4)
        return cls(classifier, float((hits / n).mean()), float(np.sqrt((p * (1 - p) / (n + 4)).sum()) / len(n)))

    def reward(self) -> ClassProbability:
        """Returns its class probability as a reward."""
        arrays = self.classifier.coefs_, self.classifier.intercepts_
        weights, biases = (tuple(array.astype(np.float32) for array in each) for each in arrays)
        return ClassProbability(weights, biases)


def held_out(name: str, n_rows: int | None = None) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]] | None:
    """Draws fresh rows of a point set; returns None if n_rows is 0, and for a fixed table or a file."""
    if n_rows == 0 or not has_fresh_rows(name):
        return None
    return load_pointset(name, n_rows, random_state=HELD_OUT_SEED)


def _fresh(dataset: Dataset, settings: Settings) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
    fresh = held_out(dataset.name, settings.n_held_out)
    assert fresh is not None
    return fresh


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
    """Number of evaluations averaged for a metric's baseline; few if they use every row and vary little."""
    return 50 if metric == "emd" else 12


def has_baseline(name: str, dataset: Dataset, settings: Settings) -> bool:
    """Whether a quantity's baseline is known: likelihoods and classifiers need the true distribution."""
    pointset = POINTSETS.get(dataset.name)
    if name == "nll":
        return pointset is not None and pointset.log_density is not None and settings.n_held_out > 0
    return settings.kind != "classifier" or (pointset is not None and pointset.class_probabilities is not None)


def measure_baseline(
    name: str, dataset: Dataset, settings: Settings, scorer: Callable[[], Scorer] | None
) -> dict[str, Baseline]:
    """Measures a quantity's baseline, its value for the data itself, if `has_baseline` says that it is known.

    For rows, the baseline is the metric between random halves of the data, and the likelihood of fresh rows under the
    true distribution. For classes, it is the mean over classes of the same, and the accuracy of the scoring classifier.
    For a classifier, it is the score of the true class probabilities.
    """
    if settings.kind == "classes":
        return _baselines_of_classes(name, dataset, settings, scorer)
    if name == "nll":
        log_density = true_log_density(dataset.name, _fresh(dataset, settings)[0])
        assert log_density is not None
        best = _likelihood(log_density)
    elif settings.kind == "classifier":
        best = measure_on_both(lambda rows: true_class_probabilities(dataset.name, rows), dataset, settings)[name]
    else:
        options = {"n_rows": settings.n_samples, "n_repeats": _repeats(name), **_options(name, settings)}
        baseline = metrics.baseline(metrics.METRICS[name], dataset.rows, **options)
        if name != "report_nll":
            return {name: baseline}
        # The spread over splits is far below the error of one half: the report NLL is nearly a sum over all rows,
        # which is always the same.
        n = 2 * min(len(dataset.rows) // 2, settings.n_samples)
        chosen = dataset.rows[np.arange(n) * len(dataset.rows) // n]
        error = metrics.METRICS[name](chosen[::2], chosen[1::2]).standard_error
        return {name: Baseline(baseline.value, error, baseline.n_repeats)}
    return {name: Baseline(float(best), best.standard_error, 1)}


def _baselines_of_classes(
    name: str, dataset: Dataset, settings: Settings, scorer: Callable[[], Scorer] | None
) -> dict[str, Baseline]:
    if name == "accuracy":
        assert scorer is not None
        return {name: Baseline(scorer().held_out_accuracy, scorer().held_out_error, 1)}
    # A cell's EMD is the mean of five draws.
    options, draws = ({"n_repeats": 1}, 5) if name == "emd" else ({}, 1)
    metric, n = partial(_OF_A_CLASS[name], **_options(name, settings), **options), _repeats(name)
    baselines = {}
    for label, n_rows in enumerate(np.bincount(dataset.labels_to_draw(settings.n_samples)).tolist()):
        found = metrics.baseline(metric, dataset.class_rows(label), n_rows=n_rows, n_repeats=n)
        baselines[class_metric(name, label)] = replace(found, spread=found.spread / np.sqrt(draws))
    value = float(np.mean([baseline.value for baseline in baselines.values()]))
    spread = float(np.linalg.norm([baseline.spread for baseline in baselines.values()]) / len(baselines))
    return {name: Baseline(value, spread, n), **(baselines if name in OF_EACH_CLASS else {})}


def _likelihood(log_density: Float[np.ndarray, " n"]) -> Estimate:
    """Computes the mean of minus log p(x) over held-out rows, in nats."""
    values = -np.asarray(log_density, np.float64)
    return Estimate(values.mean(), values.std(ddof=1) / np.sqrt(len(values)))


def measure_rows(
    cell: Cell,
    data: Float[np.ndarray, "n d"],
    rows: Float[np.ndarray, "m d"],
    log_density: Float[np.ndarray, " h"] | None,
) -> Measures:
    """Measures every metric of generated rows, and the likelihood of held-out rows; NaN if the model diverged."""
    likelihood = {} if log_density is None else {"nll": _likelihood(log_density)}
    if not np.isfinite(rows).all():
        return _diverged(metrics.METRICS) | likelihood
    seed, settings = random_seed(cell.key), cell.settings
    measured = metrics.METRICS.items()
    return {
        name: metric(data, rows, random_state=seed, **_options(name, settings)) for name, metric in measured
    } | likelihood


def measure_classes(cell: Cell, dataset: Dataset, rows: Float[np.ndarray, "m d"], scorer: Scorer) -> Measures:
    """Measures every quantity of rows of classes, drawn with `labels_to_draw`; NaN if the model diverged."""
    if not np.isfinite(rows).all():
        each = [class_metric(name, label) for name in OF_EACH_CLASS for label in range(dataset.n_classes)]
        return _diverged([*QUANTITIES["classes"], *each])
    labels = dataset.labels_to_draw(len(rows))
    rng = np.random.default_rng(random_seed(cell.key))
    by_class: dict[str, list[Estimate]] = {name: [] for name in _OF_A_CLASS}
    for label in range(dataset.n_classes):
        real, generated = dataset.class_rows(label), rows[labels == label]
        by_class["emd"].append(metrics.emd(real, generated, n_subsample=cell.settings.emd_rows, random_state=rng))
        by_class["energy_distance"].append(metrics.energy_distance(real, generated))
        # The same number of rows on both sides, as in the baseline: coverage grows with the number of samples.
        size = min(len(real), len(generated))
        halves = (side[rng.permutation(len(side))[:size]] for side in (real, generated))
        by_class["coverage"].append(metrics.coverage(*halves))
        by_class["spread"].append(metrics.spread(real, generated))
    measures = {}
    for name, estimates in by_class.items():
        # The errors of classes are independent.
        variances = np.square([e.standard_error for e in estimates])
        freedom = satterthwaite(variances, [e.degrees_of_freedom for e in estimates])
        measures[name] = Estimate(np.mean(estimates), np.sqrt(variances.sum()) / len(estimates), freedom)
    measures |= {class_metric(name, i): each for name in OF_EACH_CLASS for i, each in enumerate(by_class[name])}
    return measures | {"accuracy": _accuracy(scorer.classifier.predict(rows) == labels)}


def measure_classifier(probabilities: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> Measures:
    """Measures a classifier's probabilities of held-out rows; NaN if the model diverged."""
    if not np.isfinite(probabilities).all():
        return _diverged(["accuracy"])
    return {"accuracy": _accuracy(probabilities.argmax(axis=1) == labels)}


def measure_on_both(
    probabilities_of: Probabilities, dataset: Dataset, settings: Settings, on_training: Probabilities | None = None
) -> Measures:
    """Measures every quantity of a classifier, on held-out rows and on the training rows."""
    rows, labels = _fresh(dataset, settings)
    measures = measure_classifier(np.asarray(probabilities_of(rows), np.float64), labels)
    found = np.asarray((on_training or probabilities_of)(dataset.rows)).argmax(axis=1)
    return measures | {"training_accuracy": _accuracy(found == dataset.labels)}


def measure_neighbors(cell: Cell, dataset: Dataset, rows: Float[np.ndarray, "m d"]) -> Measures:
    """Measures every quantity of a classifier by the 100 nearest generated rows.

    Generated rows have all classes in equal parts. For held-out rows, votes are weighted by the data's class sizes; for
    training rows they are not, as in the published report.
    """
    if not np.isfinite(rows).all():
        return _diverged(QUANTITIES["classifier"])
    labels = dataset.labels_to_draw(len(rows))
    nearest = neighbors.KNeighborsClassifier(min(100, len(rows))).fit(rows, labels)
    weights = dataset.class_sizes / np.bincount(labels)

    def probabilities_of(rows: np.ndarray) -> np.ndarray:
        votes: np.ndarray = nearest.predict_proba(rows) * weights
        return votes / votes.sum(axis=1, keepdims=True)

    return measure_on_both(probabilities_of, dataset, cell.settings, nearest.predict_proba)


def _accuracy(hits: np.ndarray) -> Estimate:
    # Two hits and two misses more: the standard error is not 0 where all are hits (Agresti & Coull 1998).
    n = len(hits) + 4
    p = (hits.sum() + 2) / n
    return Estimate(hits.mean(), np.sqrt(p * (1 - p) / n))


def _diverged(names: Iterable[str]) -> Measures:
    return dict.fromkeys(names, Estimate(np.nan, np.nan, np.nan))
