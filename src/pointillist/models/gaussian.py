"""Gaussian diffusion of rows of numbers: its denoisers, samplers, guidance and steering."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from pointillist.arguments import check_unmasked, is_missing, seed_of
from pointillist.columns.encoder import Allowed, Observed
from pointillist.columns.scaling import AffineScaling
from pointillist.diffusion.conditioning.observed_sampling import (
    CenteredSampler,
    ColumnDensity,
    ColumnQuantiles,
    ObservedSampler,
)
from pointillist.diffusion.conditioning.twisting import POINTS, RangedSampler
from pointillist.diffusion.denoisers import Bounds, Denoiser
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.registries import NETWORKS, SCHEDULES, sampler_named
from pointillist.diffusion.samplers import RowSampler, Sampler, TransitionSampler
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule, linear
from pointillist.diffusion.solvers import Solver
from pointillist.diffusion.steering import SVDD, FeynmanKac
from pointillist.engine.mapping import LogDensity
from pointillist.engine.random_streams import HostStream, generator_of
from pointillist.engine.recipes import Architecture
from pointillist.models.classes import Classes
from pointillist.models.codec import Codec
from pointillist.models.conditioning import number_ranges, sizes, split
from pointillist.models.process import Learned, Process, SamplingPlan
from pointillist.models.request import REWARD_FIELDS, Request, number_sampler
from pointillist.tables.frames import check_finite

_LABELS_AT_ONCE = 2**20

STEERING: dict[str, Callable[..., Sampler]] = {"svdd_pm": SVDD, "feynman_kac": FeynmanKac}
"""Methods that steer a sampler by a reward, by name: (sampler, reward, temperature, candidates) → sampler."""

Values = np.ndarray | Array

# As pytrees, scalings are data of compiled programs rather than constants.
jax.tree_util.register_dataclass(AffineScaling, ["centre", "unit"], [])


class UnscaledReward(eqx.Module):
    """A reward of scaled rows, shape (m, k), from a reward of rows in the units of the table, shape (m, d).

    Rows are not rounded, so a column of integers holds other numbers during sampling. Constant columns hold their
    `minimum`; `indices` are the indices of the others, and `varying` is their scaling.
    """

    function: Callable[[Any], Any] = eqx.field(static=True)
    minimum: Float[Values, " d"]
    indices: Values
    varying: AffineScaling

    def __call__(self, x0: Any) -> Any:
        """Computes the reward of NumPy or JAX rows, (m, k) → (m,)."""
        if isinstance(x0, np.ndarray):
            rows = np.repeat(np.asarray(self.minimum)[None], len(x0), axis=0)
            rows[:, np.asarray(self.indices)] = self.varying.inverse(x0)
            return self.function(rows)
        minimum = jnp.asarray(self.minimum, jnp.float32)
        constants = jnp.broadcast_to(minimum, (len(x0), len(minimum)))
        return self.function(constants.at[:, self.indices].set(self.varying.inverse(x0)))


@dataclass(frozen=True, eq=False)
class GaussianProcess(Process):
    """Gaussian diffusion: noises rows and denoises them.

    Attributes:
        prediction: Quantity that the network predicts, one of `parameterizations.PREDICTIONS`.
        sigma_data: Root mean square of each scaled column, shape (k,), float32.
        p_uncond: Fraction of the labels that were hidden in training.
        given: Indices of the scaled columns that most training rows observed; see `Objective.given`.
    """

    architecture: Architecture
    prediction: str
    schedule: Schedule
    sigma_data: Float[np.ndarray, " k"]
    n_classes: int = 0
    p_uncond: float = 0.0
    given: tuple[int, ...] = ()

    kind: ClassVar[str] = "gaussian"
    has_label_token: ClassVar[bool] = False

    @classmethod
    def of(
        cls, parameters: dict[str, Any], n_classes: int, sigma_data: Float[np.ndarray, " k"], given: Sequence[int] = ()
    ) -> "GaussianProcess":
        """Makes the process from hyperparameters."""
        architecture = architecture_of(parameters, n_classes, len(sigma_data))
        schedule, p_uncond = noise_schedule(parameters), float(parameters["p_uncond"])
        return cls(architecture, parameters["prediction"], schedule, sigma_data, n_classes, p_uncond, tuple(given))

    @property
    def can_guide(self) -> bool:
        return self.p_uncond > 0

    @property
    def noise(self) -> tuple[Schedule, Float[np.ndarray, " k"]]:
        return self.schedule, self.sigma_data

    def tensors(self) -> dict[str, np.ndarray]:
        is_given = np.isin(np.arange(len(self.sigma_data)), self.given).astype(np.float32)
        return {"spread": self.sigma_data} | ({"given": is_given} if self.given else {})

    def denoiser(self, network: Any, bounds: Bounds | None = None) -> Denoiser:
        """Wraps a network; see `NetworkDenoiser` for bounds."""
        return self.architecture.denoiser(
            network, self.prediction, self.sigma_data, self.schedule, self.n_classes, bounds
        )

    def resolve_labels(self, learned: Learned, request: Request) -> tuple[Request, dict[Any, Any]]:
        """Moves labels from `where` to `labels` of the request, because the codec has no column for them."""
        where = dict(request.where or {})
        name = None if learned.classes is None else learned.classes.label_name(learned.codec.names or ())
        if name is None or name not in where:
            return request, where
        if request.labels is not None:
            raise ValueError(f"labels and where both set column {name!r}: leave one of them out")
        values, conditions = split({name: where.pop(name)})
        if conditions:
            raise ValueError(f"column {name!r} holds the labels of a Gaussian model: give one label, or one per row")
        if np.ndim(values[name]) == 0 and is_missing(values[name]):
            raise ValueError(f"column {name!r} holds labels and cannot be missing: give a label, or leave it out")
        return replace(request, labels=values[name], where=where), where

    def unconditional(self, learned: Learned, request: Request, cells: Observed, n_rows: int) -> SamplingPlan:
        if cells:
            what, has_label = f"where with a value of column {next(iter(cells))!r}", request.labels is not None
            self._check_observable(learned, what, has_label=has_label)
            changed = request.first_changed(*REWARD_FIELDS, "prior")
            if changed is not None:
                raise ValueError(f"{changed} cannot be combined with values in where: leave one of them out")
            if request.return_labels and not has_label:
                raise ValueError("values in where need labels: give labels (--label)")
        self._warn_unless_given(learned.codec, cells)
        unused = request.first_changed(*REWARD_FIELDS) if request.reward is None else None
        if unused is not None:
            raise ValueError(f"{unused} has no effect without a reward: give a reward, or leave it out")
        sampler = self._steered(learned.codec, request)
        is_fixed = request.prior is not None and isinstance(sampler, RowSampler) and not sampler.is_stochastic
        # Deterministic sampling from a given x_T must return the same rows, so drawn labels have a fixed seed.
        seed = 0 if is_fixed and request.random_state is None else seed_of(request.random_state)
        prior = None if request.prior is None else _prior(learned.codec, request.prior)
        denoiser: Any = _clipped(learned)
        if request.guidance != 0:
            denoiser = ClassifierFree(denoiser, np.asarray(request.guidance, np.float32))
        if prior is not None and sampler.rows_per_draw > 1:
            raise ValueError("feynman_kac draws populations of rows and cannot start from a prior: leave prior out")
        labels = None
        if learned.classes is not None and request.labels is not None:
            labels = np.broadcast_to(learned.classes.indices(request.labels), n_rows).copy()
        # A model with p_uncond = 0 always needs a label, because it was never trained without one.
        elif learned.classes is not None and (request.return_labels or self.p_uncond == 0):
            labels = _drawn_labels(learned.classes, n_rows, seed)
        if any(learned.codec.encoding.number_index(name) is not None for name in cells):
            sampler, prior = ObservedSampler(sampler), learned.codec.observed_rows(cells, n_rows).astype(np.float32)
        elif labels is not None and prior is None and isinstance(sampler, Solver) and not sampler.is_stochastic:
            # Only solvers depend on their start: other samplers start at high noise or add noise.
            sampler = CenteredSampler(sampler)
        return SamplingPlan(n_rows, seed, denoiser, sampler, labels, prior)

    def restricted(
        self, plan: SamplingPlan, codec: Codec, allowed: Sequence[Allowed], request: Request
    ) -> SamplingPlan:
        changed = request.first_changed(*REWARD_FIELDS, "prior", "deterministic")
        if changed is not None:
            raise ValueError(f"{changed} cannot be combined with ranges of numbers: leave one of them out")
        if request.sampler not in (None, "dpm-sde"):
            raise ValueError(f"ranges of numbers need sampler='dpm-sde', not {request.sampler!r}: leave it out")
        if plan.labels is not None and request.labels is None:
            raise ValueError("ranges of numbers need labels: give labels (--label)")
        ranges = number_ranges(codec, allowed)
        if ranges is None:
            return plan
        # All rows of a population have the same class.
        has_several_classes = plan.labels is not None and len(np.unique(plan.labels)) > 1
        varies_by_row = plan.varies_by_row or has_several_classes
        ranges = replace(ranges, scale=np.asarray(self.sigma_data, np.float32))
        sampler: Sampler = RangedSampler(*sizes(False, varies_by_row), ranges, self.schedule, request.steps or POINTS)
        sampler = ObservedSampler(sampler) if isinstance(plan.sampler, ObservedSampler) else sampler
        return replace(plan, sampler=sampler, varies_by_row=varies_by_row)

    def plan_imputation(
        self, learned: Learned, observed: Float[np.ndarray, "n k_and_label"], n_draws: int, random_state: Any
    ) -> SamplingPlan:
        prior, labels = np.tile(observed, (n_draws, 1)).astype(np.float32), None
        has_label = prior.shape[1] > learned.codec.width
        self._check_observable(learned, "filling cells", has_label=has_label)
        if has_label:
            prior, labels = prior[:, :-1], prior[:, -1].astype(np.int32)
        sampler = ObservedSampler(sampler_named("dpm", self.schedule))
        return SamplingPlan(len(prior), seed_of(random_state), _clipped(learned), sampler, labels, prior)

    def with_label_indices(
        self, learned: Learned, observed: Float[np.ndarray, "n k"], indices: Int[np.ndarray, "#n"]
    ) -> Float[np.ndarray, "n k_and_label"]:
        """Appends the index of its class to each row."""
        if (indices == self.n_classes).any() and self.p_uncond == 0:
            raise ValueError("labels has a missing label, but the model was fitted with p_uncond=0: give all labels")
        return np.column_stack([observed, np.broadcast_to(indices, len(observed))]).astype(np.float32)

    def check_conditional(self, learned: Learned, *, has_label: bool) -> None:
        self._check_observable(learned, "conditional", has_label=has_label)
        self.check_noise_levels("conditional")

    def check_density(self, learned: Learned) -> None:
        if learned.classes is not None and self.p_uncond == 0:
            raise ValueError(
                "densities are marginal over classes, but this model was never trained without labels: fit it with "
                "p_uncond above 0"
            )
        self.check_noise_levels("a density")

    def number_density(self, learned: Learned, numbers: tuple[int, ...], *, has_label: bool) -> Any:
        denoiser = self.denoiser(learned.network)
        if len(numbers) == learned.codec.width and not has_label:
            return LogDensity(denoiser)
        return ColumnDensity(denoiser, numbers, has_label)

    def number_quantiles(
        self, learned: Learned, number: int, starts: Float[np.ndarray, " levels"], *, has_label: bool
    ) -> Any:
        return ColumnQuantiles(_clipped(learned), sampler_named("dpm", self.schedule), number, starts, has_label)

    def _check_observable(self, learned: Learned, what: str, *, has_label: bool) -> None:
        if not self.architecture.has_observed:
            if learned.codec.width == 1:
                raise ValueError(
                    f"{what} needs columns to condition on, but only one column varies: fit with process='masked'"
                )
            raise ValueError(
                f"{what} needs a model trained on rows with observed columns: fit it with p_given above 0 and "
                "network='residual', or with process='masked'"
            )
        if learned.classes is not None and self.p_uncond == 0 and not has_label:
            raise ValueError(
                f"{what} needs a model also trained without labels: give labels, or fit it with p_uncond above 0"
            )

    def check_noise_levels(self, what: str) -> None:
        """Raises a ValueError if the noise at t = 1 is not below the noise at which solvers start."""
        ends = [1, int(self.schedule.timesteps)]
        lambda_1, lambda_T = np.log(np.asarray(self.schedule.alpha)[ends] / np.asarray(self.schedule.sigma)[ends])
        if lambda_1 <= max(lambda_T, LOWEST_LAMBDA):
            raise ValueError(
                f"{what} needs several noise levels, but this model has almost pure noise at the first: fit it with "
                "more timesteps"
            )

    def _warn_unless_given(self, codec: Codec, cells: Observed) -> None:
        index_of = {name: codec.encoding.number_index(name) for name in codec.column_names}
        observed = {index_of[name] for name in cells} - {None}
        if self.given and observed != {*self.given}:
            names = [name for name, index in index_of.items() if index in self.given]
            warnings.warn(
                f"the model was fitted with given={names!r}, so rows are less precise unless where has exactly these "
                "columns",
                UserWarning,
                stacklevel=8,
            )

    def _steered(self, codec: Codec, request: Request) -> Sampler:
        sampler = number_sampler(request, self.schedule, "dpm" if request.reward is None else "ancestral")
        reward, temperature, steering = request.reward, request.reward_temperature, request.steering
        if reward is None or not isinstance(sampler, TransitionSampler):
            return sampler
        if not callable(reward):
            raise ValueError(f"reward must be a function of rows, not {reward!r}")
        if temperature == 0 and steering != "svdd_pm":
            raise ValueError(f"reward_temperature must be a number above 0 with steering={steering!r}, not 0")
        scaling = codec.scaling
        in_units = UnscaledReward(reward, scaling.minimum, np.flatnonzero(scaling.varies), scaling.varying)
        return STEERING[steering](sampler, in_units, np.asarray(temperature, np.float32), request.candidates)


def architecture_of(parameters: dict[str, Any], n_classes: int, columns: int) -> Architecture:
    """Returns the architecture for hyperparameters, and numbers of classes and columns."""
    if parameters["network"] not in NETWORKS:
        raise ValueError(f"network={parameters['network']!r} is for tokens: choose one of {', '.join(NETWORKS)}")
    return Architecture(
        **{name: parameters[name] for name in ("network", "width", "depth", "time_embedding")},
        class_embedding=parameters["class_embedding"] if n_classes else 0,
        has_observed=parameters["p_given"] > 0 and parameters["network"] == "residual" and columns > 1,
    )


def noise_schedule(parameters: dict[str, Any]) -> Schedule:
    """Returns the noise schedule for hyperparameters."""
    if parameters["schedule"] == "linear":
        return linear(parameters["timesteps"], parameters["beta_start"], parameters["beta_end"])
    return SCHEDULES[parameters["schedule"]](parameters["timesteps"])


def _clipped(learned: Learned) -> Denoiser:
    """The denoiser of a model, with predictions clipped near the training range."""
    return gaussian_of(learned, "a denoiser is").denoiser(learned.network, learned.codec.scaling.bounds)


def _drawn_labels(classes: Classes, n_rows: int, seed: int) -> Int[np.ndarray, " n"]:
    """Draws class indices with their relative frequencies in training, in the smallest integer type to save memory."""
    cumulative = np.cumsum(classes.counts) / classes.counts.sum()
    labels = np.empty(n_rows, np.min_scalar_type(-len(cumulative)))
    rng = generator_of(seed, HostStream.LABELS)
    for first in range(0, n_rows, _LABELS_AT_ONCE):
        chunk = labels[first : first + _LABELS_AT_ONCE]
        chunk[:] = np.searchsorted(cumulative, rng.random(len(chunk)))
    return labels


def _prior(codec: Codec, values: ArrayLike) -> Float[np.ndarray, "n k"]:
    check_unmasked(prior=values)
    prior, d = np.asarray(values), codec.n_columns
    if prior.ndim != 2 or prior.shape[1] != d or prior.dtype.kind not in "fiu":
        found = f"{prior.dtype} of shape {prior.shape}"
        raise ValueError(f"prior must hold one row of {d} numbers for each row to draw, but it is {found}")
    check_finite(prior, "prior", None, np.float32)
    varies = codec.scaling.varies
    return prior if varies.all() else prior[:, varies]


def gaussian_of(model: Learned, what: str) -> GaussianProcess:
    """Returns the process of a Gaussian model, or raises a ValueError if the model has tokens.

    `what` begins the message: the feature that needs a Gaussian model, with its verb.
    """
    if not isinstance(model.process, GaussianProcess):
        raise ValueError(f"{what} for Gaussian models, but this one has tokens: fit with process='gaussian'")
    return model.process
