"""`DiffusionModel`: fitting, drawing rows, filling missing cells, log-densities, and model files."""

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
    """`Diffusion` without scikit-learn, which takes as long to import as everything else together.

    The command line uses this class to fit tables from files, to draw rows, to save and to load. `Diffusion` adds
    pictures, and what arrays, frames of numbers and scores of rows need from an estimator.
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

        Rows mapped from a file of float64 (`numpy.memmap`) are read in parts.

        Args:
            X: Rows, shape (n, d), n at least 2: an array, a data frame of pandas, Polars or PyArrow, or a table from
                `pointillist.points.read_table`. An array holds numbers or booleans, and may hold NaN; with dtype
                object, it may also hold text, dates and None. A frame may have columns of numbers, booleans, text,
                categories and dates, with missing cells. What the columns hold decides the kind of model: see
                `process`. Infinite values are refused.
            y: Labels, shape (n,): integers, booleans or strings, of at least two classes with at least two rows each.
                By default, the label column of a table from a file.
            checkpoint: A file to which the state of training is written every 10 seconds and on Ctrl-C. If it exists,
                training resumes from it (with its seed if `random_state` is None) and ends with the same weights, bit
                for bit. The file is removed at the end.
            categorical: Columns whose numbers are categories, by name, or by position in an array: no other value is
                drawn.

        Raises:
            ValueError: In one line, if the rows, the labels or a parameter cannot be used, or if the checkpoint belongs
                to another training run.

        Warns:
            UserWarning: If the noise schedule leaves more than 0.01 nats per column of signal in the prior.
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
        """Fits like `fit`, but keeps a finished checkpoint: until the model is saved, nothing else holds the result."""
        # On another model: a fit that fails leaves this one as it was.
        self._take_over(fitted(self, X, y, checkpoint, categorical))

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Default values of the parameters, by name."""
        parameters = sorted(signature(cls).parameters.items())
        return {name: p.default for name, p in parameters if p.kind is not p.VAR_KEYWORD}

    def _asked(self) -> dict[str, Any]:
        """Current values of the parameters, by name."""
        return {name: getattr(self, name) for name in self._defaults()}

    def _unfitted(self) -> Self:
        """An unfitted model with the same parameters."""
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
        """Raises an error if the model is of mixed columns."""
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
        """Fills the missing cells of a table; each row's are drawn from their distribution given its other cells.

        Only models of mixed columns can do this. For a table of numbers, fit one with `process="masked"`.

        Args:
            X: A table with the columns of `fit`: an array, or a data frame with its columns in any order. Cells that
                are not missing stay as they are.
            n_draws: Number of tables to draw independently, for multiple imputation; None for one.
            random_state: Seed.

        Returns:
            A table in the container that `fit` was given, with its columns in the order of `fit` and, for pandas, the
            index of X; a list of such tables if `n_draws` is given.

        Raises:
            ValueError: In one line, if X has other columns, or a category that no training row had.
        """
        check_fitted(self)
        if not self._is_mixed:
            raise ValueError(
                "impute is for models of mixed columns, and this one is of numbers: fit the table with process='masked'"
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
        """Draws new rows in the container that `fit` was given, with its names and types.

        The same seed gives the same rows on any number of devices. A longer draw begins with the rows of a shorter one.
        The exception is "feynman-kac" with several labels, where each row depends on all labels.

        Args:
            n_samples: Number of rows; by default the length of `labels` or `prior`, or else 1.
            labels: One label for all rows, or one label per row, for a model with classes. None draws rows of all
                classes.
            return_labels: Whether to return `(rows, labels)`. Without `labels`, each row's label is drawn first, with
                the classes' shares of the training rows.
            guidance: w, at least 0, in ε = (1 + w) ε(x, y) - w ε(x, no class): **0 is plain conditional sampling**.
            guidance_interval: Noise levels σ = sigma_t / alpha_t at which guidance acts, as (low, high]; all by
                default.
            worse: A model of the same data, scaling and noise schedule that is smaller or was trained for less time.
                Guidance then leads away from it, x̂_0 + w (x̂_0 - x̂_0 of the worse model), with or without labels
                (autoguidance: Karras et al. 2024, arXiv 2406.02507).
            reward: A function (m, d) → (m,) of rows in the units of the data. Rows with a high reward are drawn more
                often: the target is p(x) exp(reward(x) / reward_temperature). A function that JAX can trace is
                compiled; any other gets NumPy arrays. -inf forbids a row. Values that the function closes over are
                compiled as they are at the first call: pass a new function for new values.
            reward_temperature: Temperature of the reward, at least 0; 0 keeps the best candidates ("svdd" only).
            candidates: Number of network evaluations for each row and step that steering takes.
            steering: "svdd" (rows are independent of each other; a biased sample of the target) or "feynman-kac" (rows
                of one population share ancestors; exact in the limit of large populations).
            sampler: "dpm" and "dpm-sde" are DPM-Solver++(2M) without and with noise (Lu et al. 2022, arXiv 2211.01095);
                "heun" is that of Karras et al. 2022, arXiv 2206.00364; "ddim" that of Song et al. 2020, arXiv
                2010.02502, with eta = 0, so without noise; "ancestral" is algorithm 2 of Ho et al. 2020. The default is
                "dpm", or "ancestral" with a reward or a single timestep.
            steps: Number of steps. "ancestral" and "ddim" take from 1 to the model's timesteps, by default all of them;
                "dpm" and "dpm-sde" at least 2, by default 20; "heun" at least 2, by default 11. A step is one
                evaluation of the network; those of "heun" are two, except for the last.
            prior: x_T, shape (n, d), instead of draws from N(0, I). Its values in constant columns are not used.
            deterministic: Whether the ancestral sampler leaves out its noise, so that x_T decides the rows.
            where: Values of some columns of a model of mixed columns, by name, or by position in an array: one value
                for all rows, or one per row; None is a missing cell. The other columns are drawn from their conditional
                distribution given these. A model of mixed columns takes no sampler, reward or prior.
            progress: Whether to show a progress bar.
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
        """Rows of a model of numbers, shape (n, d), and their labels if requested."""
        draw = Draw(self, n_samples, options)
        rows, labels = [np.empty((0, self.n_features_in_))], []
        with Bar(Console(stderr=True), draw.n_rows, is_shown=progress) as bar:
            for part, own in draw.parts():
                rows.append(part)
                labels.append(own)
                bar.advance(len(part))
        return np.concatenate(rows), np.concatenate([self.classes_[:0], *labels]) if options.return_labels else None

    def sample_batches(self, n_samples: int, **options: Any) -> Iterator[Any]:
        """Draws the rows of `sample` in parts, as they are computed: for more rows than memory holds.

        Args:
            n_samples: Number of rows.
            **options: Keyword arguments of `sample`.

        Returns:
            An iterator over the parts; each is what `sample` returns, for some of the rows.
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
        """Draws like `sample_batches`, with each column as an array of its own type; and the labels, if requested."""
        draw = Draw(self, n_samples, Options(**options))
        return ((self.layout_.columns(rows), labels) for rows, labels in draw.parts(engine, address))

    def score_samples(self, X: Any) -> Float[np.ndarray, " n"]:
        """Computes log p(x) of each row in nats, shape (n,), in the units of the data and over all classes together.

        It solves the probability-flow ODE (Song et al. 2021, arXiv 2011.13456, section 4.3) with an adaptive solver.
        The density is that of rows with the noise of t = 1 added, over the columns that were not constant in `fit`. The
        ODE ends in N(0, I) where the deterministic solvers begin, at sigma_t / alpha_t = 10 (or at t = T if that comes
        first). Its trace is exact up to 64 columns; beyond that, it is Hutchinson's estimate from 32 probes, which are
        a function of the row.

        Raises:
            ValueError: If the model is of mixed columns, if `scaling` was "quantile" and a column holds a value so
                often that it has no density there, or if a model with classes was never trained without labels.
        """
        check_fitted(self)
        if self._is_mixed:
            raise ValueError(
                "log-densities are for models of numbers, and this one is of mixed columns: categories and repeated "
                "values have probabilities instead, so no single number compares rows"
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
        """Computes the mean of `score_samples`, in nats; y is not used."""
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
