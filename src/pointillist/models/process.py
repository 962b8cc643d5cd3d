"""`Process`: the interface of diffusion processes, which noise, learn and draw encoded rows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import Allowed, Ends, Observed
from pointillist.columns.generated import GeneratedColumns
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.tokens.token_sampling import TokenDenoiser
from pointillist.engine.recipes import AnyArchitecture, Weights
from pointillist.models.classes import Classes
from pointillist.models.codec import Codec
from pointillist.models.conditioning import allowed_cells, observed_column, split, without_contradictions
from pointillist.models.request import Request, agreed_length
from pointillist.tables.layout import Layout


@dataclass(frozen=True)
class SamplingPlan:
    """Everything that determines a stream of rows.

    Attributes:
        labels: Class index of each row, which conditions the denoiser; None without labels.
        prior: Starts of trajectories, or observed values, one row for all rows or one each; drawn by default.
        ends: Lowest and highest value of columns in ranges, in the units of the table.
        conditions: The other conditions on rows as text, for messages; "" without conditions.
        varies_by_row: Whether observed cells differ between rows.
    """

    n_rows: int
    seed: int
    denoiser: Any
    sampler: Sampler
    labels: Int[np.ndarray, " n"] | None = None
    prior: Float[np.ndarray, "starts width"] | None = None
    observed: Observed = field(default_factory=dict)
    ends: Ends = field(default_factory=dict)
    conditions: str = ""
    varies_by_row: bool = False


class Process(ABC):
    """A diffusion process: noises, learns and draws rows."""

    architecture: AnyArchitecture

    kind: ClassVar[str]
    """Name of the process, in `Diffusion(process=…)` and in model files."""

    refused: ClassVar[Mapping[str, str]] = {}
    """Fields of a request that the process refuses, with the reason."""

    has_label_token: ClassVar[bool]
    """Whether labels have a token, so that they can be observed like any cell."""

    @property
    @abstractmethod
    def can_guide(self) -> bool:
        """Whether rows can be guided to a class, which needs networks that accept a hidden label."""

    @property
    @abstractmethod
    def noise(self) -> tuple[Schedule | None, Float[np.ndarray, "..."] | None]:
        """The noise schedule, with the root mean square of each column or the covariance of the numbers.

        None for rows of tokens only.
        """

    def finished(self, network: Weights) -> "tuple[Process, Weights]":
        """Returns the process and a trained network in the form that a model stores; by default unchanged."""
        return self, network

    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the tensors of a model file that describe the noise."""

    def plan_sampling(self, learned: "Learned", request: Request) -> SamplingPlan:
        """Converts a request to a denoiser, a sampler, and their starting point, or raises a ValueError in one line."""
        changed = request.first_changed(*self.refused)
        if changed is not None:
            raise ValueError(
                f"{changed} needs a Gaussian model, but this one has tokens ({self.refused[changed]}): leave it out"
            )
        if learned.classes is None and (request.labels is not None or request.return_labels):
            what = "return_labels needs" if request.labels is None else "labels need"
            raise ValueError(f"{what} a model with classes, but this one was fitted without labels: fit it with y")
        request, where = self.resolve_labels(learned, request)
        if request.guidance != 0:
            self._check_guidance(learned, request)
        observed, conditions = split(where)
        cells = {name: observed_column(learned.codec, name, value, learned.classes) for name, value in observed.items()}
        allowed = without_contradictions(learned.codec, cells, allowed_cells(learned.codec, conditions))
        lengths = [(name, len(column.values)) for name, column in cells.items() if len(column.values) != 1]
        if request.prior is not None:
            lengths.append(("prior", len(np.asarray(request.prior))))
        if np.ndim(request.labels) > 0 and not self.has_label_token:
            lengths.append(("labels", len(request.labels)))
        n_rows = agreed_length(request.n_samples, lengths)
        plan = self.unconditional(learned, request, cells, n_rows)
        plan = replace(plan, observed=cells, varies_by_row=any(len(column.values) > 1 for column in cells.values()))
        if not allowed:
            return plan
        plan = self.restricted(plan, learned.codec, allowed, request)
        ends = {each.name: each.ends for each in allowed if np.isfinite([each.ends.low, each.ends.high]).any()}
        return replace(plan, ends=ends, conditions=" and ".join(f"{each.name!r} {each.text}" for each in allowed))

    def _check_guidance(self, learned: "Learned", request: Request) -> None:
        if learned.classes is None and not self.has_label_token:
            raise ValueError(
                "guidance needs a model with classes, but this one was fitted without labels: fit it with y"
            )
        if request.labels is None and (self.has_label_token or not request.return_labels):
            raise ValueError("guidance needs a class to guide to: give labels")
        if not self.can_guide:
            raise ValueError("guidance needs a model also trained without labels: fit it with p_uncond above 0")

    @abstractmethod
    def resolve_labels(self, learned: "Learned", request: Request) -> tuple[Request, dict[Any, Any]]:
        """Returns the request and its `where`, with labels where the process expects them; one of the two sets them."""

    @abstractmethod
    def unconditional(self, learned: "Learned", request: Request, cells: Observed, n_rows: int) -> SamplingPlan:
        """Plans sampling given the observed `cells`, without conditions, or raises a ValueError in one line."""

    @abstractmethod
    def restricted(
        self, plan: SamplingPlan, codec: Codec, allowed: Sequence[Allowed], request: Request
    ) -> SamplingPlan:
        """Adds a sampler of rows that meet conditions to a plan, or raises a ValueError in one line."""

    @abstractmethod
    def plan_imputation(
        self, learned: "Learned", observed: Float[np.ndarray, "n width_and_label"], n_draws: int, random_state: Any
    ) -> SamplingPlan:
        """Plans the draw of all unobserved cells of rows, `n_draws` times; no drawn cell is missing.

        The rows come from `Codec.encode_table` and `with_label_indices`. Raises a ValueError if the model cannot
        condition on cells.
        """

    @abstractmethod
    def with_label_indices(
        self, learned: "Learned", observed: Float[np.ndarray, "n width"], indices: Int[np.ndarray, "#n"]
    ) -> Float[np.ndarray, "n width_and_label"]:
        """Returns rows with labels that have no column in the table, by the indices of their classes.

        The number of classes means an unknown label; raises a ValueError for it if the model needs all labels.
        """

    def check_conditional(self, learned: "Learned", *, has_label: bool) -> None:  # noqa: B027
        """Raises a ValueError if the model has no conditional distributions of columns; by default it has them."""

    def check_density(self, learned: "Learned") -> None:  # noqa: B027
        """Raises a ValueError if the model has no density of rows; by default it has one."""

    def token_denoiser(self, learned: "Learned", forbidden: Bool[np.ndarray, " slots"] | None = None) -> TokenDenoiser:
        """Returns the token denoiser, in which `forbidden` token values have probability 0."""
        raise ValueError("this model has no tokens")

    @abstractmethod
    def number_density(self, learned: "Learned", numbers: tuple[int, ...], *, has_label: bool) -> Any:
        """Returns a function for `map_rows`: the log-density, in nats, of some numbers of a row given all others.

        `numbers` are indices among the numbers of a row; with `has_label`, rows end with the index of their class.
        """

    @abstractmethod
    def number_quantiles(
        self, learned: "Learned", number: int, starts: Float[np.ndarray, " levels"], *, has_label: bool
    ) -> Any:
        """Returns a function for `map_rows`: quantiles of one number of a row given all others.

        The probability-flow ODE maps `starts`, quantiles of N(0, 1), to them; see `number_density` for the other
        arguments.
        """

    def label_indices(
        self, learned: "Learned", plan: SamplingPlan, drawn: Float[np.ndarray, "m width"], rows: slice
    ) -> Int[np.ndarray, " m"]:
        """Returns the class index of drawn rows; by default that of the plan."""
        assert plan.labels is not None
        return plan.labels[rows]


@dataclass(frozen=True, eq=False)
class Learned:
    """A process with its trained network.

    Attributes:
        network: The network; its type depends on the process, see `engine.recipes.Weights`.
        generated: Columns that are not learned but generated; None without them.
    """

    codec: Codec
    process: Process
    network: Any
    classes: Classes | None
    generated: GeneratedColumns | None = field(default=None, kw_only=True)

    @property
    def layout(self) -> Layout:
        """Layout of all columns, learned or generated."""
        return self.codec.layout if self.generated is None else self.generated.layout
