"""A model of rows: what it is fitted by, what it draws, and what it says of rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from rich.console import Console

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.schedules import Schedule
from pointillist.engine.devices import configure
from pointillist.engine.mapping import LogDensity, map_rows
from pointillist.estimators.checkpoint import forget
from pointillist.estimators.drawing import Draw, Options
from pointillist.estimators.inputs import RandomState, check_fitted, checked_rows
from pointillist.estimators.parameters import architecture
from pointillist.estimators.planning import fitted
from pointillist.estimators.saving import load_model, save_model
from pointillist.progress import Bar

if TYPE_CHECKING:
    from pointillist.points.encoding import TableEncoding


class DiffusionModel:
    """What `Diffusion` does, without scikit-learn, which takes as long to import as everything else together.

    The command line uses it as it is: to fit tables of files, to draw, to save and to load. What arrays, frames of
    numbers and scores of rows need of an estimator, and pictures, `Diffusion` adds.
    """

    classes_: np.ndarray
    class_counts_: np.ndarray
    n_features_in_: int
    feature_names_in_: np.ndarray
    layout_: Any
    scaling_: Any
    encoding_: "TableEncoding"
    spread_: np.ndarray
    schedule_: Schedule
    network_: Any
    history_: np.ndarray
    validation_history_: np.ndarray
    trained_with_: dict[str, Any]
    label_column_: tuple[str, int] | None
    seed_: int
    fingerprint_: str

    def __init__(
        self,
        *,
        timesteps: int = 200,
        schedule: str = "cosine",
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        scaling: str | None = "standard",
        network: str = "residual",
        prediction: str = "edm",
        weighting: str = "uniform",
        noise_levels: str = "log-normal",
        width: int | None = None,
        depth: int = 3,
        time_embedding: int = 32,
        class_embedding: int = 16,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        warmup: int = 200,
        decay: bool = True,
        averaging: float = 0.999,
        gradient_clip: float | None = None,
        precision: str = "float32",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        p_uncond: float = 0.2,
        variance: str = "posterior",
        process: str = "auto",
        verbose: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.timesteps = timesteps
        self.schedule = schedule
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.scaling = scaling
        self.network = network
        self.prediction = prediction
        self.weighting = weighting
        self.noise_levels = noise_levels
        self.width = width
        self.depth = depth
        self.time_embedding = time_embedding
        self.class_embedding = class_embedding
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.decay = decay
        self.averaging = averaging
        self.gradient_clip = gradient_clip
        self.precision = precision
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.p_uncond = p_uncond
        self.variance = variance
        self.process = process
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        checkpoint: str | Path | None = None,
        categorical: Sequence[str | int] = (),
    ) -> Self:
        """Fits the model to rows, and to their labels if they are given.

        Rows that are a map of a file of float64 (`numpy.memmap`) are read some at a time.

        Args:
            X: Shape (n, d), finite, n at least 2: an array, a data frame of pandas, Polars or PyArrow, or a table of
                `pointillist.points.read_table`. A frame may also have columns of truth values, text, categories and
                dates, and missing cells: see `process`.
            y: Shape (n,): integers or strings; at least two classes of at least two rows each. The label column of a
                table by default.
            checkpoint: A file that the state of training is written to every 10 seconds and on Ctrl-C. If it is there,
                training goes on from it, with its seed where `random_state` is None, and ends with the same weights bit
                for bit; at the end it is removed.
            categorical: Names of a frame's columns whose numbers are categories: no other value is drawn.

        Raises:
            ValueError: In one line, if the rows, the labels or a parameter cannot be used, or if the checkpoint is of
                another training.

        Warns:
            UserWarning: If the noise schedule leaves signal in the prior, more than 0.01 nats per column.
        """
        self._fit(X, y, checkpoint, categorical)
        if checkpoint is not None:
            forget(Path(checkpoint))
        return self

    def _fit(
        self,
        X: Any,
        y: ArrayLike | None,
        checkpoint: str | Path | None,
        categorical: Sequence[str | int] = (),
    ) -> None:
        """As `fit`, but a finished checkpoint stays: until the model is saved, it is all there is of it."""
        # On another model: a fit that fails leaves this one as it was.
        self._take_over(fitted(self, X, y, checkpoint, categorical))

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Its parameters' defaults, by name."""
        parameters = sorted(signature(cls).parameters.items())
        return {name: p.default for name, p in parameters if p.kind is not p.VAR_KEYWORD}

    def _asked(self) -> dict[str, Any]:
        """Its parameters, by name."""
        return {name: getattr(self, name) for name in self._defaults()}

    def _unfitted(self) -> Self:
        """Another of the same parameters."""
        return type(self)(**self._asked())

    def _take_over(self, other: "DiffusionModel") -> None:
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        for name, value in vars(other).items():
            if name.endswith("_"):
                setattr(self, name, value)

    @property
    def _is_mixed(self) -> bool:
        return hasattr(self, "encoding_")

    def _check_numbers(self, what: str) -> None:
        """Refuses a model of mixed columns."""
        if self._is_mixed:
            raise ValueError(
                f"{what} is for models of numbers, and this one is of mixed columns: fit numbers with "
                "process='gaussian'"
            )

    def _mixed_draw(self, n_samples: int | None, options: Options, *, progress: bool) -> tuple[Any, Any]:
        """Rows of a model of mixed columns as an Arrow table, and their labels."""
        # It loads Arrow, which models of arrays do without.
        from pointillist.estimators.mixed.drawing import MixedDraw

        draw = MixedDraw(self, n_samples, options)
        with Bar(Console(stderr=True), draw.n_rows, is_shown=progress) as bar:
            return draw.rows(bar.advance)

    def impute(self, X: Any, *, n_draws: int | None = None, random_state: RandomState = None) -> Any:
        """Fills the missing cells of a table, each row's from their law given its other cells.

        Of a model of mixed columns (of numbers alone: fit a data frame with `process="masked"`).

        Args:
            X: A data frame with the columns of `fit`, in any order. Cells that are there stay as they are.
            n_draws: How many such tables, drawn independently, for multiple imputation; None for one.
            random_state: Seed.

        Returns:
            A frame of the kind that `fit` was given, with the columns in its order and, of pandas, the index of X; a
            list of them if `n_draws` is given.

        Raises:
            ValueError: In one line, if X has other columns, or a category that the training rows had not.
        """
        check_fitted(self)
        if not self._is_mixed:
            raise ValueError(
                "impute is of models of mixed columns, and this one is of numbers: fit a data frame with "
                "process='masked'"
            )
        from pointillist.estimators.mixed.drawing import imputed

        index = X.index if self.layout_.kind == "pandas" and hasattr(X, "iloc") else None
        drawn = imputed(self, X, 1 if n_draws is None else n_draws, random_state)
        tables = [self.layout_.restore(table, index) for table in drawn]
        return tables[0] if n_draws is None else tables

    @property
    def _n_classes(self) -> int:
        return len(getattr(self, "classes_", ()))

    def _denoiser(self, *, clipped: bool = False) -> Denoiser:
        bounds = self.scaling_.bounds if clipped else None
        parts = architecture(self.trained_with_, self._n_classes)
        network = self.network_, self.trained_with_["prediction"], self.spread_
        return parts.denoiser(*network, self.schedule_, self._n_classes, bounds)

    def sample(
        self,
        n_samples: int | None = None,
        *,
        labels: Any = None,
        return_labels: bool = False,
        guidance: float = 0.0,
        guidance_interval: tuple[float, float] | None = None,
        worse: "DiffusionModel | None" = None,
        reward: Callable[[Any], Any] | None = None,
        reward_temperature: float = 0.1,
        candidates: int = 10,
        steering: str = "svdd",
        sampler: str | None = None,
        steps: int | None = None,
        prior: ArrayLike | None = None,
        deterministic: bool = False,
        where: Mapping[str, Any] | None = None,
        progress: bool = False,
        random_state: RandomState = None,
    ) -> Any:
        """Draws new rows, as what `fit` was given: an array, or a data frame, with its names and types.

        The same seed gives the same rows, on any number of devices, and the first of many are those of few (but for
        "feynman-kac" with several labels, whose rows depend on all labels asked for).

        Args:
            n_samples: Number of rows; that of `labels` or `prior` by default, or 1.
            labels: Of a model with classes: one label for all rows, or one a row. None draws rows of all classes.
            return_labels: Whether to give `(rows, labels)`. Without `labels`, each row's label is drawn first, with the
                classes' shares in the training rows.
            guidance: w, at least 0, in ε = (1 + w) ε(x, y) - w ε(x, no class): **0 is plain conditional sampling**.
            guidance_interval: (low, high]: noise levels σ = sigma_t / alpha_t at which guidance acts; all by default.
            worse: A model of the same data, scaling and noise schedule that is smaller or trained for less: guidance
                leads away from it, x̂_0 + w (x̂_0 - x̂_0 of the worse) (autoguidance: Karras et al. 2024, arXiv
                2406.02507), with labels or without.
            reward: Rows that it is high for are drawn more often, p(x) exp(reward(x) / reward_temperature): a function
                (m, d) → (m,) of rows in the units of the data. One that JAX can trace is compiled in; any other gets
                NumPy arrays. -inf forbids a row. What a function closes over is compiled in as it is at the first call:
                give a new function for new values.
            reward_temperature: At least 0; 0 keeps the best candidates ("svdd" alone).
            candidates: Network evaluations for each row and step that following the reward takes.
            steering: "svdd" (rows independent of each other; a biased sample of the target) or "feynman-kac" (rows of
                one population share ancestors; exact in the limit of large populations).
            sampler: "dpm", "dpm-sde" (DPM-Solver++(2M): Lu et al. 2022, arXiv 2211.01095, without noise and with it);
                "heun" (Karras et al. 2022, arXiv 2206.00364); "ddim" (Song et al. 2020, arXiv 2010.02502, eta = 0: no
                noise is added); "ancestral" (Ho et al. 2020, algorithm 2). By default "dpm", or "ancestral" to follow a
                reward.
            steps: Of "ancestral" and "ddim", 1 to the model's timesteps, all of them by default; of "dpm" and
                "dpm-sde", evaluations, at least 2, 20 by default; of "heun", which takes two evaluations each but for
                the last, at least 2, 11 by default.
            prior: x_T, shape (n, d), in place of rows of N(0, I). What it holds for constant columns is not used.
            deterministic: Whether the ancestral sampler leaves its noise out, so that x_T decides the rows.
            where: Of a model of mixed columns: values of some columns, by name, one for all rows or one a row; None is
                a missing cell. The others are drawn from their law given these. Of such a model neither samplers,
                rewards nor priors can be chosen.
            progress: Whether to show a bar.
            random_state: Seed.

        Raises:
            ValueError: In one line, if an argument cannot be used by this model.
        """
        options = Options(
            labels=labels,
            return_labels=return_labels,
            guidance=guidance,
            guidance_interval=guidance_interval,
            worse=worse,
            reward=reward,
            reward_temperature=reward_temperature,
            candidates=candidates,
            steering=steering,
            sampler=sampler,
            steps=steps,
            prior=prior,
            deterministic=deterministic,
            where=where,
            random_state=random_state,
        )
        if self._is_mixed:
            table, own = self._mixed_draw(n_samples, options, progress=progress)
            return (self.layout_.restore(table), own) if return_labels else self.layout_.restore(table)
        rows, own = self._drawn(n_samples, options, progress=progress)
        restored = self.layout_.restore(rows)
        return (restored, own) if return_labels else restored

    def _drawn(self, n_samples: int | None, options: Options, *, progress: bool) -> tuple[np.ndarray, Any]:
        """Rows of a model of numbers, shape (n, d), and their labels if they are asked for."""
        draw = Draw(self, n_samples, options)
        rows, labels = [np.empty((0, self.n_features_in_))], []
        with Bar(Console(stderr=True), draw.n_rows, is_shown=progress) as bar:
            for part, own in draw.parts():
                rows.append(part)
                labels.append(own)
                bar.advance(len(part))
        return np.concatenate(rows), np.concatenate([self.classes_[:0], *labels]) if options.return_labels else None

    def sample_batches(self, n_samples: int, **options: Any) -> Iterator[Any]:
        """The rows of `sample`, some at a time and as they are computed: for more rows than the memory holds.

        Args:
            n_samples: Number of rows.
            **options: As of `sample`.

        Returns:
            An iterator over what `sample` gives, for some rows each.
        """
        if self._is_mixed:
            from pointillist.estimators.mixed.drawing import MixedDraw

            parts = MixedDraw(self, n_samples, Options(**options)).parts()
            tables = ((self.layout_.restore(table), labels) for table, labels in parts)
            return (part if part[1] is not None else part[0] for part in tables)
        draw = Draw(self, n_samples, Options(**options))
        restored = ((self.layout_.restore(rows), labels) for rows, labels in draw.parts())
        return (part if part[1] is not None else part[0] for part in restored)

    def _typed_batches(
        self, n_samples: int, engine: str = "local", address: str | None = None, **options: Any
    ) -> Iterator[tuple[list[np.ndarray], np.ndarray | None]]:
        """As `sample_batches`, with each column on its own, in its type; and the labels, if asked for."""
        draw = Draw(self, n_samples, Options(**options))
        return ((self.layout_.columns(rows), labels) for rows, labels in draw.parts(engine, address))

    def score_samples(self, X: Any) -> Float[np.ndarray, " n"]:
        """Log p(x) in nats of each row, shape (n,), in the units of the data; of all classes together.

        By the probability-flow ODE (Song et al. 2021, arXiv 2011.13456, section 4.3), with an adaptive solver: the
        density of rows with the noise of t = 1 added, over the columns that were not constant in `fit`. The ODE ends in
        N(0, I) where the deterministic solvers begin, at sigma_t / alpha_t = 10 (or at t = T before that). Its trace is
        exact up to 64 columns; beyond, it is Hutchinson's estimate from 32 probes, which are a function of the row.

        Raises:
            ValueError: If `scaling` was "quantile" and a column holds a value so often that it has no density there, or
                if a model with classes was never trained without labels.
        """
        check_fitted(self)
        if self._is_mixed:
            raise ValueError(
                "a log-density is of numbers, and this model is of mixed columns: categories and values that repeat "
                "have probabilities in its place, and no number compares rows of both"
            )
        if self._n_classes and self.trained_with_["p_uncond"] == 0:
            raise ValueError(
                "the density is that of all classes together, and this model was never trained without labels: fit it "
                "with p_uncond above 0"
            )
        _, rows = checked_rows(self, X)
        repeating = self.scaling_.repeating
        if len(repeating):
            names = self.layout_.names or range(self.n_features_in_)
            raise ValueError(
                f"column {names[repeating[0]]!r} holds a value so often that it has no density there under "
                "scaling='quantile': fit with scaling='minmax'"
            )
        slope = self.scaling_.log_slope(rows)
        return map_rows(LogDensity(self._denoiser()), self.scaling_.transform(rows)).astype(np.float64) + slope

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Mean of `score_samples`, in nats; y is not used."""
        return float(np.mean(self.score_samples(X)))

    def save(self, path: str | Path) -> None:
        """Writes the fitted model as one safetensors file, whole or not at all. Nothing in it can run code."""
        check_fitted(self)
        save_model(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a model that `save` wrote; it draws the same rows, bit for bit.

        Raises:
            ModelFileError: A ValueError, in one line, if the file is damaged, hostile or of another version.
            OSError: If it cannot be read.
        """
        configure()
        return load_model(cls, Path(path))
