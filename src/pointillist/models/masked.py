"""Diffusion of rows of any columns: tokens are hidden, and numbers are noised. Any cells can be given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import seed_of
from pointillist.diffusion.mixed_networks import MixedNetwork, NumberNetwork
from pointillist.diffusion.mixed_sampling import SCHEDULE, MixedDenoiser, MixedSampler
from pointillist.diffusion.restricted_sampling import RestrictedSampler
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.token_networks import FactoredNetwork, TokenNetwork
from pointillist.diffusion.token_sampling import HIDDEN, GuidedTokenDenoiser, TokenDenoiser, TokenSampler
from pointillist.diffusion.tokens import Tokens
from pointillist.engine.recipes import TokenArchitecture, Weights
from pointillist.models.conditioning import allowed_cells, restriction_of, sizes, split
from pointillist.models.process import Drawing, Learned, Process
from pointillist.models.request import OF_REWARD, Request, agreed_length, check_drawn
from pointillist.points.allowed import Allowed
from pointillist.points.encoding import TableEncoding
from pointillist.points.mixed import Cells, cells_of
from pointillist.points.token_codec import TokenCodec

_OF_NUMBERS = ("guidance_interval", "worse", *OF_REWARD, "sampler", "steps", "prior", "deterministic")
"""Parts of a request that only Gaussian diffusion has."""


@dataclass(frozen=True, eq=False)
class MaskedProcess(Process):
    """Tokens are hidden, and drawn one after another; numbers are noised, and drawn at once given the tokens.

    Attributes:
        architecture: The network's architecture, with the tokens.
        covariance: Covariance of the numbers, shape (k, k).
    """

    architecture: TokenArchitecture
    covariance: Float[np.ndarray, "k k"]

    @classmethod
    def of(
        cls,
        parameters: dict[str, Any],
        encoding: TableEncoding,
        covariance: Float[np.ndarray, "k k"] | None = None,
        *,
        has_ranks: bool = False,
    ) -> "MaskedProcess":
        """Makes the process that hyperparameters describe.

        Args:
            parameters: The hyperparameters.
            encoding: The tokens of a table.
            covariance: Covariance of the numbers, shape (k, k); that of independent ones by default.
            has_ranks: Whether the network learns what ordered values have in common, as it does in training.
        """
        tokens = Tokens(
            encoding.sizes,
            encoding.ranks if has_ranks else (),
            encoding.with_number,
            encoding.number_values,
            encoding.with_intervals,
        )
        architecture = TokenArchitecture(tokens, *(parameters[name] for name in ("width", "depth", "frequencies")))
        return cls(
            architecture, np.eye(len(tokens.with_number), dtype=np.float32) if covariance is None else covariance
        )

    @property
    def noise(self) -> tuple[Schedule | None, Float[np.ndarray, "k k"] | None]:
        """The noise schedule of the numbers, and their covariance; tokens are hidden, whatever theirs."""
        return (SCHEDULE, self.covariance) if len(self.covariance) else (None, None)

    def finished(self, network: Weights) -> tuple["MaskedProcess", Weights]:
        """Returns the network with its two kinds of weights merged, and the process without ranks."""
        assert isinstance(network, TokenNetwork | FactoredNetwork | MixedNetwork)
        folded = jax.tree.map(np.asarray, jax.tree.map(jnp.asarray, network).folded())
        return replace(self, architecture=replace(self.architecture, tokens=folded.tokens)), folded

    def check(self, drawn: Float[np.ndarray, "m width"], request: Request) -> None:
        """Raises a ValueError if drawn tokens are not finite."""
        check_drawn(drawn)

    def label_indices(
        self, learned: Learned, drawing: Drawing, drawn: Float[np.ndarray, "m width"], rows: slice
    ) -> Int[np.ndarray, " m"]:
        """Returns the token of the label column, which counts the classes."""
        return drawn[:, _label_token(learned)].astype(np.int64)

    def drawing(self, learned: Learned, request: Request) -> Drawing:
        """Turns a request into a denoiser of tokens, guided or not, and the tokens that are given.

        Raises:
            ValueError: In one line, if an argument cannot be used by this model.
        """
        changed = request.first_changed(_OF_NUMBERS)
        if changed is not None:
            raise ValueError(f"{changed} is only for models of numbers, and this one is of tokens: leave it out")
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
        lengths = {name: None if len(each) == 1 else len(each) for name, each in values.items()}
        n_rows = agreed_length(request.n_samples, lengths)
        codec = _codec(learned)
        given = {name: _cells(codec, name, each) for name, each in values.items()}
        # Also where no cells are given: with and without would be two programs.
        prior = codec.given_tokens(given, n_rows, HIDDEN)
        seed = seed_of(request.random_state)
        drawing = Drawing(n_rows, seed, self._denoiser(learned, request), self._sampler, prior=prior, given=given)
        return self._restricted(drawing, codec, allowed_cells(codec, conditions))

    def _restricted(self, drawing: Drawing, codec: TokenCodec, cells: tuple[Allowed, ...]) -> Drawing:
        """A drawing under conditions."""
        if not cells:
            return drawing
        tokens = self.architecture.tokens
        restriction = restriction_of(codec, tokens, cells)
        has_own_rows = drawing.prior is not None and len(drawing.prior) > 1
        population, kept = sizes(len(cells) == 1 and restriction.ranges is None, has_own_rows)
        schedule = SCHEDULE if tokens.with_number else None
        return replace(
            drawing,
            sampler=RestrictedSampler(population, kept, len(tokens.sizes), restriction, schedule),
            ends={own.name: own.ends for own in cells if own.ends != (-np.inf, np.inf)},
            conditions=" and ".join(f"{own.name!r} {own.text}" for own in cells),
            has_own_rows=has_own_rows,
        )

    @property
    def _sampler(self) -> Sampler:
        tokens = self.architecture.tokens
        return MixedSampler(len(tokens.sizes), SCHEDULE) if tokens.with_number else TokenSampler()

    def _denoiser(self, learned: Learned, request: Request) -> TokenDenoiser | MixedDenoiser:
        if request.guidance == 0:
            return self.plain(learned)
        if request.labels is None:
            raise ValueError("guidance needs a class to guide to: give labels")
        guidance, guided = np.asarray(request.guidance, np.float32), _label_token(learned)
        of_tokens, of_numbers = _networks(learned)
        denoiser = GuidedTokenDenoiser(of_tokens, self.architecture.tokens, guided=guided, guidance=guidance)
        return (
            denoiser if of_numbers is None else MixedDenoiser(denoiser, of_numbers, self.covariance, guided, guidance)
        )

    def plain(
        self, learned: Learned, forbidden: Bool[np.ndarray, " slots"] | None = None
    ) -> TokenDenoiser | MixedDenoiser:
        """Returns the denoiser without guidance, which gives forbidden values of tokens no probability."""
        of_tokens, of_numbers = _networks(learned)
        denoiser = TokenDenoiser(of_tokens, self.architecture.tokens, forbidden=forbidden)
        return denoiser if of_numbers is None else MixedDenoiser(denoiser, of_numbers, self.covariance)

    def filling(
        self, learned: Learned, known: Float[np.ndarray, "n width"], n_draws: int, random_state: Any
    ) -> Drawing:
        """Returns what draws all cells of rows but those that are known, `n_draws` times over; none is missing."""
        prior = np.tile(known, (n_draws, 1))
        denoiser = self.plain(learned, _codec(learned).stands_for_missing)
        return Drawing(len(prior), seed_of(random_state), denoiser, self._sampler, prior=prior)


def _networks(learned: Learned) -> tuple[TokenNetwork, NumberNetwork | None]:
    """The network of tokens, and that of numbers if there are some."""
    network = learned.network
    of_tokens, of_numbers = (
        (network.of_tokens, network.of_numbers) if isinstance(network, MixedNetwork) else (network, None)
    )
    assert isinstance(of_tokens, TokenNetwork)
    return of_tokens, of_numbers


def _codec(learned: Learned) -> TokenCodec:
    assert isinstance(learned.codec, TokenCodec)
    return learned.codec


def _label_token(learned: Learned) -> int:
    assert learned.classes is not None and learned.classes.column is not None
    return _codec(learned).encoding.place(learned.classes.column[0])


def _cells(codec: TokenCodec, name: Any, values: Sequence[Any]) -> Cells:
    """Cells of values that are given for a column."""
    code, kind = codec.encoding.code(name), codec.layout.type_of(name)
    cells = _of_labels(values) if kind is None else cells_of(name, values, kind)
    if np.isnan(code.encode(cells)[0]).any():
        raise ValueError(f"column {name!r} has no missing cells in the model: give a value")
    return cells


def _of_labels(values: Sequence[Any]) -> Cells:
    """Cells of labels that have no column in the table."""
    known = tuple(dict.fromkeys(value for value in values if value is not None))
    places = np.array([0 if value is None else known.index(value) for value in values])
    return Cells(places, np.array([value is None for value in values]), known)


def _values(name: Any, value: Any) -> Sequence[Any]:
    """Values given for a column: one for all rows, or one per row."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return [value.item() if isinstance(value, np.generic) else value]
    if np.ndim(value) > 1:
        raise ValueError(f"column {name!r} takes one value, or one value per row, not shape {np.shape(value)}")
    return list(value)
