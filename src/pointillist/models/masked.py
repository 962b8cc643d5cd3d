"""Diffusion of rows of any columns: tokens are hidden, and numbers are noised. Any cells can be given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import seed_of
from pointillist.columns.covariance import principal_axes
from pointillist.columns.encoder import Allowed
from pointillist.columns.table_encoder import TableEncoder
from pointillist.diffusion.conditional_normal import MOST_NUMBERS
from pointillist.diffusion.conditioning.restricted_sampling import RestrictedSampler
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.masking import MANY, Tokens
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork
from pointillist.diffusion.tokens.mixed_sampling import POINTS, SCHEDULE, MixedDenoiser, MixedSampler
from pointillist.diffusion.tokens.token_networks import FactoredNetwork, TokenNetwork
from pointillist.diffusion.tokens.token_sampling import HIDDEN, GuidedTokenDenoiser, TokenDenoiser, TokenSampler
from pointillist.engine.recipes import TokenArchitecture, Weights
from pointillist.models.agreement import agreeing
from pointillist.models.conditioning import allowed_cells, restriction_of, sizes, split
from pointillist.models.number_sampler import number_sampler
from pointillist.models.process import Learned, Process, SamplingPlan
from pointillist.models.request import OF_REWARD, Request, agreed_length, check_drawn
from pointillist.models.token_codec import TokenCodec
from pointillist.tables.conditions import Condition
from pointillist.tables.table import Column, cells_of

_REFUSED = {
    "guidance_interval": "tokens are drawn one after another, not by noise level",
    "worse": "tokens are drawn one after another, not by noise level",
    **dict.fromkeys(OF_REWARD, "a reward steers numbers, and tokens are drawn before them"),
    "prior": "tokens do not start from x_T",
    "deterministic": "tokens are drawn at random",
}
"""Parts of a request that a table with tokens cannot have, and why."""


@dataclass(frozen=True, eq=False)
class MaskedProcess(Process):
    """Tokens are hidden, and drawn one after another; numbers are noised, and drawn at once given the tokens.

    Attributes:
        architecture: The network's architecture, with the tokens.
        covariance: Covariance of the numbers, shape (k, k); (0, 0) if there are too many of them.
        basis: Axes along which the network of all numbers together sees them, each as long as its σ_d; None if there
            is no such network.
        p_uncond: Share of the labels that were hidden from the network of numbers in training.
    """

    architecture: TokenArchitecture
    covariance: Float[np.ndarray, "c c"]
    basis: Float[np.ndarray, "c c"] | None
    p_uncond: float = 0.0

    @classmethod
    def of(
        cls,
        parameters: dict[str, Any],
        encoding: TableEncoder,
        covariance: Float[np.ndarray, "c c"] | None = None,
        *,
        has_ranks: bool = False,
        has_gaps: bool = False,
        is_private: bool = False,
    ) -> "MaskedProcess":
        """Makes the process that hyperparameters describe.

        Args:
            parameters: The hyperparameters.
            encoding: The tokens of a table.
            covariance: Covariance of the numbers, shape (k, k); that of independent ones by default.
            has_ranks: Whether the network learns what ordered values have in common, as it does in training.
            has_gaps: Whether cells of training rows may be unknown. Rows are then given what they have, and one
                network draws the numbers that they lack, be it all.
            is_private: Whether the fit is a private one. Its gradients are clipped and noised row by row, and tell more
                if they are of many tokens than if they are of the next one in turn. Its layers are not
                factored for many values.
        """
        tokens = Tokens(
            encoding.sizes,
            encoding.ranks if has_ranks else (),
            encoding.with_number,
            encoding.number_values,
            encoding.with_intervals,
            has_turns=not (has_gaps or is_private),
        )
        k = len(tokens.with_number)
        is_paired = k > 1 and not has_gaps
        width, depth, frequencies = (parameters[name] for name in ("width", "depth", "frequencies"))
        if covariance is None:
            covariance = np.eye(k if k <= MOST_NUMBERS else 0, dtype=np.float32)
        basis = principal_axes(covariance, np.zeros(len(covariance), bool)) if is_paired else None
        is_factored = has_ranks and (tokens.is_wide or (tokens.n_slots > MANY and not is_private))
        architecture = TokenArchitecture(tokens, width, depth, frequencies, is_paired, is_factored)
        return cls(architecture, covariance, basis, float(parameters["p_uncond"]))

    @property
    def can_guide(self) -> bool:
        """Whether rows can be guided to a class: any token may be hidden from the network of tokens."""
        return not self.architecture.tokens.with_number or self.p_uncond > 0

    @property
    def noise(self) -> tuple[Schedule | None, Float[np.ndarray, "..."] | None]:
        """The noise schedule of the numbers, and their covariance and basis; tokens are hidden, whatever theirs."""
        if not self.architecture.tokens.with_number:
            return None, None
        return SCHEDULE, self.covariance if self.basis is None else np.stack([self.covariance, self.basis])

    def finished(self, network: Weights) -> tuple["MaskedProcess", Weights]:
        """Returns the network with its two kinds of weights merged, and the process without ranks."""
        assert isinstance(network, TokenNetwork | FactoredNetwork | MixedNetwork)
        folded = jax.tree.map(np.asarray, jax.tree.map(jnp.asarray, network).folded())
        return replace(self, architecture=replace(self.architecture, tokens=folded.tokens)), folded

    def check(self, drawn: Float[np.ndarray, "m width"], request: Request) -> None:
        """Raises a ValueError if drawn tokens are not finite."""
        check_drawn(drawn)

    def label_indices(
        self, learned: Learned, plan: SamplingPlan, drawn: Float[np.ndarray, "m width"], rows: slice
    ) -> Int[np.ndarray, " m"]:
        """Returns the token of the label column, which counts the classes."""
        return drawn[:, _label_token(learned)].astype(np.int64)

    def plan_sampling(self, learned: Learned, request: Request) -> SamplingPlan:
        """Turns a request into a denoiser of tokens, guided or not, and the tokens that are given.

        Raises:
            ValueError: In one line, if an argument cannot be used by this model.
        """
        changed = request.first_changed(tuple(_REFUSED))
        if changed is not None:
            raise ValueError(
                f"{changed} is only for models of numbers, and this one is of tokens ({_REFUSED[changed]}): leave it "
                "out"
            )
        sampler = self._sampler(request)
        if learned.classes is None and (request.labels is not None or request.return_labels):
            what = "return_labels needs" if request.labels is None else "labels need"
            raise ValueError(f"{what} a model with classes, and this one was fitted without: fit it with y")
        asked, conditions = split(request.where or {})
        if request.labels is not None:
            assert learned.classes is not None and learned.classes.column is not None
            name = learned.classes.column[0]
            if name in asked or name in conditions:
                raise ValueError(f"labels and where both say what column {name!r} holds: leave one of them out")
            asked[name] = request.labels
        values = {name: _values(name, value) for name, value in asked.items()}
        lengths = [(name, None if len(each) == 1 else len(each)) for name, each in values.items()]
        n_rows = agreed_length(request.n_samples, lengths)
        codec = _codec(learned)
        given = {name: _cells(learned, name, each) for name, each in values.items()}
        # Also where no cells are given: with and without would be two programs.
        prior = codec.given_tokens(given, n_rows, HIDDEN)
        seed = seed_of(request.random_state)
        tokens = self.architecture.tokens
        # Of a number that is missing, or one of single values, there is no score to give.
        n = len(tokens.sizes)
        has_given = bool((np.isfinite(prior[:, n:]) & np.asarray(tokens.has_number(jnp.asarray(prior[:, :n])))).any())
        denoiser = self._denoiser(learned, request, has_given=has_given)
        plan = SamplingPlan(n_rows, seed, denoiser, sampler, prior=prior, given=given)
        return self._restricted(plan, codec, agreeing(codec, given, allowed_cells(codec, conditions)))

    def _restricted(self, plan: SamplingPlan, codec: TokenCodec, cells: tuple[Allowed, ...]) -> SamplingPlan:
        """A drawing under conditions."""
        if not cells:
            return plan
        tokens = self.architecture.tokens
        restriction = restriction_of(codec, tokens, cells)
        has_own_rows = plan.prior is not None and len(plan.prior) > 1
        population, kept = sizes(len(cells) == 1 and restriction.ranges is None, has_own_rows)
        schedule = SCHEDULE if tokens.with_number else None
        return replace(
            plan,
            sampler=RestrictedSampler(population, kept, len(tokens.sizes), restriction, schedule),
            ends={own.name: own.ends for own in cells if np.isfinite([own.ends.low, own.ends.high]).any()},
            conditions=" and ".join(f"{own.name!r} {own.text}" for own in cells),
            has_own_rows=has_own_rows,
        )

    def _sampler(self, request: Request) -> Sampler:
        """The sampler of tokens, and of the numbers beside them: by default DPM-Solver++(2M) with noise."""
        tokens = self.architecture.tokens
        chosen = request.first_changed(("sampler", "steps"))
        if chosen is not None and not tokens.with_number:
            raise ValueError(f"{chosen} is for numbers, and this table has only tokens: leave it out")
        if chosen is not None and any(isinstance(each, Condition) for each in (request.where or {}).values()):
            raise ValueError(f"{chosen}: rows under conditions have a sampler of their own: leave one of them out")
        if not tokens.with_number:
            return TokenSampler()
        if chosen is None:
            return MixedSampler(len(tokens.sizes), DPMSolver2M(SCHEDULE, POINTS, is_stochastic=True))
        return MixedSampler(len(tokens.sizes), number_sampler(request, SCHEDULE, "dpm-sde"))

    def _denoiser(self, learned: Learned, request: Request, *, has_given: bool) -> TokenDenoiser | MixedDenoiser:
        if request.guidance == 0:
            return self.plain(learned, has_given=has_given)
        if request.labels is None:
            raise ValueError("guidance needs a class to guide to: give labels")
        if not self.can_guide:
            raise ValueError("guidance needs a model trained without labels too: fit it with p_uncond above 0")
        guidance, guided = np.asarray(request.guidance, np.float32), _label_token(learned)
        denoiser = GuidedTokenDenoiser(_of_tokens(learned), self.architecture.tokens, guided=guided, guidance=guidance)
        return self._beside(denoiser, learned, has_given=has_given, guided=guided, guidance=guidance)

    def plain(
        self, learned: Learned, forbidden: Bool[np.ndarray, " slots"] | None = None, *, has_given: bool
    ) -> TokenDenoiser | MixedDenoiser:
        """Returns the denoiser without guidance.

        Args:
            learned: The model.
            forbidden: Values of tokens to which it gives no probability.
            has_given: Whether numbers may be given to it.
        """
        denoiser = TokenDenoiser(_of_tokens(learned), self.architecture.tokens, forbidden=forbidden)
        return self._beside(denoiser, learned, has_given=has_given)

    def _beside(
        self, of_tokens: TokenDenoiser, learned: Learned, *, has_given: bool, **guided: Any
    ) -> TokenDenoiser | MixedDenoiser:
        """A denoiser of tokens, with that of numbers if there are some."""
        network = learned.network
        if not isinstance(network, MixedNetwork):
            return of_tokens
        if has_given or network.of_all is None:
            return MixedDenoiser(of_tokens, network.of_numbers, self.covariance, **guided)
        return MixedDenoiser(of_tokens, network.of_all, self.covariance, self.basis, **guided)

    def filling(
        self, learned: Learned, known: Float[np.ndarray, "n width"], n_draws: int, random_state: Any
    ) -> SamplingPlan:
        """Returns what draws all cells of rows but those that are known, `n_draws` times over; none is missing."""
        prior = np.tile(known, (n_draws, 1))
        denoiser = self.plain(learned, _codec(learned).stands_for_missing, has_given=True)
        return SamplingPlan(len(prior), seed_of(random_state), denoiser, self._sampler(Request()), prior=prior)


def _of_tokens(learned: Learned) -> TokenNetwork:
    """The network of tokens."""
    of_tokens = learned.network.of_tokens if isinstance(learned.network, MixedNetwork) else learned.network
    assert isinstance(of_tokens, TokenNetwork)
    return of_tokens


def _codec(learned: Learned) -> TokenCodec:
    assert isinstance(learned.codec, TokenCodec)
    return learned.codec


def _label_token(learned: Learned) -> int:
    assert learned.classes is not None and learned.classes.column is not None
    return _codec(learned).encoding.place(learned.classes.column[0])


def _cells(learned: Learned, name: Any, values: Sequence[Any]) -> Column:
    """Cells of values that are given for a column."""
    codec = _codec(learned)
    code, kind = codec.encoding.code(name), codec.layout.type_of(name)
    cells = _of_labels(values) if kind is None else cells_of(name, values, kind)
    of_classes = None if learned.classes is None else learned.classes.column
    if of_classes is not None and name == of_classes[0]:
        code.check_known(cells)
    code.check_range(cells, kind)
    if np.isnan(code.encode(cells)[0]).any():
        raise ValueError(f"column {name!r} has no missing cells in the model: give a value")
    return cells


def _of_labels(values: Sequence[Any]) -> Column:
    """Cells of labels that have no column in the table."""
    known = tuple(dict.fromkeys(value for value in values if value is not None))
    places = np.array([0 if value is None else known.index(value) for value in values])
    return Column(places, np.array([value is None for value in values]), known)


def _values(name: Any, value: Any) -> Sequence[Any]:
    """Values given for a column: one for all rows, or one per row."""
    if isinstance(value, str) or np.ndim(value) == 0:
        is_moment = isinstance(value, np.datetime64 | np.timedelta64)
        return [value.item() if isinstance(value, np.generic) and not is_moment else value]
    if np.ndim(value) > 1:
        raise ValueError(f"column {name!r} takes one value, or one value per row, not shape {np.shape(value)}")
    return list(value)
