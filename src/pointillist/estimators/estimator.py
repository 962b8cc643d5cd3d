"""`Diffusion`: a diffusion model of rows, as a scikit-learn estimator."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from rich.console import Console

from pointillist.arguments import RandomState, check_integer, naming_unknown, seeds_of
from pointillist.atomic_files import checking
from pointillist.estimators import plotting
from pointillist.estimators.inputs import WithParameters, checked_rows, drop_fitted, fitted_model, sampling_run
from pointillist.models.configuration import Configuration, SamplingConfig, values_of
from pointillist.models.container import ModelFileError
from pointillist.models.parameters import documented
from pointillist.models.row_model import RowModel
from pointillist.models.saving import load_model, save_model
from pointillist.privacy.private_fits import prepare
from pointillist.progress import Bar, shows_progress, waiting
from pointillist.queries.conditional import Conditional, conditional_of
from pointillist.queries.density import log_density
from pointillist.queries.imputation import check_statistic, imputed
from pointillist.tables.frames import aligned, check_room, with_others
from pointillist.tables.names import are_text
from pointillist.tables.row_sampling import answered_in_parts, parts_of_rows
from pointillist.tables.table import columns_of


@documented(Configuration)
class Diffusion(WithParameters, Configuration):
    """A diffusion model of the rows of a table, with or without classes.

    A network learns to denoise rows (Ho et al. 2020, arXiv 2006.11239), and a sampler turns noise into new rows. With
    labels the model is conditional. It also learns the distribution of all classes together, because a fraction of the
    labels is hidden in training (Ho & Salimans 2022, arXiv 2207.12598).

    The default recipe uses residual blocks, EDM preconditioning and noise levels (Karras et al. 2022, arXiv
    2206.00364) and averaged weights. The study's built-in spec `recipes` shows the contribution of each;
    `pointillist.estimators.REPORT` holds the parameters of a plain DDPM.

    Args:
        PARAMETERS

    Attributes:
        model_: The fitted model, a `pointillist.models.row_model.RowModel`.
        classes_: The labels, sorted; only in a model with classes.
        class_counts_: Number of training rows of each class; only in a model with classes.
        n_features_in_: Number of columns, d.
        feature_names_in_: Names of the columns; only if all of them are text.
        history_: Mean training loss of each epoch, shape (epochs,).
        validation_history_: Held-out loss at each check, shape (checks,); empty without early stopping.
        effective_sample_size_: Number of independent rows with as much information as the last rows drawn under ranges,
            sets or `present`. The standard error of a column's mean is its standard deviation over the square root of
            this number.

    Example:
        >>> from pointillist import load_pointset
        >>> X, y = load_pointset("moons", n_rows=500)
        >>> model = Diffusion(epochs=20, random_state=0).fit(X, y)
        >>> model.sample(3, labels=1, guidance=0.5, random_state=0).shape
        (3, 2)
    """

    plot = plotting.plot

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        checkpoint: str | Path | None = None,
        categorical: Sequence[str | int] = (),
        given: Sequence[str | int] = (),
    ) -> Self:
        """Fits the model to rows, and to their labels if they are given.

        Rows mapped from a file of float64 (`numpy.memmap`) are read in parts.

        Args:
            X: Rows, shape (n, d), n at least 2: an array, a data frame of pandas, Polars or PyArrow, or a table from
                `pointillist.files.read_table`. An array holds numbers or booleans, and may hold NaN; with dtype
                object, it may also hold text, dates and None. A frame may have columns of numbers, booleans, text,
                categories and dates, with missing cells. The contents of the columns determine the kind of model: see
                `process`. Infinite values are refused.
            y: Labels, shape (n,): integers, booleans or strings, of at least two classes with at least two rows each.
                By default, the label column of a table from a file. Not for private fits.
            checkpoint: A file to which the state of training is written every 10 seconds and on Ctrl-C. If it exists,
                training resumes from it (with its seed if `random_state` is None) and ends with the same weights, bit
                for bit. The file is removed at the end. Not for private fits.
            categorical: Columns whose numbers are categories, by name, or by position in an array: only their training
                values are drawn. Not for private fits.
            given: Columns whose values `where` will set, by name, or by position in an array, such as the data of a
                simulator whose parameters are the other columns. Rows given exactly these columns are then far more
                precise, and all other rows are less so. The default network has width 192, and is trained for 16,000
                steps. For Gaussian diffusion, and not for private fits.

        Raises:
            ValueError: In one line, if the rows, the labels or a parameter cannot be used, or if the checkpoint belongs
                to another training run.

        Warns:
            UserWarning: If the noise schedule leaves more than 0.01 nats per column of signal in the prior.
        """
        path = None if checkpoint is None else Path(checkpoint)
        # scikit-learn's checks set attributes: use a clone, so that a failed fit changes nothing here.
        read = partial(checked_rows, type(self)(**self.get_params()), reset=True)
        if y is not None and np.asarray(y).ndim == 2:
            from sklearn.utils.validation import column_or_1d

            y = column_or_1d(y, warn=True)
        with waiting(Console(stderr=True), "encoding X", is_shown=shows_progress(self.verbose)):
            task = prepare(
                self._configuration, X, y, categorical=categorical, given=given, checkpoint=path, read=read
            ).without_table()
        self._hold(task.fit(path))
        if path is not None:
            path.unlink(missing_ok=True)
        return self

    @property
    def _configuration(self) -> Configuration:
        return Configuration(**self.get_params(deep=False))

    def _hold(self, model: RowModel) -> None:
        drop_fitted(self)
        self.model_ = model
        self.n_features_in_ = model.codec.n_columns
        self.history_, self.validation_history_ = model.record.history, model.record.validation_history
        if model.codec.names is not None and are_text(model.codec.names):
            self.feature_names_in_ = np.array(model.codec.names, dtype=object)
        if model.classes is not None:
            self.classes_, self.class_counts_ = model.classes.labels, model.classes.counts

    @documented(SamplingConfig)
    @naming_unknown
    def sample(  # noqa: D417
        self,
        n_samples: int | None = None,
        *,
        labels: Any = None,
        return_labels: bool = False,
        guidance: float = 0.0,
        reward: Callable[[Any], Any] | None = None,
        reward_temperature: float = 0.1,
        candidates: int = 10,
        steering: str = "svdd_pm",
        sampler: str | None = None,
        steps: int | None = None,
        prior: ArrayLike | None = None,
        deterministic: bool = False,
        where: Mapping[str, Any] | None = None,
        shares: Mapping[Any, Mapping[Any, float]] | None = None,
        start: int = 0,
        exclude: Any = None,
        progress: bool = False,
        random_state: RandomState = None,
    ) -> Any:
        """Draws new rows in the container that `fit` was given, with its names and types.

        The same seed gives the same rows on any number of devices. A longer draw begins with the rows of a shorter one.
        The exceptions are `shares`, and "feynman_kac" with several labels, where each row depends on all labels.

        Args:
            n_samples: Number of rows; by default the length of `labels` or `prior`, or else 1.
            labels: One label for all rows, or one per row, for a model with classes; None draws rows of all classes.
            return_labels: Whether to return `(rows, labels)`. Without `labels`, they are as frequent as in training.
            PARAMETERS
            reward: A function (m, d) → (m,) of rows in the units of the data. Rows with a high reward are drawn more
                often: the target is p(x) exp(reward(x) / reward_temperature). A function that JAX can trace is
                compiled; any other gets NumPy arrays. -inf forbids a row. Values that the function closes over are
                compiled as they are at the first call: pass a new function for new values.
            prior: x_T, shape (n, d), instead of draws from N(0, I). Its values in constant columns are not used. It is
                used unchanged, except that "dpm" and "heun" add what is left of a class's mean at T.
            where: Values of some columns, by name, or by position in an array: one value for all rows, or one per row;
                None or `missing` is a missing cell, `present` any other cell; `between(low, high)` is a range, and
                `one_of(...)`, or a Python set, several values. The other columns are drawn given these. Under ranges,
                sets and `present`, rows are chosen among weighted candidates; they are worth
                `effective_sample_size_` independent rows. A model with tokens takes no reward or prior.
            shares: Fractions of the rows that have given values, for labels and columns of categories, booleans or few
                numbers, as {"income": {">50K": 0.5, "<=50K": 0.5}}. Their counts are exact up to rounding; values
                without a fraction share the rest as in the model. With several columns, the joint distribution is the
                closest to the model's. The order of the rows is random and depends on their number.
            exclude: A data frame whose keys the new rows do not get, such as the training rows or rows drawn before.
            progress: Whether to show a progress bar.
            random_state: Seed.

        Raises:
            ValueError: In one line, if an argument cannot be used by this model.
        """
        # All other arguments are fields of the request.
        request = {name: value for name, value in locals().items() if name not in ("self", "progress")}
        run = sampling_run(self, **request)
        with Bar(Console(stderr=True), run.n_rows, is_shown=progress) as bar:
            rows, row_labels = run.rows(bar.advance)
        if run.effective_sample_size is not None:
            self.effective_sample_size_ = run.effective_sample_size
        restored = self.model_.layout.restore(run.with_generated(rows))
        return (restored, row_labels) if return_labels else restored

    def sample_batches(self, n_samples: int, **options: Any) -> Iterator[Any]:
        """Draws the rows of `sample` in parts, as they are computed: for more rows than memory holds.

        Args:
            n_samples: Number of rows.
            **options: Keyword arguments of `sample`, except `progress`.

        Returns:
            An iterator over the parts; each is what `sample` returns, for some of the rows.
        """
        run, restore = sampling_run(self, n_samples, **options), self.model_.layout.restore
        parts = ((restore(run.with_generated(rows)), labels) for rows, labels in run.parts())
        return (rows if labels is None else (rows, labels) for rows, labels in parts)

    def impute(
        self,
        X: Any,
        *,
        labels: Any = None,
        n_draws: int | None = None,
        statistic: str | None = None,
        random_state: RandomState = None,
    ) -> Any:
        """Fills the missing cells of a table with draws from their distribution given the other cells of the row.

        With `statistic="median"`, a number is filled with the median of its distribution and a category with the most
        probable one, cell by cell. These values are closer to the truth, but vary less than data does, and do not
        obey rules or relations between columns: good features for a prediction, but not a sample of rows.

        A model of numbers can do this if it was fitted with `p_given` above 0.

        Args:
            X: A table with the columns of `fit`: an array, or a data frame with its columns in any order, and perhaps
                others if `fit` was given a data frame too. Cells that are not missing keep their values. A
                `pyarrow.dataset`, a `RecordBatchReader` or a relation of DuckDB may be larger than memory.
            labels: Labels of the rows if they are not a column of X, one for all or one per row, None or NaN where a
                label is unknown. Without them, cells have their distribution over all classes.
            n_draws: Number of tables to draw independently, for multiple imputation; None for one.
            statistic: "median" for medians and most frequent categories of 25 draws of a row, with noise that depends
                only on the row; None for one draw.
            random_state: Seed of draws.

        Returns:
            A table in the container that `fit` was given, or a list of tables if `n_draws` is given. Frames have the
            columns of X in the order of X and, for pandas, its index; arrays have the columns of `fit`. For a table
            that may be larger than memory, an iterator of these for every 100,000 rows.

        Raises:
            ValueError: In one line, if X lacks a column, or has a category that no training row had.
        """
        model = fitted_model(self)
        if n_draws is not None:
            check_integer("n_draws", n_draws)
        check_statistic(statistic, is_alone=n_draws is None)
        parts = parts_of_rows(X)
        if parts is not None:
            return (
                self.impute(part, labels=labels, n_draws=n_draws, statistic=statistic, random_state=seed)
                for part, seed in zip(parts, seeds_of(random_state), strict=False)
            )
        codec = model.codec
        check_room(X, codec.layout)
        index = X.index if codec.layout.kind == "pandas" and hasattr(X, "iloc") else None
        filled = imputed(model, X, n_draws or 1, random_state, labels, statistic)
        restored = [with_others(codec.layout.restore(rows, index), X, codec.names or ()) for rows in filled]
        return restored[0] if n_draws is None else restored

    def conditional(self, target: Any, *, labels: Any = None) -> Conditional:
        """Returns the distribution of one column, or of several, given the others.

        It has `predict`, `predict_proba`, `quantiles`, `sample` and `log_prob`; see
        `pointillist.queries.conditional.Conditional`. A model of numbers has it for its labels and, if it was fitted
        with `p_given` above 0, for its columns.

        Args:
            target: Name of a column, or a list of names; positions in an array. Labels that `fit` was given apart from
                a table of mixed columns count as a column.
            labels: Labels of the rows if they are not a column of the tables, one for all rows or one per row, None or
                NaN where a label is unknown. Without them, the distribution is over all classes together.

        Raises:
            ValueError: In one line, if a column is unknown, or the model cannot condition on cells.
        """
        return conditional_of(fitted_model(self), target, labels)

    @answered_in_parts
    def score_samples(self, X: Any) -> Float[np.ndarray, " n"]:
        """Computes log p(x) per row in nats, shape (n,), in the units of the data and over all classes together.

        **Numbers.** The probability-flow ODE (Song et al. 2021, arXiv 2011.13456, section 4.3) is solved with an
        adaptive solver, from the noise of t = 1 to N(0, I) where the deterministic solvers begin, at sigma_t / alpha_t
        = 10 (or at t = T), over the columns that were not constant in `fit`. Its trace is exact up to 64 columns;
        beyond that, it is Hutchinson's estimate from 32 probes, which are a function of the row. Rounded numbers have
        the density before rounding; a value's probability is about this density times the column's step.

        **Mixed columns.** Categories, labels, missing cells and repeated values have a mass, and numbers a density per
        unit of their column; on a grid (integers, up to 8 decimals, dates) it is the mass of the value's grid cell over
        the cell's width. The probability of a row is the product over its cells, each given the cells in earlier
        columns. Beyond 128 columns, with missing="unknown" and in private fits it is the mean over 4 fixed orders
        (Hoogeboom et al. 2021, arXiv 2110.02037, section 3). Densities of numbers use the same ODE, in 24 steps of a
        third-order method. New numbers get part of the mass of the nearest value if values repeat, and new categories
        part of the mass of the rarest one. Beyond the range of `fit`, the density falls with the square of the
        distance. A row has -inf if a cell is missing in a column that had none in `fit`, if its label is unknown, or if
        a column listed as categorical has an unknown value. With missing="unknown", missing cells are integrated out.
        Rules between columns, which drawn rows obey, do not change the density.

        Raises:
            ValueError: If a model of numbers with classes was never trained without labels, or if X lacks a column.
        """
        model = fitted_model(self)
        if model.codec.encoding.n_tokens:
            return log_density(model, aligned(X, model.codec.layout).cells)
        return log_density(model, columns_of(checked_rows(self, X)[1]))

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Computes the mean of `score_samples`, in nats; y is not used.

        For values that repeat, masked diffusion gives probabilities and Gaussian diffusion densities, which cannot be
        compared: set `process` in a search over parameters, since some parameters choose it.
        """
        return float(np.mean(self.score_samples(X)))

    def save(self, path: str | Path) -> None:
        """Writes the fitted model as one safetensors file, whole or not at all. Nothing in it can run code."""
        save_model(replace(fitted_model(self), parameters=values_of(self._configuration)), Path(path))

    def page(self, path: str | Path, *, title: str | None = None, evaluation: Any = None) -> None:
        """Writes the model as one HTML file that draws its rows in a browser, without a server or a network.

        Args:
            path: The file.
            title: Title of the page; the file's name without its ending by default.
            evaluation: The result of `evaluate` for rows of the model; the page shows its verdict.

        Raises:
            TypeError: In one line, if `evaluation` is not a result of `evaluate`.
            ValueError: In one line, if no page can be made of this model.
        """
        from pointillist.page import Verdict, write_page

        if evaluation is not None and not isinstance(getattr(evaluation, "verdict", None), str):
            raise TypeError(f"evaluation must be what evaluate returned, not {evaluation!r:.60}: leave it out")
        verdict = None if evaluation is None else Verdict(evaluation.verdict, evaluation.is_distinguishable)
        write_page(fitted_model(self), Path(path), title, verdict)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a model that `save` wrote; it draws the same rows, bit for bit.

        Raises:
            ModelFileError: A ValueError, in one line, if the file is damaged, hostile or of another version.
            OSError: If it cannot be read.
        """
        model = load_model(Path(path))
        # The file may claim types that the library of data frames lacks; without that library, no rows are drawn.
        with checking(Path(path), ModelFileError), suppress(ImportError):
            model.layout.restore(model.no_rows())
        loaded = cls(**model.parameters)
        loaded._hold(model)
        return loaded


def load(path: str | Path) -> Diffusion:
    """Reads a model file; see `Diffusion.load`."""
    return Diffusion.load(path)
