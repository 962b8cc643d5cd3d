"""The network, the training method, and the settings that may differ between the models of a stack."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Bounds, NetworkDenoiser
from pointillist.diffusion.losses import Objective
from pointillist.diffusion.networks import Network, sinusoidal_embedding
from pointillist.diffusion.registries import NETWORKS, TOKEN_NETWORKS
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.target_diffusion import TargetObjective, target_tokens
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.mixed_losses import MixedObjective, ObservedObjective
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork, NumberNetwork
from pointillist.diffusion.tokens.token_losses import TokenObjective
from pointillist.diffusion.tokens.token_networks import FactoredNetwork


@dataclass(frozen=True)
class Architecture:
    """The network of models of rows of numbers.

    Attributes:
        network: Kind of network, one of `registries.NETWORKS`.
        width: Number of units of a hidden layer.
        depth: Number of hidden blocks.
        time_embedding: Number of features of the noise level, even.
        class_embedding: Width of the embedding of the class, even; 0 for data without classes.
        has_observed: Whether columns can be observed without noise; requires the network "residual".
    """

    network: str = "mlp"
    width: int = 128
    depth: int = 5
    time_embedding: int = 16
    class_embedding: int = 0
    has_observed: bool = False

    @property
    def n_features(self) -> int:
        """Number of conditioning features."""
        return self.time_embedding + self.class_embedding

    def build(self, key: PRNGKeyArray, columns: int) -> Network:
        """Draw the initial weights of a network for rows of `columns` columns."""
        shape: dict[str, Any] = {"has_observed": True} if self.has_observed else {}
        network: Network = NETWORKS[self.network]()(
            key, columns=columns, features=self.n_features, width=self.width, depth=self.depth, **shape
        )
        return network

    def features(self, t: Array, lambda_t: Float[Array, " m"], labels: Int[Array, " m"] | None) -> Float[Array, "m f"]:
        """Compute the conditioning features of noise levels, log(alpha_t / sigma_t) at t, and of classes if any."""
        level_features = NETWORKS[self.network]().noise_level_features(t, lambda_t, self.time_embedding)
        if labels is None:
            return level_features
        return jnp.concatenate([level_features, sinusoidal_embedding(labels, self.class_embedding)], axis=-1)

    def denoiser(
        self,
        network: Network,
        prediction: str,
        sigma_data: Float[np.ndarray, " d"],
        schedule: Schedule,
        n_classes: int,
        bounds: Bounds | None = None,
    ) -> NetworkDenoiser:
        """Wrap a network as a denoiser; `n_classes` matters only with an embedding of the class."""
        n_labels = np.asarray(n_classes, np.int32) if self.class_embedding else None
        deviations = np.asarray(sigma_data, np.float32)
        return NetworkDenoiser(network, schedule, deviations, prediction, bounds, n_labels, self.class_embedding)


class Unconditioned:
    """Base of the architectures without conditioning features of the noise level and the class."""

    class_embedding: ClassVar[int] = 0
    n_features: ClassVar[int] = 0
    features: ClassVar[None] = None


@dataclass(frozen=True)
class TokenArchitecture(Unconditioned):
    """The network of masked diffusion, for rows of tokens or of tokens and numbers.

    Attributes:
        width: Number of units of a hidden layer.
        depth: Number of hidden blocks.
        frequencies: Number of frequencies 1, 2, 4, … of the Fourier features of noised numbers.
        has_joint_network: Whether a separate network draws all numbers jointly; see `MixedNetwork`. The other network
            of numbers then has half the width: its task is easier.
        is_factored: Whether the layers of tokens are products in training; see `FactoredNetwork`.
        network: Kind of network of the tokens, one of `registries.TOKEN_NETWORKS`.
    """

    tokens: Tokens
    width: int = 256
    depth: int = 3
    frequencies: int = 6
    has_joint_network: bool = False
    is_factored: bool = False
    network: str = "residual"

    def build(self, key: PRNGKeyArray, columns: int) -> Any:
        """Draw the initial weights; products of layers are multiplied out after training."""
        tokens = self.tokens
        assert columns == len(tokens.sizes) + len(tokens.with_number), "rows have one column per token and number"
        kind = FactoredNetwork if self.is_factored else TOKEN_NETWORKS[self.network]()
        shape: dict[str, Any] = {"tokens": tokens, "width": self.width, "depth": self.depth}
        token_network = kind.build(key, **shape)
        if not tokens.with_number:
            return token_network
        shape |= {"frequencies": self.frequencies, "is_factored": self.is_factored}
        if not self.has_joint_network:
            return MixedNetwork(token_network, NumberNetwork.build(jax.random.fold_in(key, 3), **shape))
        joint_network = NumberNetwork.build(jax.random.fold_in(key, 4), **shape, has_observed=False)
        return MixedNetwork(token_network, self.observed.build(key, columns), joint_network)

    @property
    def observed(self) -> "ObservedArchitecture":
        """The network of numbers given observed ones, beside a joint network."""
        return ObservedArchitecture(self.tokens, -(-self.width // 2), self.depth, self.frequencies, self.is_factored)


@dataclass(frozen=True)
class ObservedArchitecture(Unconditioned):
    """The network of numbers given tokens and observed numbers; see `TokenArchitecture` for the attributes."""

    tokens: Tokens
    width: int
    depth: int
    frequencies: int
    is_factored: bool = False

    def build(self, key: PRNGKeyArray, columns: int) -> NumberNetwork:
        """Draw the initial weights."""
        shape = {each.name: getattr(self, each.name) for each in fields(self)}
        return NumberNetwork.build(jax.random.fold_in(key, 3), **shape, sees_x_t=True)


@dataclass(frozen=True)
class TargetArchitecture(Unconditioned):
    """The network of one number given `n_inputs` others; see `TokenArchitecture` for the other attributes."""

    n_inputs: int
    width: int = 128
    depth: int = 2
    frequencies: int = 6

    def build(self, key: PRNGKeyArray, columns: int) -> NumberNetwork:
        """Draw the initial weights, for rows of the number, two columns for each of the others, and two of the view."""
        assert columns == 1 + 2 * self.n_inputs + 2, "rows have one column for the number, two for each other, and two"
        shape: dict[str, Any] = {"width": self.width, "depth": self.depth, "frequencies": self.frequencies}
        return NumberNetwork.build(key, tokens=target_tokens(self.n_inputs), has_observed=False, **shape)


AnyArchitecture = Architecture | TokenArchitecture | ObservedArchitecture | TargetArchitecture
AnyObjective = Objective | TokenObjective | MixedObjective | ObservedObjective | TargetObjective
Weights = eqx.Module
"""A network: of the registries, or one that is made of these."""


@dataclass(frozen=True)
class Method:
    """How every model of a stack is trained; compiled into the program.

    Attributes:
        is_averaged: Whether an average of the weights is kept, and used as the network when training ends.
        is_clipped: Whether gradients are clipped to the recipe's norm.
        is_decayed: Whether weights decay at the recipe's rate.
        precision: Precision of the products, "float32" or "bfloat16"; weights, gradients and loss are float32.
        parts: Number of equal parts of a batch, which devices share or one device takes in turn; it decides the last
            bits of the weights, and the number of devices does not. 1 for models that are trained side by side.
    """

    objective: AnyObjective = field(default_factory=Objective)
    batch_size: int = 64
    is_averaged: bool = False
    is_clipped: bool = False
    is_decayed: bool = False
    precision: str = "float32"
    parts: int = 1


class Recipe(NamedTuple):
    """Settings that may differ between the models of a stack; in a program, arrays with one entry per model.

    Attributes:
        dataset: Index of the model's data set in the stack's data.
        schedule: The model's noise schedule; None for all models of tokens.
        seed: Seed, 0 … 2³² - 1, of the initial weights, the order of rows, times and noise.
        warmup: Number of steps over which the learning rate rises from 0.
        decay: Whether the learning rate falls to 0 over the epochs, as half a cosine.
        averaging: Decay of the average of the weights per step, in [0, 1), if an average is kept; at most
            (i + 1) / (i + 10) in step i.
        n_classes: Number of classes; as a label, it means "no class".
        clip: Largest norm of the gradient of all weights together, if gradients are clipped.
        weight_decay: Fraction of the weights of products that a step with learning rate 1 would take away, if weights
            decay (AdamW: Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2).
        p_uncond: Fraction of rows, drawn anew each epoch, whose label is replaced by "no class"
            (Ho & Salimans 2022, arXiv 2207.12598, algorithm 1).
    """

    dataset: int
    schedule: Schedule | None
    seed: int
    epochs: int = 100
    learning_rate: float = 1e-3
    warmup: int = 0
    decay: bool = False
    averaging: float = 0.0
    n_classes: int = 0
    p_uncond: float = 0.0
    clip: float = np.inf
    weight_decay: float = 0.0
