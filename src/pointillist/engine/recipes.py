"""What is trained, and how: the network, the method, and what may differ between the models of a stack."""

from dataclasses import dataclass, field
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Bounds, ConditionalNetworkDenoiser, Denoiser, NetworkDenoiser
from pointillist.diffusion.losses import Objective
from pointillist.diffusion.networks import NETWORKS, Network, sinusoidal_embedding
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.tokens import FactoredNetwork, TokenNetwork, TokenObjective, Tokens


@dataclass(frozen=True)
class Architecture:
    """The network of every model in a stack.

    Attributes:
        network: One of `networks.NETWORKS`.
        width: Units of a hidden layer.
        depth: Number of hidden blocks.
        time_embedding: Number of features of the noise level, even.
        class_embedding: Width of the embedding of the class, even; 0 for models of data without classes.
    """

    network: str = "mlp"
    width: int = 128
    depth: int = 5
    time_embedding: int = 16
    class_embedding: int = 0

    def build(self, key: PRNGKeyArray, columns: int) -> Network:
        """A fresh network for rows of `columns` columns."""
        features = self.time_embedding + self.class_embedding
        return NETWORKS[self.network](key, columns=columns, features=features, width=self.width, depth=self.depth)

    def features(self, t: Array, lambda_t: Float[Array, " m"], labels: Int[Array, " m"] | None) -> Float[Array, "m f"]:
        """What the network is conditioned on: features of the noise level and, with classes, the class's beside them.

        Args:
            t: Times, shape (m,).
            lambda_t: log(alpha_t / sigma_t).
            labels: Indices of classes, shape (m,).
        """
        of_level = NETWORKS[self.network].of_noise_level(t, lambda_t, self.time_embedding)
        if labels is None:
            return of_level
        return jnp.concatenate([of_level, sinusoidal_embedding(labels, self.class_embedding)], axis=-1)

    def denoiser(
        self,
        network: Network,
        prediction: str,
        spread: Float[np.ndarray, " d"],
        schedule: Schedule,
        n_classes: int,
        bounds: Bounds | None = None,
    ) -> Denoiser:
        """The network as a denoiser; `n_classes` counts only with an embedding of the class."""
        spread = np.asarray(spread, np.float32)
        if not self.class_embedding:
            return NetworkDenoiser(
                network=network, schedule=schedule, spread=spread, prediction=prediction, bounds=bounds
            )
        return ConditionalNetworkDenoiser(
            network=network,
            schedule=schedule,
            n_classes=np.asarray(n_classes, np.int32),
            time_embedding=self.time_embedding,
            spread=spread,
            prediction=prediction,
            bounds=bounds,
        )


@dataclass(frozen=True)
class TokenArchitecture:
    """The network of models of tokens.

    Attributes:
        tokens: The tokens of a row.
        width: Units of a hidden layer.
        depth: Number of hidden blocks.
    """

    tokens: Tokens
    width: int = 256
    depth: int = 3

    time_embedding: ClassVar[int] = 0
    class_embedding: ClassVar[int] = 0

    def build(self, key: PRNGKeyArray, columns: int) -> TokenNetwork | FactoredNetwork:
        """A fresh network for rows of `columns` tokens; what is left of training is one without ranks, and folded."""
        assert columns == len(self.tokens.sizes), "rows have one column a token"
        kind = FactoredNetwork if self.tokens.is_wide and self.tokens.ranks else TokenNetwork
        return kind.build(key, tokens=self.tokens, width=self.width, depth=self.depth)

    @staticmethod
    def features(t: Array, lambda_t: Float[Array, " m"], labels: Int[Array, " m"] | None) -> Float[Array, "m f"]:
        """Nothing: what is hidden says how much is."""
        raise NotImplementedError


AnyArchitecture = Architecture | TokenArchitecture
"""Of rows of numbers, or of tokens."""

Weights = Network | TokenNetwork | FactoredNetwork
"""What is trained."""

PRECISIONS = ("float32", "bfloat16")
"""In which a network's products may be computed in training."""


@dataclass(frozen=True)
class Method:
    """How every model of a stack is trained; compiled into the program.

    Attributes:
        objective: What is minimised.
        batch_size: Rows a step.
        is_averaged: Whether an average of the weights is kept, and is the network that training ends with.
        is_clipped: Whether gradients are, to the recipe's norm.
        precision: Of the network's products, one of `PRECISIONS`; weights, their gradients and the loss are float32.
        parts: Parts that a batch is cut into, for devices to share or one to have in turn; their number, not that of
            the devices, decides the weights' last bits. 1 for models that are trained side by side.
    """

    objective: Objective | TokenObjective = field(default_factory=Objective)
    batch_size: int = 64
    is_averaged: bool = False
    is_clipped: bool = False
    precision: str = "float32"
    parts: int = 1

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.batch_size % self.parts:
            raise ValueError(f"a batch of {self.batch_size} rows cannot be cut into {self.parts} equal parts")


@dataclass(frozen=True)
class Recipe:
    """What may differ between the models of a stack.

    Attributes:
        dataset: Index of the model's data set in the stack's data.
        schedule: Its noise schedule.
        seed: 0 … 2³² - 1; decides the initial weights, the order of rows, times and noise.
        epochs: Passes over the data, at least 1.
        learning_rate: Adam's, positive.
        warmup: Steps over which the learning rate goes up from 0.
        decay: Whether it goes down to 0 over the epochs, as half a cosine.
        averaging: In [0, 1): the share of itself that the average of the weights keeps in a step, if one is kept;
            less in the first steps, (i + 1) / (i + 10) after i of them.
        n_classes: Number of classes; it stands for "no class" as a label.
        clip: Largest norm of the gradient of all weights together, if it is clipped.
        p_uncond: Share of rows, drawn anew each epoch, that are shown with "no class" in place of their label
            (Ho & Salimans 2022, arXiv 2207.12598, algorithm 1).
    """

    dataset: int
    schedule: Schedule
    seed: int
    epochs: int = 100
    learning_rate: float = 1e-3
    warmup: int = 0
    decay: bool = False
    averaging: float = 0.0
    n_classes: int = 0
    p_uncond: float = 0.0
    clip: float = np.inf
