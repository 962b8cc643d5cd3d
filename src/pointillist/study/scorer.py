"""The classifier that scores generated rows, and rewards them: scikit-learn's MLP, as the study's protocol has it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pointillist.diffusion.denoisers import Label
from pointillist.points import load_pointset
from pointillist.study.grid import HELD_OUT_SEED, Dataset, has_fresh_rows

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

HIDDEN_LAYERS = (100, 50)

_SHARE_HELD_OUT = 0.2
"""Of a fixed table, for the classifier's own accuracy: there are no fresh rows of it."""


class ClassProbability(eqx.Module):
    """p(y | x) by a multi-layer perceptron, as a reward that JAX can trace.

    Attributes:
        weights: One matrix a layer, shape (in, out).
        biases: One vector a layer.
        label: y; 0 if None.
    """

    weights: tuple[Float[Array | np.ndarray, "n m"], ...]
    biases: tuple[Float[Array | np.ndarray, " m"], ...]
    label: Label | None = None

    def given(self, label: Label) -> "ClassProbability":
        """The probability of another class."""
        return ClassProbability(self.weights, self.biases, label)

    def __call__(self, x0: Float[Array, "m d"]) -> Float[Array, " m"]:
        """p(label | x0)."""
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
        classifier: Fitted to all the rows.
        held_out_accuracy: Its own accuracy on rows that it was not fitted to; of a fixed table, that of one fitted to
            four fifths on the last fifth.
        n_held_out: How many those were.
    """

    classifier: "MLPClassifier"
    held_out_accuracy: float
    n_held_out: int

    @classmethod
    def fit(cls, dataset: Dataset) -> "Scorer":
        """Fits it; the same data give the same classifier."""
        assert dataset.labels is not None
        classifier = _fitted(dataset.rows, dataset.labels)
        if (fresh := held_out(dataset.name)) is not None:
            return cls(classifier, float(classifier.score(*fresh)), len(fresh[1]))
        order = np.random.default_rng(0).permutation(len(dataset.rows))
        tests, trains = np.split(order, [round(_SHARE_HELD_OUT * len(order))])
        other = _fitted(dataset.rows[trains], dataset.labels[trains])
        return cls(classifier, float(other.score(dataset.rows[tests], dataset.labels[tests])), len(tests))

    def hits(self, rows: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> np.ndarray:
        """Which rows it puts into the class they were asked to be, shape (n,)."""
        return self.classifier.predict(rows) == labels

    def reward(self) -> ClassProbability:
        """Its class probability as a reward."""
        return ClassProbability(
            tuple(w.astype(np.float32) for w in self.classifier.coefs_),
            tuple(b.astype(np.float32) for b in self.classifier.intercepts_),
        )


def _fitted(rows: np.ndarray, labels: np.ndarray) -> "MLPClassifier":
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(HIDDEN_LAYERS, random_state=0).fit(rows, labels)


def held_out(name: str, n_rows: int | None = None) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]] | None:
    """Fresh rows of a named set's law, as many as it has or the given number; None if 0, of a fixed table or a file."""
    if n_rows == 0 or not has_fresh_rows(name):
        return None
    return load_pointset(name, n_rows, random_state=HELD_OUT_SEED)
