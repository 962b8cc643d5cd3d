"""The classifier that scores and rewards generated rows: scikit-learn's MLP, following the study's protocol."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pointillist.datasets.pointsets import load_pointset
from pointillist.diffusion.denoisers import Label
from pointillist.study.grid import HELD_OUT_SEED, Dataset, has_fresh_rows

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

HIDDEN_LAYERS = (100, 50)

_SHARE_HELD_OUT = 0.2
"""Fraction of a fixed table held out for the classifier's own accuracy, as there are no fresh rows of it."""


class ClassProbability(eqx.Module):
    """Class probability p(y | x) of a multi-layer perceptron, as a reward that JAX can trace.

    Attributes:
        weights: Matrix of each layer, shape (in, out).
        biases: Vector of each layer.
        label: y; 0 if None.
    """

    weights: tuple[Float[Array | np.ndarray, "_ _"], ...]
    biases: tuple[Float[Array | np.ndarray, " _"], ...]
    label: Label | None = None

    def given(self, label: Label) -> "ClassProbability":
        """The probability of another class."""
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
    """A fitted classifier of a data set.

    Attributes:
        classifier: Classifier fitted to all the rows.
        held_out_accuracy: Its own accuracy on rows that it was not fitted to, as mean over classes because as many
            rows are generated of each; for a fixed table, that of a classifier fitted to four fifths on the last fifth.
        held_out_error: Standard error of that accuracy.
    """

    classifier: "MLPClassifier"
    held_out_accuracy: float
    held_out_error: float

    @classmethod
    def fit(cls, dataset: Dataset) -> "Scorer":
        """Fits the classifier; the same data give the same classifier."""
        assert dataset.labels is not None
        classifier = _fitted(dataset.rows, dataset.labels)
        if (fresh := held_out(dataset.name)) is not None:
            return cls(classifier, *_mean_accuracy(classifier, *fresh))
        order = np.random.default_rng(0).permutation(len(dataset.rows))
        tests, trains = np.split(order, [round(_SHARE_HELD_OUT * len(order))])
        other = _fitted(dataset.rows[trains], dataset.labels[trains])
        return cls(classifier, *_mean_accuracy(other, dataset.rows[tests], dataset.labels[tests]))

    def hits(self, rows: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> np.ndarray:
        """Marks the rows that it puts into the class they were drawn for, shape (n,)."""
        return self.classifier.predict(rows) == labels

    def reward(self) -> ClassProbability:
        """Returns its class probability as a reward."""
        return ClassProbability(
            tuple(w.astype(np.float32) for w in self.classifier.coefs_),
            tuple(b.astype(np.float32) for b in self.classifier.intercepts_),
        )


def _fitted(rows: np.ndarray, labels: np.ndarray) -> "MLPClassifier":
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(HIDDEN_LAYERS, max_iter=500, random_state=42).fit(rows, labels)


def _mean_accuracy(classifier: "MLPClassifier", rows: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean over classes of the share of their rows that are put into them, and its standard error."""
    sizes = np.bincount(labels)
    hits = np.bincount(labels[classifier.predict(rows) == labels], minlength=len(sizes))
    hits, n = hits[sizes > 0], sizes[sizes > 0]
    # So that the error is not 0 where all are hits (Agresti & Coull 1998).
    p = (hits + 2) / (n + 4)
    return float((hits / n).mean()), float(np.sqrt((p * (1 - p) / (n + 4)).sum()) / len(n))


def held_out(name: str, n_rows: int | None = None) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]] | None:
    """Draws fresh rows of a named set, as many as it has by default; None if 0, or for a fixed table or a file."""
    if n_rows == 0 or not has_fresh_rows(name):
        return None
    return load_pointset(name, n_rows, random_state=HELD_OUT_SEED)
