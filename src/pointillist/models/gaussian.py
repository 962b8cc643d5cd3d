"""Gaussian diffusion of rows of numbers: denoisers, samplers, guidance and steering, by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from pointillist.arguments import check_unmasked, is_missing, seed_of
from pointillist.columns.scaling import AffineScaling, QuantileScaling, Scaling
from pointillist.columns.table_scaling import TableScaling
from pointillist.diffusion.conditioning.observed_sampling import CentredSampler, ObservedSampler
from pointillist.diffusion.denoisers import Bounds, ConditionalDenoiser, Denoiser
from pointillist.diffusion.guidance import Autoguided, ClassifierFree, SigmaInterval
from pointillist.diffusion.networks import Network
from pointillist.diffusion.samplers import RowSampler, Sampler, TransitionSampler
from pointillist.diffusion.schedules import LOWEST_LAMBDA, SCHEDULES, Schedule, linear
from pointillist.diffusion.solvers import Solver, sampler_named
from pointillist.diffusion.steering import SVDD, FeynmanKac, population
from pointillist.engine.random_streams import HostStream, generator_of
from pointillist.engine.recipes import Architecture, Weights
from pointillist.models.classes import Classes
from pointillist.models.conditioning import split
from pointillist.models.number_codec import NumberCodec
from pointillist.models.number_conditions import in_ranges
from pointillist.models.number_sampler import number_sampler
from pointillist.models.observed_numbers import column_values, known_of
from pointillist.models.process import Learned, Process, SamplingPlan
from pointillist.models.request import OF_REWARD, Request, agreed_length, check_drawn
from pointillist.tables.arrays import check_finite

_LABELS_AT_ONCE = 2**20


def _feynman_kac(sampler: TransitionSampler, reward: Any, temperature: Any, candidates: int) -> FeynmanKac:
    return FeynmanKac(sampler, reward, temperature, candidates, population(candidates))


STEERING: dict[str, Callable[[TransitionSampler, Any, Any, int], Sampler]] = {
    "svdd_pm": SVDD,
    "feynman_kac": _feynman_kac,
}
"""Methods of steering a sampler by a reward, by name: (sampler, reward, temperature, candidates) → sampler."""


Values = np.ndarray | Array

# So that a compiled program takes their numbers as data.
jax.tree_util.register_dataclass(AffineScaling, ["centre", "unit"], [])
jax.tree_util.register_dataclass(QuantileScaling, ["quantiles"], [])


class InUnits(eqx.Module):
    """A reward of scaled rows, shape (m, k), made from one of rows in the units of the table, shape (m, d).

    The rows are not rounded: while they are drawn, a column of integers holds other numbers too.

    Attributes:
        function: The reward of rows in the units of the table, (m, d) → (m,).
        minimum: Smallest value of each column, shape (d,), which is that of constant columns.
        indices: Index of each varying column, shape (k,).
        varying: Scaling of the varying columns.
    """

    function: Callable[[Any], Any] = eqx.field(static=True)
    minimum: Float[Values, " d"]
    indices: Values
    varying: Scaling

    @classmethod
    def of(cls, function: Callable[[Any], Any], scaling: TableScaling) -> "InUnits":
        """Makes the reward under a scaling."""
        return cls(function, scaling.minimum, np.flatnonzero(scaling.varies), scaling.varying)

    def __call__(self, x0: Any) -> Any:
        """Computes the reward of NumPy or JAX rows, (m, k) → (m,)."""
        if isinstance(x0, np.ndarray):
            rows = np.repeat(np.asarray(self.minimum)[None], len(x0), axis=0)
            rows[:, np.asarray(self.indices)] = self.varying.inverse(x0)
            return self.function(rows)
        minimum = jnp.asarray(self.minimum, jnp.float32)
        constants = jnp.broadcast_to(minimum, (len(x0), len(minimum)))
        in_units = self.varying.inverse(x0, jax.scipy.special.ndtr)
        return self.function(constants.at[:, self.indices].set(in_units))


@dataclass(frozen=True, eq=False)
class GaussianProcess(Process):
    """Rows are covered by Gaussian noise, and denoised.

    Attributes:
        architecture: The network's architecture.
        prediction: What the network predicts, one of `parameterisations.PREDICTIONS`.
        schedule: The noise schedule.
        sigma_data: Root mean square of each column that the network sees, shape (k,), float32.
        n_classes: Number of classes; 0 without.
        p_uncond: Share of the labels that were hidden in training.
    """

    architecture: Architecture
    prediction: str
    schedule: Schedule
    sigma_data: Float[np.ndarray, " k"]
    n_classes: int = 0
    p_uncond: float = 0.0

    @classmethod
    def of(cls, parameters: dict[str, Any], n_classes: int, sigma_data: Float[np.ndarray, " k"]) -> "GaussianProcess":
        """Makes the process that hyperparameters describe."""
        architecture = architecture_of(parameters, n_classes, len(sigma_data))
        schedule, p_uncond = noise_schedule(parameters), float(parameters["p_uncond"])
        return cls(architecture, parameters["prediction"], schedule, sigma_data, n_classes, p_uncond)

    @property
    def noise(self) -> tuple[Schedule, Float[np.ndarray, " k"]]:
        """The noise schedule, and the root mean square of each column."""
        return self.schedule, self.sigma_data

    def finished(self, network: Weights) -> tuple["GaussianProcess", Weights]:
        """Returns both as they are."""
        return self, network

    def denoiser(self, network: Weights, bounds: Bounds | None = None) -> Denoiser:
        """Wraps a network; see `NetworkDenoiser` for bounds."""
        assert isinstance(network, Network)
        return self.architecture.denoiser(
            network, self.prediction, self.sigma_data, self.schedule, self.n_classes, bounds
        )

    def check(self, drawn: Float[np.ndarray, "m k"], request: Request) -> None:
        """Raises a ValueError if drawn rows are not finite."""
        if request.reward is not None and np.isnan(drawn).any():
            raise ValueError(
                f"the reward lost {int(np.isnan(drawn).any(axis=1).sum())} of {len(drawn)} rows: it gave NaN or "
                "+inf, or -inf for all candidates; give finite numbers, or more candidates"
            )
        check_drawn(drawn)

    def label_indices(
        self, learned: Learned, plan: SamplingPlan, drawn: Float[np.ndarray, "m k"], rows: slice
    ) -> Int[np.ndarray, " m"]:
        """Returns the classes that the denoiser was shown."""
        assert plan.labels is not None
        return plan.labels[rows]

    def plan_sampling(self, learned: Learned, request: Request) -> SamplingPlan:
        """Turns a request into a denoiser, guided or not, and a sampler, steered or not.

        Raises:
            ValueError: In one line, if an argument cannot be used by this model.
        """
        assert isinstance(learned.codec, NumberCodec)
        request = _with_labels_apart(learned, request)
        given, conditions = split(request.where or {})
        cells = {name: column_values(learned.codec, name, value) for name, value in given.items()}
        if cells:
            self._check_given(learned, request, next(iter(cells)))
        unused = request.first_changed(OF_REWARD) if request.reward is None else None
        if unused is not None:
            raise ValueError(f"{unused} does nothing without a reward: give a reward, or leave it out")
        sampler = self._steered(learned.codec, request)
        is_fixed = request.prior is not None and isinstance(sampler, RowSampler) and not sampler.is_stochastic
        # A given x_T without noise must give the same rows, whatever labels are drawn for them.
        seed = 0 if is_fixed and request.random_state is None else seed_of(request.random_state)
        prior = None if request.prior is None else _prior(learned.codec, request.prior)
        labels = None if request.labels is None else _indices(learned.classes, request.labels)
        is_one = np.ndim(request.labels) == 0
        lengths = [
            *((name, None if len(own.values) == 1 else len(own.values)) for name, own in cells.items()),
            ("prior", None if prior is None else len(prior)),
            ("labels", None if labels is None or is_one else len(labels)),
        ]
        n_rows = agreed_length(request.n_samples, lengths)
        if labels is not None and is_one:
            labels = np.repeat(labels, n_rows)
        denoiser = self._guided(learned, request)
        if prior is not None and sampler.rows_per_draw > 1:
            raise ValueError("feynman_kac draws populations of rows and cannot start from a prior: leave prior out")
        if request.return_labels and learned.classes is None:
            raise ValueError("return_labels needs a model with classes, and this one was fitted without: fit it with y")
        # Rows of no class have no label, and a model that was always shown one has never seen "no class".
        needs_labels = request.return_labels or self.p_uncond == 0
        if labels is None and learned.classes is not None and needs_labels:
            labels = _drawn_labels(learned.classes, n_rows, seed)
        if labels is not None and prior is None and isinstance(sampler, Solver) and not sampler.is_stochastic:
            # What begins at high noise, or adds some, forgets the start.
            sampler = CentredSampler(sampler)
        has_own_rows = any(len(own.values) > 1 for own in cells.values())
        plan = SamplingPlan(n_rows, seed, denoiser, sampler, labels, prior, given=cells, has_own_rows=has_own_rows)
        if conditions:
            plan = in_ranges(plan, learned.codec, self.schedule, self.sigma_data, conditions, request)
        if not cells or not learned.codec.scaling.varies[[learned.codec.place(name) for name in cells]].any():
            return plan
        sampler = plan.sampler.sampler if isinstance(plan.sampler, CentredSampler) else plan.sampler
        return replace(plan, sampler=ObservedSampler(sampler), prior=known_of(learned.codec, cells))

    def filling(
        self, learned: Learned, known: Float[np.ndarray, "n k_and_label"], n_draws: int, random_state: Any
    ) -> SamplingPlan:
        """Returns what draws all numbers of rows but those that are known, `n_draws` times over.

        Args:
            learned: The model.
            known: Numbers as the network sees them, NaN where they are not known; and after them the index of the
                class, that of "no class" being their number, if it is given.
            n_draws: Number of draws of each row.
            random_state: Seed.

        Raises:
            ValueError: If no columns can be given to the model.
        """
        prior, labels = np.tile(known, (n_draws, 1)), None
        has_label = prior.shape[1] > learned.codec.width
        self.check_asked(learned, "filling cells", has_label=has_label)
        if has_label:
            prior, labels = prior[:, :-1], prior[:, -1].astype(np.int32)
        sampler = ObservedSampler(self.solver)
        return SamplingPlan(len(prior), seed_of(random_state), _clipped(learned), sampler, labels, prior)

    @property
    def solver(self) -> RowSampler:
        """The default sampler, which adds no noise but with a single timestep."""
        return sampler_named("ancestral" if self.schedule.timesteps < 2 else "dpm", self.schedule, None, "posterior")

    def check_asked(self, learned: Learned, what: str, *, has_label: bool = False) -> None:
        """Raises a ValueError if no columns can be given to the model, or none without a label."""
        if not self.architecture.has_given and learned.codec.width == 1:
            raise ValueError(
                f"{what} needs columns to be given, and this model is of one that varies: fit it with process='masked'"
            )
        if not self.architecture.has_given:
            raise ValueError(
                f"{what} needs a model that has learned from rows with given columns: fit it with p_given above 0 and "
                "network='residual', or with process='masked'"
            )
        if learned.classes is not None and self.p_uncond == 0 and not has_label:
            raise ValueError(
                f"{what} needs a model trained without labels too: give labels, or fit it with p_uncond above 0"
            )

    def check_noise_levels(self, what: str) -> None:
        """Raises a ValueError if the noise at t = 1 is not below that where solvers begin."""
        ends = [1, int(self.schedule.timesteps)]
        lambda_1, lambda_T = np.log(np.asarray(self.schedule.alpha)[ends] / np.asarray(self.schedule.sigma)[ends])
        if lambda_1 <= max(lambda_T, LOWEST_LAMBDA):
            raise ValueError(
                f"{what} needs a model of more than one noise level, and the noise at its first is nearly all: fit it "
                "with more timesteps"
            )

    def _check_given(self, learned: Learned, request: Request, name: Any) -> None:
        """Raises a ValueError if a column cannot have a value."""
        if not self.architecture.has_given:
            raise ValueError(
                f"where gives column {name!r} a value, and this model has not learned from rows with given columns: "
                "take between, or fit it with p_given above 0 and network='residual'"
            )
        for part in (*OF_REWARD, "prior"):
            if request.first_changed((part,)) is not None:
                raise ValueError(f"{part} does not go with values in where: leave one of them out")
        if request.worse is not None and not getattr(request.worse.process.architecture, "has_given", False):
            raise ValueError("worse has not learned from rows with given columns: fit it with p_given above 0")
        needs_labels = request.return_labels or (learned.classes is not None and self.p_uncond == 0)
        if needs_labels and request.labels is None:
            raise ValueError("classes are not known before the given values: give labels (--class)")

    def _guided(self, learned: Learned, request: Request) -> Denoiser:
        guidance, interval, worse = request.guidance, request.guidance_interval, request.worse
        has_labels = request.labels is not None or request.return_labels
        denoiser = _clipped(learned)
        if guidance == 0:
            if worse is not None or interval is not None:
                raise ValueError("worse and guidance_interval do nothing without guidance: give guidance above 0")
            return denoiser
        try:
            low, high = (0.0, np.inf) if interval is None else map(float, interval)
        except (TypeError, ValueError):
            low = high = np.nan
        if not 0 <= low < high:
            raise ValueError(
                f"guidance_interval must be (low, high) with 0 <= low < high, where high may be inf, not {interval!r}"
            )
        bounds = SigmaInterval(np.asarray(low, np.float32), np.asarray(high, np.float32))
        scale = np.asarray(guidance, np.float32)
        if worse is not None:
            _check_alike(learned, worse)
            if self.n_classes and not has_labels and worse.process.p_uncond == 0:
                raise ValueError("worse was never trained without labels: give labels, or fit it with p_uncond above 0")
            return Autoguided(denoiser, _clipped(worse), scale, bounds)
        if not isinstance(denoiser, ConditionalDenoiser):
            raise ValueError("guidance needs a model with classes, and this one was fitted without: fit it with y")
        if not has_labels:
            raise ValueError("guidance needs a class to guide to: give labels")
        if self.p_uncond == 0:
            raise ValueError("guidance needs a model trained without labels too: fit it with p_uncond above 0")
        return ClassifierFree(denoiser, scale, bounds)

    def _steered(self, codec: NumberCodec, request: Request) -> Sampler:
        is_ancestral = request.reward is not None or self.schedule.timesteps < 2
        sampler = number_sampler(request, self.schedule, "ancestral" if is_ancestral else "dpm")
        reward, temperature, steering = request.reward, request.reward_temperature, request.steering
        if reward is None or not isinstance(sampler, TransitionSampler):
            return sampler
        if not callable(reward):
            raise ValueError(f"reward must be a function of rows, not {reward!r}")
        if temperature == 0 and steering != "svdd_pm":
            raise ValueError(f"reward_temperature must be a number above 0 with steering={steering!r}, not 0")
        in_units = InUnits.of(reward, codec.scaling)
        return STEERING[steering](sampler, in_units, np.asarray(temperature, np.float32), request.candidates)


def _with_labels_apart(learned: Learned, request: Request) -> Request:
    """The request with labels that `where` gives as its labels, which are no column of the model."""
    where = dict(request.where or {})
    name = None if learned.classes is None else learned.classes.name_beside(learned.codec.names or ())
    if name is None or name not in where:
        return request
    if request.labels is not None:
        raise ValueError(f"labels and where both say what column {name!r} holds: leave one of them out")
    values, conditions = split({name: where.pop(name)})
    if conditions:
        raise ValueError(f"column {name!r} holds the labels of a model of numbers: give one label, or one per row")
    if np.ndim(values[name]) == 0 and is_missing(values[name]):
        raise ValueError(f"column {name!r} holds labels, none of which is missing: give a label, or leave it out")
    return replace(request, labels=values[name], where=where)


def architecture_of(parameters: dict[str, Any], n_classes: int, columns: int) -> Architecture:
    """Returns the architecture that hyperparameters describe, for numbers of classes and of columns."""
    return Architecture(
        network=parameters["network"],
        width=parameters["width"],
        depth=parameters["depth"],
        time_embedding=parameters["time_embedding"],
        class_embedding=parameters["class_embedding"] if n_classes else 0,
        has_given=parameters["p_given"] > 0 and parameters["network"] == "residual" and columns > 1,
    )


def noise_schedule(parameters: dict[str, Any]) -> Schedule:
    """Returns the noise schedule that hyperparameters name."""
    if parameters["schedule"] == "linear":
        return linear(parameters["timesteps"], parameters["beta_start"], parameters["beta_end"])
    return SCHEDULES[parameters["schedule"]](parameters["timesteps"])


def _clipped(learned: Learned) -> Denoiser:
    """The denoiser of a model, whose predictions stay near the range of the training rows."""
    assert isinstance(learned.codec, NumberCodec) and isinstance(learned.process, GaussianProcess)
    return learned.process.denoiser(learned.network, learned.codec.scaling.bounds)


def _drawn_labels(classes: Classes, n_rows: int, seed: int) -> Int[np.ndarray, " n"]:
    """Indices of classes, drawn with their shares in training, in the smallest type: there may be many rows."""
    shares = np.cumsum(classes.counts) / classes.counts.sum()
    labels = np.empty(n_rows, np.min_scalar_type(-len(shares)))
    rng = generator_of(seed, HostStream.LABELS)
    for first in range(0, n_rows, _LABELS_AT_ONCE):
        part = labels[first : first + _LABELS_AT_ONCE]
        part[:] = np.searchsorted(shares, rng.random(len(part)))
    return labels


def _prior(codec: NumberCodec, given: ArrayLike) -> Float[np.ndarray, "n k"]:
    check_unmasked(prior=given)
    prior, d = np.asarray(given), codec.n_columns
    if prior.ndim != 2 or prior.shape[1] != d or prior.dtype.kind not in "fiu":
        found = f"{prior.dtype} of shape {prior.shape}"
        raise ValueError(f"prior must hold one row of {d} numbers for each row to draw, but it is {found}")
    check_finite(prior, "prior", None, np.float32)
    varies = codec.scaling.varies
    return prior if varies.all() else prior[:, varies]


def _indices(classes: Classes | None, labels: Any) -> Int[np.ndarray, " n"]:
    if classes is None:
        raise ValueError("labels are given, but this model was fitted without: fit it with y, or leave labels out")
    return classes.indices(labels)


def _check_alike(model: Learned, worse: Learned) -> None:
    """Raises an error unless two models are of the same rows, labels, scaling and noise schedule."""

    def facts(of: Learned) -> list[Any]:
        if not isinstance(of.codec, NumberCodec) or not isinstance(of.process, GaussianProcess):
            return []
        labels = () if of.classes is None else of.classes.labels
        return [of.process.schedule.alpha, labels, *of.codec.tensors().values()]

    own, other = facts(model), facts(worse)
    if len(own) != len(other) or not all(np.array_equal(a, b) for a, b in zip(own, other, strict=True)):
        raise ValueError(
            "worse must have been fitted to the same rows and labels, with the same scaling and noise schedule"
        )
