"""`Diffusion`: a model of rows, as scikit-learn has estimators."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from pointillist.diffusion.denoisers import ConditionalDenoiser, Denoiser
from pointillist.diffusion.guidance import Autoguided, ClassifierFree, SigmaInterval
from pointillist.diffusion.samplers import Ancestral, Sampler
from pointillist.diffusion.schedules import SCHEDULES, Schedule, linear
from pointillist.diffusion.steering import SVDD, FeynmanKac, population
from pointillist.engine.devices import configure
from pointillist.engine.mapping import LogDensity, map_rows
from pointillist.engine.sampling import sample_rows, whole_draws
from pointillist.engine.training import MAX_EPOCHS_PER_CALL, Architecture, Recipe, StackTrainer
from pointillist.estimators.inputs import InUnits, RandomState, bar, checked_labels, checked_rows, is_whole, seed_of
from pointillist.estimators.saving import fingerprint, load_model, save_model
from pointillist.points import MinMaxScaling

DEFAULT_STEPS = 12_500
"""Training steps where `epochs` is None: those of 100 epochs over 8,000 rows."""

BOUND = 1.1
"""Of predicted rows on the scale where the training rows fill [-1, 1]."""

STEERING = {"svdd": SVDD, "feynman-kac": FeynmanKac}
"""Ways to follow a reward, by name."""


class Diffusion(BaseEstimator):
    """A diffusion model of the rows of a table, with classes or without.

    A multi-layer perceptron learns the noise in noised rows (Ho et al. 2020, arXiv 2006.11239); the ancestral sampler
    turns noise into new rows. With labels the model is conditional, and also learns the rows of all classes together,
    from a share of rows whose labels it is not shown (Ho & Salimans 2022, arXiv 2207.12598).

    Args:
        timesteps: T, number of noise levels and of sampling steps, at least 1.
        schedule: "cosine", "sigmoid" or "linear".
        beta_start: beta_1 of the linear schedule, in (0, 1).
        beta_end: beta_T of the linear schedule, in [beta_start, 1).
        width: Units of a hidden layer.
        depth: Number of hidden blocks.
        time_embedding: Width of the embedding of t, even, at least 4.
        class_embedding: Width of the embedding of the class, even, at least 4.
        epochs: Passes over the rows; None for as many as make 12,500 steps.
        batch_size: Rows a step; all rows where there are fewer.
        learning_rate: Adam's, at the start; it goes down to 0 as half a cosine.
        p_uncond: Share of rows whose label is not shown in training, in [0, 1]. Guidance needs it above 0.
        variance: Of the ancestral sampler, "posterior" or "beta".
        random_state: Of `fit`.

    Attributes:
        classes_: The labels, sorted; only of a model with classes.
        class_counts_: Training rows of each class; only of a model with classes.
        n_features_in_: Number of columns d.
        scaling_: Maps the range of each column to [-1, 1].
        schedule_: The noise schedule.
        network_: The network's weights.
        history_: Mean training loss of each epoch, shape (epochs,).
        seed_: The seed that training used.
        fingerprint_: A hash of the training rows.

    Example:
        >>> from pointillist import load_pointset
        >>> X, y = load_pointset("moons", n_rows=500)
        >>> model = Diffusion(epochs=20, random_state=0).fit(X, y)
        >>> model.sample(3, labels=1, guidance=0.5, random_state=0).shape
        (3, 2)
    """

    def __init__(
        self,
        *,
        timesteps: int = 200,
        schedule: str = "cosine",
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        width: int = 128,
        depth: int = 5,
        time_embedding: int = 16,
        class_embedding: int = 16,
        epochs: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        p_uncond: float = 0.2,
        variance: str = "posterior",
        random_state: RandomState = None,
    ) -> None:
        self.timesteps = timesteps
        self.schedule = schedule
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.width = width
        self.depth = depth
        self.time_embedding = time_embedding
        self.class_embedding = class_embedding
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.p_uncond = p_uncond
        self.variance = variance
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> "Diffusion":
        """Fits the model to rows, and to their labels if they are given.

        Args:
            X: Shape (n, d), finite, n at least 2.
            y: Shape (n,): integers or strings; at least two classes of at least two rows each.

        Raises:
            ValueError: In one line, if the rows, the labels or a parameter cannot be used.
        """
        configure()
        data = checked_rows(self, X, reset=True)
        self._check_parameters()
        classes, labels, counts = checked_labels(y, len(data))
        schedule = self._noise_schedule()
        scaling = MinMaxScaling.fit(data)
        rows = scaling.transform(data)
        batch_size = min(self.batch_size, len(rows))
        epochs = self.epochs if self.epochs is not None else -(-DEFAULT_STEPS // (len(rows) // batch_size))
        recipe = Recipe(
            dataset=0,
            schedule=schedule,
            seed=seed_of(self.random_state),
            epochs=epochs,
            learning_rate=float(self.learning_rate),
            decay=True,
            n_classes=len(classes),
            p_uncond=float(self.p_uncond),
        )
        trainer = StackTrainer(
            rows[None],
            [recipe],
            self._architecture(len(classes)),
            batch_size,
            labels=labels[None].astype(np.int32) if len(classes) else None,
        )
        losses: list[np.ndarray] = []
        while not trainer.is_done:
            losses += trainer.run(MAX_EPOCHS_PER_CALL)
        history = np.concatenate(losses)
        if not np.isfinite(history[-1]):
            raise ValueError(f"training diverged with learning_rate={self.learning_rate:g}: lower it")
        # All at the end: a fit that fails leaves the model that was there.
        self.history_, self.schedule_, self.scaling_ = history, schedule, scaling
        self.seed_, self.fingerprint_ = recipe.seed, fingerprint(data)
        (self.network_,) = trainer.networks()
        for name, value in (("classes_", classes), ("class_counts_", counts)):
            if len(classes):
                setattr(self, name, value)
            elif hasattr(self, name):
                delattr(self, name)
        return self

    def _check_parameters(self) -> None:
        whole = {"timesteps": 1, "width": 1, "depth": 1, "batch_size": 1}
        whole |= {} if self.epochs is None else {"epochs": 1}
        for name, low in whole.items():
            value = getattr(self, name)
            if not is_whole(value, low):
                raise ValueError(f"{name} must be a whole number from {low} on, not {value!r}")
        for name in ("time_embedding", "class_embedding"):
            value = getattr(self, name)
            if not is_whole(value, 4) or value % 2:
                raise ValueError(f"{name} must be an even number from 4 on, not {value!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        if self.variance not in ("posterior", "beta"):
            raise ValueError(f"variance must be 'posterior' or 'beta', not {self.variance!r}")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"learning_rate must be above 0 and at most 1, not {self.learning_rate!r}")
        if not 0 <= self.p_uncond <= 1:
            raise ValueError(f"p_uncond must lie between 0 and 1, not {self.p_uncond!r}")

    @property
    def _n_classes(self) -> int:
        return len(getattr(self, "classes_", ()))

    def _architecture(self, n_classes: int) -> Architecture:
        return Architecture(self.width, self.depth, self.time_embedding, self.class_embedding if n_classes else 0)

    def _noise_schedule(self) -> Schedule:
        if self.schedule == "linear":
            return linear(self.timesteps, self.beta_start, self.beta_end)
        return SCHEDULES[self.schedule](self.timesteps)

    def _denoiser(self, bound: float | None = None) -> Denoiser:
        architecture = self._architecture(self._n_classes)
        return architecture.denoiser(self.network_, self.schedule_, self._n_classes, bound)

    def sample(
        self,
        n_samples: int | None = None,
        *,
        labels: Any = None,
        guidance: float = 0.0,
        guidance_interval: tuple[float, float] | None = None,
        worse: "Diffusion | None" = None,
        reward: Callable[[Any], Any] | None = None,
        reward_temperature: float = 0.1,
        candidates: int = 10,
        steering: str = "svdd",
        progress: bool = False,
        random_state: RandomState = None,
    ) -> Float[np.ndarray, "n d"]:
        """Draws new rows, in the units of the data, float64.

        The same seed gives the same rows, on any number of devices, and the first of many are those of few (but for
        "feynman-kac" with several labels, whose rows depend on all labels asked for).

        Args:
            n_samples: Number of rows; that of `labels` by default, or 1.
            labels: Of a model with classes: one label for all rows, or one a row. None draws rows of all classes.
            guidance: w, at least 0, in ε = (1 + w) ε(x, y) - w ε(x, no class): **0 is plain conditional sampling**.
            worse: A model of the same data and noise schedule that is smaller or trained for less: guidance leads away
                from it, x̂_0 + w (x̂_0 - x̂_0 of the worse) (autoguidance: Karras et al. 2024, arXiv 2406.02507), with
                labels or without.
            guidance_interval: (low, high]: noise levels σ = sigma_t / alpha_t at which guidance acts; all by default.
            reward: Rows that it is high for are drawn more often, p(x) exp(reward(x) / reward_temperature): a function
                (m, d) → (m,) of rows in the units of the data. One that JAX can trace is compiled in; any other gets
                NumPy arrays. -inf forbids a row. What a function closes over is compiled in as it is at the first call:
                give a new function for new values.
            reward_temperature: At least 0; 0 keeps the best candidates ("svdd" alone).
            candidates: Network evaluations for each row and step that following the reward takes.
            steering: "svdd" (rows independent of each other; a biased sample of the target) or "feynman-kac" (rows of
                one population share ancestors; exact in the limit of large populations).
            progress: Whether to show a bar.
            random_state: Seed.

        Raises:
            ValueError: In one line, if an argument cannot be used by this model.
        """
        check_is_fitted(self, "network_")
        if n_samples is not None and not is_whole(n_samples, 0):
            raise ValueError(f"n_samples must be a whole number from 0 on, not {n_samples!r}")
        indices = None if labels is None else self._indices(labels, n_samples)
        n = n_samples if n_samples is not None else 1 if indices is None else len(indices)
        denoiser = self._guided(guidance, guidance_interval, worse, has_labels=labels is not None)
        if labels is None and self._n_classes and self.p_uncond == 0:
            # The model has never seen "no class".
            shares = np.cumsum(self.class_counts_) / self.class_counts_.sum()
            draws = np.random.default_rng(seed_of(random_state)).random(n)
            indices = np.searchsorted(shares, draws).astype(np.int32)
        sampler = self._steered(reward, reward_temperature, candidates, steering)
        wanted, places = (indices, None)
        if indices is not None and sampler.rows_per_draw > 1:
            wanted, places = whole_draws(indices, sampler)
        n_rows = n if wanted is None else len(wanted)
        with bar(n_rows) if progress else nullcontext() as advance:
            rows = sample_rows(
                denoiser,
                sampler,
                columns=self.n_features_in_,
                n_rows=n_rows,
                seed=seed_of(random_state),
                labels=wanted,
                progress=advance,
            )
        rows = rows if places is None else rows[places]
        if reward is not None and np.isnan(rows).any():
            raise ValueError(
                f"the reward lost {int(np.isnan(rows).any(axis=1).sum())} of {len(rows)} rows: it gave NaN or +inf, or "
                "-inf for all candidates; give finite numbers, or more candidates"
            )
        return self.scaling_.inverse(rows)

    def _indices(self, labels: Any, n: int | None) -> Int[np.ndarray, " n"]:
        if not self._n_classes:
            raise ValueError("labels are given, but this model was fitted without: fit it with y, or leave labels out")
        asked = np.asarray(labels)
        if asked.ndim > 1:
            raise ValueError(f"labels must be one label or one a row, not of shape {asked.shape}")
        if asked.ndim == 1 and n is not None and len(asked) != n:
            raise ValueError(f"labels has {len(asked)} entries but n_samples is {n}: leave one of them out")
        places = {label: i for i, label in enumerate(self.classes_.tolist())}
        unknown = [label for label in np.unique(asked).tolist() if label not in places]
        if unknown:
            known = ", ".join(map(repr, places))
            raise ValueError(f"unknown label {unknown[0]!r}: the model knows {known}")
        indices = np.array([places[label] for label in asked.ravel().tolist()], np.int32)
        return np.full(1 if n is None else n, indices[0]) if asked.ndim == 0 else indices

    def _guided(
        self,
        guidance: float,
        interval: tuple[float, float] | None,
        worse: "Diffusion | None",
        *,
        has_labels: bool,
    ) -> Denoiser:
        denoiser = self._denoiser(BOUND)
        if not np.isfinite(guidance) or guidance < 0:
            raise ValueError(f"guidance must be a number from 0 on, not {guidance!r}; 0 is plain conditional sampling")
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
            self._check_alike(worse)
            if self._n_classes and not has_labels and worse.p_uncond == 0:
                raise ValueError("worse was never trained without labels: give labels, or fit it with p_uncond above 0")
            return Autoguided(denoiser, worse._denoiser(BOUND), scale, bounds)
        if not isinstance(denoiser, ConditionalDenoiser):
            raise ValueError("guidance needs a model with classes, and this one was fitted without: fit it with y")
        if not has_labels:
            raise ValueError("guidance needs a class to guide to: give labels")
        if self.p_uncond == 0:
            raise ValueError("guidance needs a model trained without labels too: fit it with p_uncond above 0")
        return ClassifierFree(denoiser, scale, bounds)

    def _check_alike(self, worse: "Diffusion") -> None:
        check_is_fitted(worse, "network_")
        pairs = [
            (self.schedule_.alpha, worse.schedule_.alpha),
            (self.scaling_.minimum, worse.scaling_.minimum),
            (self.scaling_.maximum, worse.scaling_.maximum),
            (getattr(self, "classes_", ()), getattr(worse, "classes_", ())),
        ]
        if not all(np.array_equal(a, b) for a, b in pairs):
            raise ValueError("worse must have been fitted to the same rows and labels, with the same noise schedule")

    def _steered(
        self, reward: Callable[[Any], Any] | None, temperature: float, candidates: int, steering: str
    ) -> Sampler:
        sampler = Ancestral(self.schedule_, self.variance)
        if reward is None:
            return sampler
        if steering not in STEERING:
            raise ValueError(f"steering must be one of {', '.join(STEERING)}, not {steering!r}")
        if not callable(reward):
            raise ValueError(f"reward must be a function of rows, not {reward!r}")
        lowest = "from 0 on" if steering == "svdd" else "above 0"
        if not np.isfinite(temperature) or temperature < 0 or (temperature == 0 and steering != "svdd"):
            raise ValueError(f"reward_temperature must be a number {lowest}, not {temperature!r}")
        if not is_whole(candidates, 1):
            raise ValueError(f"candidates must be a whole number from 1 on, not {candidates!r}")
        in_units = InUnits(reward, self.scaling_.inverse(np.zeros((1, self.n_features_in_)))[0], self._half_widths())
        if steering == "svdd":
            return SVDD(sampler, in_units, np.asarray(temperature, np.float32), candidates)
        return FeynmanKac(sampler, in_units, np.asarray(temperature, np.float32), candidates, population(candidates))

    def _half_widths(self) -> Float[np.ndarray, " d"]:
        ends = self.scaling_.inverse(np.array([[-1.0], [1.0]]) * np.ones(self.n_features_in_))
        return (ends[1] - ends[0]) / 2

    def score_samples(self, X: ArrayLike) -> Float[np.ndarray, " n"]:
        """Log p(x) in nats of each row, shape (n,), in the units of the data; of all classes together.

        By the probability-flow ODE with the exact trace (Song et al. 2021, arXiv 2011.13456, section 4.3): the density
        of rows with the noise of t = 1 added. A column that was constant in `fit` counts too, with that
        noise as its unit.
        """
        check_is_fitted(self, "network_")
        rows = self.scaling_.transform(checked_rows(self, X))
        half_widths = self._half_widths()
        log_determinant = np.log(half_widths[half_widths > 0]).sum()
        return map_rows(LogDensity(self._denoiser()), rows).astype(np.float64) - log_determinant

    def save(self, path: str | Path) -> None:
        """Writes the fitted model as one safetensors file, whole or not at all. Nothing in it can run code."""
        check_is_fitted(self, "network_")
        save_model(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Diffusion":
        """Reads a model that `save` wrote; it draws the same rows, bit for bit.

        Raises:
            ModelFileError: A ValueError, in one line, if the file is damaged, hostile or of another version.
            OSError: If it cannot be read.
        """
        configure()
        return load_model(cls, Path(path))

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """Mean of `score_samples`, in nats; y is not used."""
        return float(np.mean(self.score_samples(X)))
