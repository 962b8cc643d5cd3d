"""Checks the arguments of `Diffusion.sample`, and turns them into a denoiser and a sampler of scaled rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pointillist.diffusion.denoisers import ConditionalDenoiser, Denoiser
from pointillist.diffusion.guidance import Autoguided, ClassifierFree, SigmaInterval
from pointillist.diffusion.samplers import RowSampler, Sampler, TransitionSampler
from pointillist.diffusion.solvers import SAMPLERS, SOLVERS, sampler_named
from pointillist.diffusion.steering import SVDD, FeynmanKac, population
from pointillist.diffusion.walks import Walk
from pointillist.engine.remote import stream_rows_on_ray
from pointillist.engine.sampling import sample_rows, stream_rows, whole_draws
from pointillist.engine.walks import noise_levels, sample_walks
from pointillist.estimators.inputs import (
    RandomState,
    check_drawn,
    check_fitted,
    check_guidance,
    finite,
    is_number,
    is_whole,
    of_one_kind,
    seed_of,
)
from pointillist.estimators.units import InUnits

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

_LABELS_AT_ONCE = 2**20

STEERING = {"svdd": SVDD, "feynman-kac": FeynmanKac}
"""Methods of steering by a reward, by name."""


@dataclass(frozen=True)
class Options:
    """Keyword arguments of `Diffusion.sample`, which describes them."""

    labels: Any = None
    return_labels: bool = False
    guidance: float = 0.0
    guidance_interval: tuple[float, float] | None = None
    worse: "DiffusionModel | None" = None
    reward: Callable[[Any], Any] | None = None
    reward_temperature: float = 0.1
    candidates: int = 10
    steering: str = "svdd"
    sampler: str | None = None
    steps: int | None = None
    prior: ArrayLike | None = None
    deterministic: bool = False
    where: Mapping[str, Any] | None = None
    random_state: RandomState = None


@dataclass(frozen=True)
class Walks:
    """Paths of rows from noise to data.

    Attributes:
        points: Shape (times, n, d), in the units of the table: x_t of each row as the model sees it, with only the
            scaling undone, and at the last time the row itself.
        steps: Number of sampler steps taken before each time, shape (times,).
        noise_levels: σ = sigma_t / alpha_t at each time, shape (times,); 0 at the last.
        labels: Labels of the rows, shape (n,), if requested.
    """

    points: Float[np.ndarray, "times n d"]
    steps: Int[np.ndarray, " times"]
    noise_levels: Float[np.ndarray, " times"]
    labels: np.ndarray | None


class Draw:
    """A request for rows from a model of numbers.

    Attributes:
        n_rows: Number of rows.
    """

    def __init__(self, model: "DiffusionModel", n_samples: int | None, options: Options) -> None:
        check_fitted(model)
        model._check_numbers("a plot of rows or paths")
        if n_samples is not None and not is_whole(n_samples, 0):
            raise ValueError(f"n_samples must be an integer of at least 0, not {n_samples!r}")
        if options.where is not None:
            raise ValueError(
                "where is for models of mixed columns, and this one is of numbers: fit the table with process='masked'"
            )
        self._model = model
        self._has_reward = options.reward is not None
        options = replace(options, sampler=_sampler_name(model, options))
        is_fixed = options.prior is not None and (options.deterministic or options.sampler in ("ddim", "dpm", "heun"))
        # A given x_T without noise must give the same rows, whatever labels are drawn for them.
        self._seed = 0 if is_fixed and options.random_state is None else seed_of(options.random_state)
        prior = None if options.prior is None else _prior(model, options.prior)
        given = {"n_samples": n_samples, "prior": None if prior is None else len(prior)}
        self._labels = None if options.labels is None else _indices(model, options.labels)
        given["labels"] = None if self._labels is None or np.ndim(options.labels) == 0 else len(self._labels)
        self.n_rows = _agreed(given)
        if self._labels is not None and np.ndim(options.labels) == 0:
            self._labels = np.repeat(self._labels, self.n_rows)
        self._denoiser = _guided(model, options)
        self._sampler = _steered(model, options)
        if prior is not None and self._sampler.rows_per_draw > 1:
            raise ValueError("feynman-kac draws populations of rows and cannot start from a prior: leave prior out")
        self._prior = prior
        if options.return_labels and not model._n_classes:
            raise ValueError("return_labels needs a model with classes, and this one was fitted without: fit it with y")
        # Rows of no class have no label, and a model that was always shown one has never seen "no class".
        needs_labels = options.return_labels or model.trained_with_["p_uncond"] == 0
        if self._labels is None and model._n_classes and needs_labels:
            self._labels = _drawn_labels(model, self.n_rows, self._seed)
        self._return_labels = options.return_labels

    def parts(
        self, engine: str = "local", address: str | None = None
    ) -> Iterator[tuple[Float[np.ndarray, "m d"], np.ndarray | None]]:
        """Yields rows in the units of the table, in order, as they are computed, with their labels if requested.

        Args:
            engine: One of `cluster.ENGINES`.
            address: Address of a Ray cluster, for "ray"; None for a cluster on this machine.
        """
        first = 0
        for scaled in self._scaled(engine, address):
            if self._has_reward and np.isnan(scaled).any():
                raise ValueError(
                    f"the reward lost {int(np.isnan(scaled).any(axis=1).sum())} of {len(scaled)} rows: it gave NaN or "
                    "+inf, or -inf for all candidates; give finite numbers, or more candidates"
                )
            labels = self._asked_labels(slice(first, first + len(scaled)))
            first += len(scaled)
            rows = self._model.scaling_.inverse(scaled)
            check_drawn(rows)
            yield rows, labels

    def rows(self) -> tuple[Float[np.ndarray, "n d"], np.ndarray | None]:
        """Returns all of `parts` at once."""
        parts, labels = zip(*self.parts(), strict=True)
        return np.concatenate(parts), np.concatenate(labels) if self._return_labels else None

    def walks(self, times: int) -> Walks:
        """Draws the rows with their paths, at times spread evenly over the steps, or at every step if there are fewer.

        Args:
            times: Most times, at least 2; the first is that of x_T and the last that of x_0.

        Raises:
            ValueError: If a reward steers the rows.
        """
        if not isinstance(self._sampler, RowSampler):
            raise ValueError("a row steered by a reward is chosen from many and has no single path: leave reward out")
        scaling, n_steps = self._model.scaling_, int(self._sampler.n_steps)
        steps = np.linspace(0, n_steps, min(times, n_steps + 1)).astype(np.int32)
        walk = Walk(self._sampler, steps[:-1])
        scaled = sample_walks(
            self._denoiser,
            walk,
            columns=self._model.network_.columns,
            n_rows=self.n_rows,
            seed=self._seed,
            labels=self._labels,
            prior=self._prior,
        )
        points = np.stack([*map(scaling.in_units, scaled[:-1]), scaling.inverse(scaled[-1])])
        return Walks(points, steps, np.asarray(noise_levels(walk)), self._asked_labels(slice(None)))

    def _asked_labels(self, part: slice) -> np.ndarray | None:
        if not self._return_labels:
            return None
        assert self._labels is not None
        return self._model.classes_[self._labels[part]]

    def _scaled(self, engine: str, address: str | None) -> Iterator[Float[np.ndarray, "m k"]]:
        columns, seed = self._model.network_.columns, self._seed
        parts = self._denoiser, self._sampler
        rows: dict[str, Any] = {"n_rows": self.n_rows, "labels": self._labels, "prior": self._prior}
        if engine == "ray":
            yield from stream_rows_on_ray(*parts, columns=columns, seed=seed, address=address, **rows)
            return
        if self._labels is None or self._sampler.rows_per_draw == 1:
            yield from stream_rows(*parts, columns=columns, seed=seed, **rows)
            return
        labels, places = whole_draws(self._labels, self._sampler)
        drawn = sample_rows(*parts, columns=columns, n_rows=len(labels), seed=seed, labels=labels)
        yield drawn[places]


def _drawn_labels(model: "DiffusionModel", n_rows: int, seed: int) -> Int[np.ndarray, " n"]:
    """Indices of classes, drawn with their shares in training, in the smallest type: there may be many rows."""
    shares = np.cumsum(model.class_counts_) / model.class_counts_.sum()
    labels = np.empty(n_rows, np.min_scalar_type(-len(shares)))
    rng = np.random.default_rng(seed)
    for first in range(0, n_rows, _LABELS_AT_ONCE):
        part = labels[first : first + _LABELS_AT_ONCE]
        part[:] = np.searchsorted(shares, rng.random(len(part)))
    return labels


def _agreed(given: dict[str, int | None]) -> int:
    """The number of rows that the arguments agree on."""
    lengths = {name: n for name, n in given.items() if n is not None}
    if len(set(lengths.values())) > 1:
        one, *_, other = lengths
        verb = "is" if one == "n_samples" else "has"
        raise ValueError(f"{other} has {lengths[other]} entries but {one} {verb} {lengths[one]}: leave one of them out")
    return next(iter(lengths.values()), 1)


def _prior(model: "DiffusionModel", given: ArrayLike) -> Float[np.ndarray, "n k"]:
    prior = np.asarray(given)
    d = model.n_features_in_
    if prior.ndim != 2 or prior.shape[1] != d or prior.dtype.kind not in "fiu":
        found = f"{prior.dtype} of shape {prior.shape}"
        raise ValueError(f"prior must hold one row of {d} numbers for each row to draw, but it is {found}")
    finite(prior, "prior", None, np.float32)
    varies = model.scaling_.varies
    return prior if varies.all() else prior[:, varies]


def _indices(model: "DiffusionModel", labels: Any) -> Int[np.ndarray, " n"]:
    if not model._n_classes:
        raise ValueError("labels are given, but this model was fitted without: fit it with y, or leave labels out")
    asked = np.asarray(labels)
    if asked.dtype == object:
        asked = of_one_kind(asked, "labels")
    if asked.ndim > 1:
        raise ValueError(f"labels must be one label, or one label per row, not of shape {asked.shape}")
    places = {label: i for i, label in enumerate(model.classes_.tolist())}
    values, inverse = np.unique(asked.ravel(), return_inverse=True)
    unknown = [label for label in values.tolist() if label not in places]
    if unknown:
        raise ValueError(f"unknown label {unknown[0]!r}: the model knows {', '.join(map(repr, places))}")
    return np.array([places[label] for label in values.tolist()], np.int32)[inverse]


def _guided(model: "DiffusionModel", options: Options) -> Denoiser:
    guidance, interval, worse = options.guidance, options.guidance_interval, options.worse
    has_labels = options.labels is not None or options.return_labels
    denoiser = model._denoiser(clipped=True)
    check_guidance(guidance)
    if guidance == 0:
        if worse is not None or interval is not None:
            raise ValueError("worse and guidance_interval do nothing without guidance: give guidance above 0")
        return denoiser
    low, high = (0.0, np.inf) if interval is None else interval
    if not 0 <= low < high:
        raise ValueError(f"guidance_interval must be (low, high) with 0 <= low < high, not {interval!r}")
    bounds = SigmaInterval(np.asarray(low, np.float32), np.asarray(high, np.float32))
    scale = np.asarray(guidance, np.float32)
    if worse is not None:
        _check_alike(model, worse)
        if model._n_classes and not has_labels and worse.trained_with_["p_uncond"] == 0:
            raise ValueError("worse was never trained without labels: give labels, or fit it with p_uncond above 0")
        return Autoguided(denoiser, worse._denoiser(clipped=True), scale, bounds)
    if not isinstance(denoiser, ConditionalDenoiser):
        raise ValueError("guidance needs a model with classes, and this one was fitted without: fit it with y")
    if not has_labels:
        raise ValueError("guidance needs a class to guide to: give labels")
    if model.trained_with_["p_uncond"] == 0:
        raise ValueError("guidance needs a model trained without labels too: fit it with p_uncond above 0")
    return ClassifierFree(denoiser, scale, bounds)


def _check_alike(model: "DiffusionModel", worse: "DiffusionModel") -> None:
    if isinstance(worse, type) or not hasattr(worse, "_denoiser"):
        raise ValueError(f"worse must be a fitted Diffusion, not {worse!r}")
    check_fitted(worse)
    pairs = [
        (model.schedule_.alpha, worse.schedule_.alpha),
        (model.scaling_.minimum, worse.scaling_.minimum),
        (model.scaling_.bounds, worse.scaling_.bounds),
        (getattr(model, "classes_", ()), getattr(worse, "classes_", ())),
    ]
    if not all(np.array_equal(a, b) for a, b in pairs):
        raise ValueError(
            "worse must have been fitted to the same rows and labels, with the same scaling and noise schedule"
        )


def _sampler_name(model: "DiffusionModel", options: Options) -> str:
    if options.sampler is None:
        return "ancestral" if options.reward is not None or model.schedule_.timesteps < 2 else "dpm"
    if options.sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {options.sampler!r}")
    return options.sampler


def _plain(model: "DiffusionModel", options: Options) -> RowSampler:
    name, steps, timesteps = str(options.sampler), options.steps, int(model.schedule_.timesteps)
    if name in SOLVERS:
        if steps is not None and not is_whole(steps, 2):
            raise ValueError(f"steps of {name} must be an integer of at least 2, not {steps!r}")
        if timesteps < 2:
            raise ValueError(f"{name} needs a model of at least 2 timesteps: take sampler='ancestral'")
        if options.reward is not None:
            raise ValueError(f"rewards steer ancestral sampling, not {name}: leave sampler out")
        if name == "dpm-sde" and options.deterministic:
            raise ValueError("dpm-sde adds noise: take sampler='dpm' for deterministic=True")
    elif steps is not None and not (is_whole(steps, 1) and steps <= timesteps):
        raise ValueError(
            f"steps of {name} must be an integer from 1 to the model's timesteps, {timesteps}, not {steps!r}"
        )
    variance = "zero" if options.deterministic else model.variance
    return sampler_named(name, model.schedule_, steps, variance)


def _steered(model: "DiffusionModel", options: Options) -> Sampler:
    sampler = _plain(model, options)
    reward, temperature, candidates, steering = (
        options.reward,
        options.reward_temperature,
        options.candidates,
        options.steering,
    )
    if reward is None or not isinstance(sampler, TransitionSampler):
        return sampler
    if steering not in STEERING:
        raise ValueError(f"steering must be one of {', '.join(STEERING)}, not {steering!r}")
    if not callable(reward):
        raise ValueError(f"reward must be a function of rows, not {reward!r}")
    lowest = "of at least 0" if steering == "svdd" else "above 0"
    if not is_number(temperature) or temperature < 0 or (temperature == 0 and steering != "svdd"):
        raise ValueError(f"reward_temperature must be a number {lowest}, not {temperature!r}")
    if not is_whole(candidates, 1):
        raise ValueError(f"candidates must be an integer of at least 1, not {candidates!r}")
    in_units = InUnits.of(reward, model.scaling_)
    if steering == "svdd":
        return SVDD(sampler, in_units, np.asarray(temperature, np.float32), candidates)
    return FeynmanKac(sampler, in_units, np.asarray(temperature, np.float32), candidates, population(candidates))
