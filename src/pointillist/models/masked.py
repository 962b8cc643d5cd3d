"""Masked diffusion of rows of any columns: tokens are masked, numbers are noised, and any cells can be observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import seed_of
from pointillist.columns.covariance import principal_axes
from pointillist.columns.encoder import Allowed, Observed
from pointillist.columns.table_encoder import TableEncoder
from pointillist.diffusion.conditional_normal import MAX_NUMBERS
from pointillist.diffusion.conditioning.restricted_sampling import RestrictedSampler
from pointillist.diffusion.registries import TOKEN_NETWORKS
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.masking import MAX_UNFACTORED, Tokens
from pointillist.diffusion.tokens.mixed_likelihood import NumberLogDensity, NumberQuantiles
from pointillist.diffusion.tokens.mixed_sampling import POINTS, SCHEDULE, MixedDenoiser
from pointillist.diffusion.tokens.token_sampling import HIDDEN, TokenDenoiser, TokenSampler
from pointillist.engine.devices import QUICKLY
from pointillist.engine.recipes import TokenArchitecture, Weights
from pointillist.models.codec import Codec
from pointillist.models.conditioning import restriction_of, sizes
from pointillist.models.process import Learned, Process, SamplingPlan
from pointillist.models.request import REWARD_FIELDS, Request, number_sampler
from pointillist.tables.conditions import Condition


@dataclass(frozen=True, eq=False)
class MaskedProcess(Process):
    """Masked diffusion: tokens are masked and drawn one by one, then numbers are drawn jointly given the tokens.

    Attributes:
        covariance: Covariance of the numbers, as `conditional_normal` takes it; (0, 0) if there are too many of them.
        basis: Axes along which the joint number network sees the numbers, each as long as its σ_d; None without this
            network.
        p_uncond: Fraction of the labels that were hidden from the number networks in training.
        given: Indices of the columns that are observed in every row, the last ones.
    """

    architecture: TokenArchitecture
    covariance: Float[np.ndarray, "c d"]
    basis: Float[np.ndarray, "c c"] | None
    p_uncond: float = 0.0
    given: tuple[int, ...] = ()

    kind: ClassVar[str] = "masked"
    has_label_token: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(REWARD_FIELDS, "a reward steers numbers, but tokens are drawn first"),
        "prior": "tokens do not start from x_T",
        "deterministic": "tokens are drawn at random",
    }

    @classmethod
    def of(
        cls,
        parameters: dict[str, Any],
        encoding: TableEncoder,
        covariance: Float[np.ndarray, "c d"] | None = None,
        *,
        has_ranks: bool = False,
        has_unknown: bool = False,
        is_private: bool = False,
        given: tuple[int, ...] = (),
    ) -> "MaskedProcess":
        """Makes the process from hyperparameters.

        The covariance of the numbers is the identity by default. With `has_ranks`, the network shares weights between
        ordered values by their ranks, as it does in training. If cells of training rows may be unobserved
        (`has_unknown`), rows are conditioned on their observed cells, and a single network draws any set of missing
        numbers. In a private fit, gradients are clipped and noised per row, and carry more information about many
        masked tokens than about the next token in order; its layers are not factored for many values. Columns that are
        observed in every row (`given`) need no joint network of their numbers.
        """
        tokens = Tokens(
            encoding.sizes,
            encoding.ranks if has_ranks else (),
            encoding.with_number,
            encoding.number_values,
            encoding.with_intervals,
            has_column_order=not (has_unknown or is_private),
        )
        k = len(tokens.with_number)
        has_joint_network = k > 1 and not has_unknown and not given
        width, depth, frequencies = (parameters[name] for name in ("width", "depth", "frequencies"))
        if covariance is None:
            n_drawn = k - len({*given} & {*tokens.with_number})
            covariance = np.eye(n_drawn, k, dtype=np.float32)
            covariance = covariance if n_drawn <= MAX_NUMBERS else np.eye(0, dtype=np.float32)
        basis = principal_axes(covariance, np.zeros(len(covariance), bool)) if has_joint_network else None
        # Networks of numbers alone are not for tokens.
        network = parameters["network"] if parameters["network"] in TOKEN_NETWORKS else "residual"
        has_many_values = tokens.is_wide or (tokens.n_slots > MAX_UNFACTORED and not is_private)
        is_factored = has_ranks and network == "residual" and has_many_values
        architecture = TokenArchitecture(tokens, width, depth, frequencies, has_joint_network, is_factored, network)
        return cls(architecture, covariance, basis, float(parameters["p_uncond"]), given)

    def tensors(self) -> dict[str, np.ndarray]:
        given = np.ones(len(self.given), np.float32) if self.given else None
        found = {"covariance": self.covariance, "basis": self.basis, "given": given}
        return {name: array for name, array in found.items() if array is not None}

    @property
    def can_guide(self) -> bool:
        return not self.architecture.tokens.with_number or self.p_uncond > 0

    @property
    def noise(self) -> tuple[Schedule | None, Float[np.ndarray, "..."] | None]:
        if not self.architecture.tokens.with_number:
            return None, None
        return SCHEDULE, self.covariance if self.basis is None else np.stack([self.covariance, self.basis])

    def finished(self, network: Weights) -> tuple["MaskedProcess", Weights]:
        """Returns the process without ranks, and the network with its rank weights merged into the others."""
        folded = jax.device_get(_folded(network))
        return replace(self, architecture=replace(self.architecture, tokens=folded.tokens)), folded

    def label_indices(
        self, learned: Learned, plan: SamplingPlan, drawn: Float[np.ndarray, "m width"], rows: slice
    ) -> Int[np.ndarray, " m"]:
        return drawn[:, _label_token(learned)].astype(np.int64)

    def resolve_labels(self, learned: Learned, request: Request) -> tuple[Request, dict[Any, Any]]:
        """Moves the labels of the request into `where`, because they are a column of the codec."""
        where = dict(request.where or {})
        if request.labels is None:
            return request, where
        assert learned.classes is not None and learned.classes.column is not None
        name = learned.classes.column[0]
        if name in where:
            raise ValueError(f"labels and where both set column {name!r}: leave one of them out")
        return request, {**where, name: request.labels}

    def unconditional(self, learned: Learned, request: Request, cells: Observed, n_rows: int) -> SamplingPlan:
        # Without observed cells too, so that both cases share a compiled program.
        prior = learned.codec.observed_rows(cells, n_rows)
        tokens = self.architecture.tokens
        # Missing cells and atoms have no score to condition on.
        n = len(tokens.sizes)
        has_number = prior[:, list(tokens.with_number)] == tokens.number_values
        has_observed = bool((np.isfinite(prior[:, n:]) & has_number).any())
        denoiser = self._denoiser(learned, request, has_observed=has_observed)
        return SamplingPlan(n_rows, seed_of(request.random_state), denoiser, self._sampler(request), prior=prior)

    def restricted(
        self, plan: SamplingPlan, codec: Codec, allowed: Sequence[Allowed], request: Request
    ) -> SamplingPlan:
        tokens = self.architecture.tokens
        restriction = restriction_of(codec, allowed)
        population, kept = sizes(len(allowed) == 1 and restriction.ranges is None, plan.varies_by_row)
        schedule = SCHEDULE if tokens.with_number else None
        return replace(plan, sampler=RestrictedSampler(population, kept, len(tokens.sizes), restriction, schedule))

    def _sampler(self, request: Request) -> Sampler:
        """The sampler of tokens and numbers; DPM-Solver++(2M) with noise by default."""
        tokens = self.architecture.tokens
        chosen = request.first_changed("sampler", "steps")
        if chosen is not None and not tokens.with_number:
            raise ValueError(f"{chosen} applies to numbers, but this table has only tokens: leave it out")
        if chosen is not None and any(isinstance(each, Condition) for each in (request.where or {}).values()):
            raise ValueError(
                f"{chosen} cannot be combined with conditions, which need a special sampler: leave one of them out"
            )
        if not tokens.with_number:
            return TokenSampler()
        if chosen is None:
            return TokenSampler(len(tokens.sizes), DPMSolver2M(SCHEDULE, POINTS, is_stochastic=True))
        return TokenSampler(len(tokens.sizes), number_sampler(request, SCHEDULE, "dpm-sde"))

    def _denoiser(self, learned: Learned, request: Request, *, has_observed: bool) -> TokenDenoiser | MixedDenoiser:
        denoiser = self.token_denoiser(learned)
        if request.guidance != 0:
            guidance = np.asarray(request.guidance, np.float32)
            denoiser = replace(denoiser, guided=_label_token(learned), guidance=guidance)
        return self._with_numbers(denoiser, learned, has_observed=has_observed)

    def unguided_denoiser(
        self, learned: Learned, forbidden: Bool[np.ndarray, " slots"] | None = None, *, has_observed: bool
    ) -> Any:
        """Returns the denoiser without guidance, in which `forbidden` token values have probability 0.

        It is a `MixedDenoiser` for tables with numbers, and a `TokenDenoiser` for others.
        """
        return self._with_numbers(self.token_denoiser(learned, forbidden), learned, has_observed=has_observed)

    def token_denoiser(self, learned: Learned, forbidden: Bool[np.ndarray, " slots"] | None = None) -> TokenDenoiser:
        return TokenDenoiser(learned.network.token_network, self.architecture.tokens, forbidden=forbidden)

    def _with_numbers(
        self, denoiser: TokenDenoiser, learned: Learned, *, has_observed: bool
    ) -> TokenDenoiser | MixedDenoiser:
        network = learned.network
        if not self.architecture.tokens.with_number:
            return denoiser
        if has_observed or network.joint_network is None:
            return MixedDenoiser(denoiser, network.number_network, self.covariance)
        return MixedDenoiser(denoiser, network.joint_network, self.covariance, self.basis)

    def plan_imputation(
        self, learned: Learned, observed: Float[np.ndarray, "n width"], n_draws: int, random_state: Any
    ) -> SamplingPlan:
        prior = np.tile(observed, (n_draws, 1))
        denoiser = self.unguided_denoiser(learned, learned.codec.is_missing_value, has_observed=True)
        return SamplingPlan(len(prior), seed_of(random_state), denoiser, self._sampler(Request()), prior=prior)

    def with_label_indices(
        self, learned: Learned, observed: Float[np.ndarray, "n width"], indices: Int[np.ndarray, "#n"]
    ) -> Float[np.ndarray, "n width"]:
        observed, n_classes = observed.copy(), len(learned.classes or ())
        observed[:, _label_token(learned)] = np.where(indices == n_classes, HIDDEN, indices)
        return observed

    def number_density(self, learned: Learned, numbers: tuple[int, ...], *, has_label: bool) -> Any:
        is_all = len(numbers) == len(self.architecture.tokens.with_number)
        return NumberLogDensity(self.unguided_denoiser(learned, has_observed=not is_all), SCHEDULE, numbers)

    def number_quantiles(
        self, learned: Learned, number: int, starts: Float[np.ndarray, " levels"], *, has_label: bool
    ) -> Any:
        is_target = np.arange(len(self.architecture.tokens.with_number)) == number
        return NumberQuantiles(self.unguided_denoiser(learned, has_observed=True), SCHEDULE, is_target, starts)


@partial(jax.jit, compiler_options=QUICKLY)
def _folded(network: Any) -> Any:
    return network.folded()


def _label_token(learned: Learned) -> int:
    assert learned.classes is not None and learned.classes.column is not None
    index = learned.codec.encoding.token_index(learned.classes.column[0])
    assert index is not None
    return index


def masked_of(model: Learned) -> MaskedProcess:
    """Returns the process of a masked model; raises a ValueError if the model is Gaussian."""
    if not isinstance(model.process, MaskedProcess):
        raise ValueError(
            "this needs a model with tokens, but this one is Gaussian: fit the table with process='masked'"
        )
    return model.process
