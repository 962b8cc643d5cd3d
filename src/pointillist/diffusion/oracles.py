"""Gaussian mixtures, which have a closed form of E[x_0 | x_t]; with covariances of 0, empirical distributions.

The tests use them as ground truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from pointillist.diffusion.denoisers import ConditionalDenoiser, Label, Row
from pointillist.diffusion.schedules import Schedule, Time, alpha_sigma


@dataclass(frozen=True)
class GaussianMixture:
    """A Gaussian mixture Σ_k w_k N(m_k, C_k), in NumPy and float64.

    Attributes:
        weights: w_k, shape (k,), positive, summing to 1.
        means: m_k, shape (k, d).
        covariances: C_k, shape (k, d, d), symmetric, positive semi-definite.
        labels: Class of each component, shape (k,), 0 … n_classes - 1.
    """

    weights: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k d"]
    covariances: Float[np.ndarray, "k d d"]
    labels: Int[np.ndarray, " k"]

    @classmethod
    def of(
        cls, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, labels: Sequence[int] | None = None
    ) -> "GaussianMixture":
        """Build a mixture from array-likes: normalize weights, and broadcast one covariance to all components."""
        weights, means = np.asarray(weights, np.float64), np.asarray(means, np.float64)
        k, d = means.shape
        covariances = np.broadcast_to(np.asarray(covariances, np.float64), (k, d, d))
        if weights.shape != (k,) or not (weights > 0).all():
            raise ValueError(f"weights must be {k} positive numbers, one per mean")
        if np.linalg.eigvalsh(covariances).min() < -1e-12 or not np.allclose(covariances, covariances.mT):
            raise ValueError("covariances must be symmetric and positive semi-definite")
        classes = np.zeros(k, np.int64) if labels is None else np.asarray(labels, np.int64)
        return cls(weights / weights.sum(), means, np.array(covariances), classes)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    def given(self, label: int) -> "GaussianMixture":
        """Return the distribution of one class."""
        is_of_class = self.labels == label
        weights = self.weights[is_of_class]
        return GaussianMixture(
            weights / weights.sum(), self.means[is_of_class], self.covariances[is_of_class], self.labels[is_of_class]
        )

    def sample(self, n: int, random_state: int) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
        """Draw rows, shape (n, d), and their classes, shape (n,)."""
        rng = np.random.default_rng(random_state)
        component = rng.choice(len(self.weights), n, p=self.weights)
        values, vectors = np.linalg.eigh(self.covariances)
        factors = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
        noise = rng.standard_normal((n, self.means.shape[1]))
        return self.means[component] + np.einsum("nij,nj->ni", factors[component], noise), self.labels[component]

    def log_density(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Compute log p(x) in nats, shape (n,); the covariances must be positive definite."""
        offset = np.asarray(x, np.float64)[:, None, :] - self.means
        solved = np.linalg.solve(self.covariances, offset[..., None])[..., 0]
        _, log_determinant = np.linalg.slogdet(2 * np.pi * self.covariances)
        log_joint = np.log(self.weights) - 0.5 * (log_determinant + (offset * solved).sum(axis=-1))
        return np.logaddexp.reduce(log_joint, axis=1)

    def class_probabilities(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n classes"]:
        """Compute p(y | x), shape (n, n_classes): the predictions of the Bayes classifier."""
        sizes = np.bincount(self.labels, self.weights)
        log_joint = [np.log(size) + self.given(label).log_density(x) for label, size in enumerate(sizes)]
        return np.exp(np.stack(log_joint, axis=1) - self.log_density(x)[:, None])

    def noised(self, alpha: float, sigma: float) -> "GaussianMixture":
        """Return the distribution of alpha x_0 + sigma ε, ε ~ N(0, I)."""
        covariances = alpha**2 * self.covariances + sigma**2 * np.eye(self.means.shape[1])
        return replace(self, means=alpha * self.means, covariances=covariances)

    def tilted(self, slope: Float[np.ndarray, " d"]) -> "GaussianMixture":
        """Return the mixture with density ∝ p(x) exp(slope · x), by completing the square."""
        shift = self.covariances @ slope
        log_weights = np.log(self.weights) + self.means @ slope + 0.5 * shift @ slope
        weights = np.exp(log_weights - log_weights.max())
        return replace(self, weights=weights / weights.sum(), means=self.means + shift)

    def denoiser(self, schedule: Schedule) -> "MixtureDenoiser":
        """Return the exact denoiser of this distribution."""
        variances, axes = np.linalg.eigh(self.covariances)
        return MixtureDenoiser(
            log_weights=np.log(self.weights).astype(np.float32),
            means=self.means.astype(np.float32),
            variances=np.maximum(variances, 0).astype(np.float32),
            axes=axes.astype(np.float32),
            component_labels=self.labels.astype(np.int32),
            schedule=schedule,
            n_classes=np.asarray(self.n_classes, np.int32),
        )


class MixtureDenoiser(ConditionalDenoiser):
    """The exact denoiser of a Gaussian mixture Σ_k w_k N(m_k, C_k).

    E[x_0 | x_t] = Σ_k p(k | x_t) (m_k + alpha_t C_k (alpha_t² C_k + sigma_t² I)⁻¹ (x_t - alpha_t m_k)).

    Attributes:
        variances: Eigenvalues of C_k.
        axes: Eigenvectors of C_k as columns.
    """

    log_weights: Float[Array | np.ndarray, " k"]
    means: Float[Array | np.ndarray, "k d"]
    variances: Float[Array | np.ndarray, "k d"]
    axes: Float[Array | np.ndarray, "k d d"]
    component_labels: Int[Array | np.ndarray, " k"]
    schedule: Schedule
    n_classes: Label
    label: Label | None = None

    def condition(self, label: Label) -> Int[Array, ""]:
        return jnp.asarray(label)

    def under(self, condition: Int[Array, ""]) -> "MixtureDenoiser":
        return replace(self, label=condition)

    def __call__(self, x_t: Row, t: Time) -> Row:
        alpha, sigma = alpha_sigma(self.schedule, t)
        means, axes = jnp.asarray(self.means), jnp.asarray(self.axes)
        offset = jnp.einsum("kij,ki->kj", axes, x_t[None] - alpha * means)
        noised = alpha**2 * jnp.asarray(self.variances) + sigma**2
        log_joint = self.log_weights - 0.5 * (jnp.log(noised) + offset**2 / noised).sum(axis=-1)
        if self.label is not None:
            is_of_class = (self.component_labels == self.label) | (self.label == jnp.asarray(self.n_classes))
            log_joint = jnp.where(is_of_class, log_joint, -jnp.inf)
        x0 = means + jnp.einsum("kij,kj->ki", axes, alpha * jnp.asarray(self.variances) / noised * offset)
        return jax.nn.softmax(log_joint) @ x0
