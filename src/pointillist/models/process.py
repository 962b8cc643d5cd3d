"""What every process has: how rows, as a codec encodes them, are noised, learned and drawn."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.codec import Codec, Ends, Observed
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.schedules import Schedule
from pointillist.engine.recipes import AnyArchitecture, Weights
from pointillist.models.classes import Classes
from pointillist.models.request import Request


@dataclass(frozen=True)
class SamplingPlan:
    """All that a stream of rows is made of.

    Attributes:
        n_rows: Number of rows.
        seed: Seed, 0 … 2³² - 1.
        denoiser: The denoiser.
        sampler: The sampler.
        labels: Index of each row's class, which the denoiser is shown; None if it is shown none.
        prior: Where each row's walk starts, or what is given of it, one row for all or one each; drawn by default.
        given: Cells that are given rather than drawn.
        ends: Lowest and highest value of columns in ranges, in the units of the table.
        conditions: What rows have to meet besides, for messages; "" for nothing.
        has_own_rows: Whether each row has given cells of its own.
    """

    n_rows: int
    seed: int
    denoiser: Any
    sampler: Sampler
    labels: Int[np.ndarray, " n"] | None = None
    prior: Float[np.ndarray, "starts width"] | None = None
    given: Observed = field(default_factory=dict)
    ends: Ends = field(default_factory=dict)
    conditions: str = ""
    has_own_rows: bool = False


class Process(ABC):
    """How rows are noised, learned and drawn.

    Attributes:
        architecture: The network's architecture.
    """

    architecture: AnyArchitecture

    @property
    @abstractmethod
    def noise(self) -> tuple[Schedule | None, Float[np.ndarray, "..."] | None]:
        """The noise schedule, and the root mean square of each column or the covariance of the numbers beside tokens.

        None where rows are hidden, not noised.
        """

    @abstractmethod
    def finished(self, network: Weights) -> "tuple[Process, Weights]":
        """Returns the process and a trained network as a model keeps them."""

    @abstractmethod
    def plan_sampling(self, learned: "Learned", request: Request) -> SamplingPlan:
        """Turns a request into what draws its rows.

        Raises:
            ValueError: In one line, if such a process cannot do what is asked.
        """

    @abstractmethod
    def check(self, drawn: Float[np.ndarray, "m width"], request: Request) -> None:
        """Raises a ValueError if drawn values are not finite."""

    @abstractmethod
    def label_indices(
        self, learned: "Learned", plan: SamplingPlan, drawn: Float[np.ndarray, "m width"], rows: slice
    ) -> Int[np.ndarray, " m"]:
        """Returns the index of the class of each of some rows that were drawn."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A process and what it has learned.

    Attributes:
        codec: Maps columns to what the network sees, and back.
        process: How rows are noised and drawn.
        network: The network's weights.
        classes: The classes; None without labels.
    """

    codec: Codec
    process: Process
    network: Weights
    classes: Classes | None
