"""Classifiers: whether they distinguish rows from data, and what boosted trees learn from each."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.lazy import ensemble, model_selection, neighbors, stats
from pointillist.metrics.checks import Seed, check_pair
from pointillist.metrics.distances import Rows
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.mixed_tables import TableLike, check_tables, count_rows, encode
from pointillist.metrics.nearest import placements

MOST_ROWS = 2000
"""Most rows taken from each side, by default."""

VARIANCE_INFLATION = 1 + 2 / math.pi
"""Ratio of the variance of an accuracy on held-out rows to the variance of independent trials.

Each row is tested once and trains the tests of other rows. If the prediction for row i depends on the label of row j
with strength α_ij, the two outcomes have covariance α_ij α_ji / 4, and the ratio is 1 + mean_i Σ_j α_ij α_ji. With
mutual influence, the sum is the degree-one Fourier weight of the vote: at most 1 for any classifier, and 2/π for a
majority vote of many labels (O'Donnell 2014, chapter 5), for any number of folds. Measured: 1.4 to 1.7 for both
classifiers in 2 columns."""

MOST_WITHOUT_STOPPING = 10_000
"""Most rows from which scikit-learn's boosted trees hold none out for early stopping."""

MAX_CATEGORIES = 254
"""Most categories of a column that scikit-learn's boosted trees take, less one."""


@dataclass(frozen=True)
class BoostedTwoSample:
    """How well boosted trees distinguish rows from data. See `boosted_two_sample`.

    Attributes:
        score: 1 − 2 max(0, AUC − ½), in [0, 1]: 1 if they cannot distinguish them.
        auc: Area under the ROC curve on rows held out from their training: 0.5 if they cannot distinguish rows from
            data, 1 if they always can.
        n_rows: Number of rows that they saw from each side.
    """

    score: Estimate
    auc: Estimate
    n_rows: int

    @property
    def p_value(self) -> float:
        """p-value of an AUC above one half."""
        return float(stats.norm.sf((self.auc - 0.5) / self.auc.null_standard_error))


@dataclass(frozen=True)
class Utility:
    """Scores of boosted trees trained on rows, and on data. See `utility`.

    Attributes:
        target: The column that they predict.
        measure: `AUC` for a category, `R²` for a number.
        of_rows: Score on test rows of trees trained on rows.
        of_data: Score on test rows of trees trained on data.
        difference: The first score minus the second.
        n_rows: Number of rows that each was trained on.
    """

    target: str
    measure: Literal["AUC", "R²"]
    of_rows: Estimate
    of_data: Estimate
    difference: Estimate
    n_rows: int


def two_sample_test(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    classifier: Any = "forest",
    n_splits: int = 5,
    max_rows: int | None = MOST_ROWS,
    random_state: Seed = 0,
) -> Estimate:
    """Accuracy of a classifier that tries to distinguish real from generated rows, on rows held out from its training.

    At 0.5 the classifier cannot distinguish them, at 1 it always can (Lopez-Paz & Oquab 2017, section 3). More rows
    train a better classifier: do not compare accuracies of different classifiers or of different numbers of rows.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.
        classifier: `forest`, a random forest of 200 trees with at least 5 rows per leaf; `knn`, the 15 nearest
            neighbors (at most half of its training rows) on standardized columns, about a hundred times faster and a
            little less powerful; or any scikit-learn classifier, which is cloned, and seeded if it has no seed.
        n_splits: Number of shuffled stratified folds, at least 2.
        max_rows: Most rows taken from each side, and never more than the smaller side has; None for no limit.
        random_state: Seed of the subsamples, the folds and the classifier.

    Returns:
        The fraction of held-out rows assigned to the right side, in [0, 1]. The standard error is over the draw of both
        sides: √(1 + 2/π) times the error of independent trials. `null_standard_error` is the same at accuracy 0.5.

    Raises:
        ValueError: If the classifier is unknown, or there are fewer rows than folds.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> A, B = rng.normal(size=(200, 2)), rng.normal(size=(300, 2))
        >>> two_sample_test(A, B, classifier="knn")
        0.4700 ± 0.0319
        >>> two_sample_test(A, B + 10.0, classifier="knn")
        1.00000 ± 0.00319
    """
    A, B = check_pair(real, generated)
    rng = np.random.default_rng(random_state)
    n = min(len(A), len(B)) if max_rows is None else min(len(A), len(B), max_rows)
    check_folds(n_splits, n)
    model = _make_classifier(classifier, rng, 2 * n - math.ceil(2 * n / n_splits))
    rows = np.concatenate([side[rng.permutation(len(side))[:n]] for side in (A, B)])
    labels = np.repeat([0, 1], n)
    folds = model_selection.StratifiedKFold(n_splits, shuffle=True, random_state=draw_seed(rng))
    correct = 0
    for train, test in folds.split(rows, labels):
        model.fit(rows[train], labels[train])
        correct += int(np.count_nonzero(model.predict(rows[test]) == labels[test]))

    trials = 2 * n
    smoothed = (correct + 1) / (trials + 2)  # an accuracy of exactly 1 is not known without error
    error, null_error = (math.sqrt(VARIANCE_INFLATION * p * (1 - p) / trials) for p in (smoothed, 0.5))
    return Estimate(correct / trials, error, null_standard_error=null_error)


def boosted_two_sample(
    real: TableLike, generated: TableLike, *, max_rows: int = 16_000, n_splits: int = 5, random_state: Seed = 0
) -> BoostedTwoSample:
    """Measure how well boosted trees distinguish generated from real rows, on rows held out from their training.

    The classifier is scikit-learn's `HistGradientBoostingClassifier` with 100 trees, which takes categories and missing
    cells as they are. More rows train better trees: compare scores only at the same number of rows. (Lopez-Paz & Oquab
    2017, arXiv 1610.06545, with the area under the curve instead of the accuracy; the score is defined as in the
    detection metrics of SDMetrics.)

    Args:
        real: n rows: an array, or a table with the same columns. If a column has more than 254 categories, the rarest
            over both sides count as one.
        generated: m rows.
        max_rows: Most rows taken from each side, and never more than the smaller side has.
        n_splits: Number of shuffled stratified folds, at least 2.
        random_state: Seed of the subsamples, the folds and the trees.

    Returns:
        Score and AUC, the means over the folds. The standard error is over the folds, with `n_splits` − 1 degrees of
        freedom; `null_standard_error` is for an AUC of 0.5, by the variance of the Mann-Whitney statistic. Both are
        √(1 + 2/π) times the errors for independent folds, as in `two_sample_test`: 0.8 to 1.0 times the true error in
        simulations with one distribution.

    Raises:
        ValueError: If there are fewer rows than folds.
    """
    from sklearn.metrics import roc_auc_score

    data, rows = check_tables(real=real, generated=generated)
    n = min(count_rows(rows), count_rows(data), max_rows)
    check_folds(n_splits, n)
    rng = np.random.default_rng(random_state)
    sides, is_category = encode(rows, data, max_categories=MAX_CATEGORIES)
    features = np.concatenate([side[rng.permutation(len(side))[:n]] for side in sides])
    labels = np.repeat([1, 0], n)
    folds = model_selection.StratifiedKFold(n_splits, shuffle=True, random_state=draw_seed(rng))
    trees = ensemble.HistGradientBoostingClassifier(
        categorical_features=is_category, early_stopping=False, random_state=draw_seed(rng)
    )
    areas = np.empty(n_splits)
    with on_one_thread():
        for fold, (train, test) in enumerate(folds.split(features, labels)):
            fit_trees(trees, features[train], labels[train])
            areas[fold] = roc_auc_score(labels[test], trees.predict_proba(features[test])[:, 1])

    error, tested = areas.std(ddof=1) * math.sqrt(VARIANCE_INFLATION / n_splits), n / n_splits
    null_error = math.sqrt(VARIANCE_INFLATION * (2 * tested + 1) / (12 * tested**2 * n_splits))
    auc = Estimate(areas.mean(), error, n_splits - 1, null_error)
    score = Estimate(1 - 2 * max(0.0, auc - 0.5), 2 * error, n_splits - 1, 2 * null_error)
    return BoostedTwoSample(score, auc, n)


def utility(
    real: TableLike,
    generated: TableLike,
    holdout: TableLike,
    target: str,
    *,
    max_rows: int = 50_000,
    random_state: Seed = 0,
) -> Utility:
    """Predict a column of held-out rows with boosted trees trained on rows, and with others trained on data.

    The trees are scikit-learn's `HistGradientBoostingClassifier` or `HistGradientBoostingRegressor` with their default
    settings. Rows whose target is missing are left out everywhere. (Esteban et al. 2017, arXiv 1706.02633: train on
    synthetic, test on real.)

    Args:
        real: n rows: an array, or a table with the same columns.
        generated: m rows.
        holdout: Rows from the distribution of the real ones that are in neither table.
        target: The column to predict.
        max_rows: Most rows to train on, and never more than the smaller side has.
        random_state: Seed of the subsamples and the trees.

    Returns:
        For a category, the AUC of each class against the rest, averaged over the classes in `holdout`, in [0, 1]; for a
        number, R², at most 1. The standard errors are over the draw of test rows, with the trees held fixed (delta
        method; for an AUC, DeLong et al. 1988). The error of the difference accounts for the common test rows.

    Raises:
        ValueError: If the target is not a column, is the only one, is always missing on a
            side, or has only one value in `holdout`.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(3, 300))
        >>> rows, data, test = ({"x": each, "y": 2 * each} for each in x)
        >>> print(f"{utility(data, rows, test, 'y').of_rows:.2f}")
        0.99
    """
    data, rows, test = check_tables(real=real, generated=generated, holdout=holdout)
    if target not in data:
        raise ValueError(f"target={target!r} is not a column of real: use one of {', '.join(map(repr, data))}")
    if len(data) < 2:
        raise ValueError(f"target={target!r} is the only column: no other column can predict it")
    tables = [rows, data, test]
    targets, (is_class,) = encode(*({target: table[target]} for table in tables))
    others = ({name: column for name, column in table.items() if name != target} for table in tables)
    features, is_category = encode(*others, max_categories=MAX_CATEGORIES)
    known = [~np.isnan(values[:, 0]) for values in targets]
    labels = [values[kept, 0] for values, kept in zip(targets, known, strict=True)]
    features = [values[kept] for values, kept in zip(features, known, strict=True)]
    for side, values in zip(("generated", "real"), labels, strict=False):
        if not len(values):
            raise ValueError(f"target={target!r} is missing in all of {side}: nothing can be learned")
    if len(np.unique(labels[2])) < 2:
        raise ValueError(f"target={target!r} has fewer than two values in holdout: nothing can be predicted")

    rng = np.random.default_rng(random_state)
    n, seed = min(len(labels[0]), len(labels[1]), max_rows), draw_seed(rng)
    measure = _class_utility if is_class else _number_utility
    results = []
    with on_one_thread():
        for values, train in zip(labels[:2], features, strict=False):
            some = rng.permutation(len(values))[:n]
            results.append(measure(train[some], values[some], features[2], labels[2], is_category, seed))
    (of_rows, rows_influence), (of_data, data_influence) = results
    return Utility(
        target,
        "AUC" if is_class else "R²",
        Estimate(of_rows, _error(rows_influence)),
        Estimate(of_data, _error(data_influence)),
        Estimate(of_rows - of_data, _error(rows_influence - data_influence)),
        n,
    )


def _make_classifier(classifier: Any, rng: np.random.Generator, n_train: int) -> Any:
    from sklearn.base import clone

    if isinstance(classifier, str):
        if classifier == "forest":
            return ensemble.RandomForestClassifier(200, min_samples_leaf=5, random_state=draw_seed(rng))
        if classifier == "knn":
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import StandardScaler

            return make_pipeline(StandardScaler(), neighbors.KNeighborsClassifier(min(15, max(1, n_train // 2))))
        raise ValueError(f"classifier={classifier!r} is unknown: use 'forest', 'knn' or a scikit-learn classifier")
    model = clone(classifier)
    settings = sorted(model.get_params().items(), key=lambda setting: setting[0])
    unset = [name for name, value in settings if name.rpartition("__")[2] == "random_state" and value is None]
    return model.set_params(**{name: draw_seed(rng) for name in unset})


def check_folds(n_splits: int, n: int) -> None:
    """Raise a ValueError if n rows per side cannot be divided into folds."""
    if n_splits < 2 or n < n_splits:
        raise ValueError(
            f"n_splits={n_splits} must be at least 2 and at most {n}, the number of rows per side: "
            "pass more rows or fewer folds"
        )


def draw_seed(rng: np.random.Generator) -> int:
    """Draw a seed for scikit-learn."""
    return int(rng.integers(2**31))


def on_one_thread() -> AbstractContextManager[Any]:
    """Limit trees to one thread: several would wait for each other, for long if other work uses the cores."""
    import sklearn.ensemble  # noqa: F401 - only libraries that are loaded are limited
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="openmp")


def fit_trees(trees: Any, features: Rows, labels: NDArray[Any]) -> None:
    """Fit scikit-learn's boosted trees, which cannot make bins of a column without values."""
    has_values = ~np.isnan(features).all(axis=0)
    trees.fit(np.where(has_values, features, 0.0), labels)


def _error(influence: Rows) -> float:
    return float(influence.std(ddof=1)) / math.sqrt(len(influence))


def _class_utility(
    train: Rows, labels: Rows, test: Rows, truth: Rows, is_category: NDArray[np.bool_], seed: int
) -> tuple[float, Rows]:
    """Return the mean AUC of a class against the rest, and the influence of each test row on the mean."""
    probabilities: dict[float, Rows] = {}
    if len(labels) > MOST_WITHOUT_STOPPING:
        # Trees hold out rows of each class for early stopping, which needs two rows.
        _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        train, labels = train[counts[index] > 1], labels[counts[index] > 1]
    if len(np.unique(labels)) > 1:
        # They hold out a tenth of the rows, at least one of each class.
        stops = "auto" if 10 * len(np.unique(labels)) <= len(labels) else False
        trees = ensemble.HistGradientBoostingClassifier(
            categorical_features=is_category, random_state=seed, early_stopping=stops
        )
        fit_trees(trees, train, labels)
        probabilities = dict(zip(trees.classes_.tolist(), trees.predict_proba(test).T, strict=True))
    classes = np.unique(truth).tolist()
    results = [_area(probabilities.get(label, np.zeros(len(test))), truth == label) for label in classes]
    areas, influences = zip(*results, strict=True)
    return float(np.mean(areas)), np.mean(influences, axis=0)


def _area(scores: Rows, is_positive: NDArray[np.bool_]) -> tuple[float, Rows]:
    """Return the area under the ROC curve, and the influence of each row on it (DeLong et al. 1988)."""
    positive, negative = scores[is_positive], scores[~is_positive]
    distinguished = np.empty(len(scores))  # the fraction of the other side from which a row is distinguished correctly
    distinguished[is_positive] = placements(positive, negative)
    distinguished[~is_positive] = 1 - placements(negative, positive)
    area, fraction = distinguished[is_positive].mean(), is_positive.mean()
    return float(area), (distinguished - area) / np.where(is_positive, fraction, 1 - fraction)


def _number_utility(
    train: Rows, labels: Rows, test: Rows, truth: Rows, is_category: NDArray[np.bool_], seed: int
) -> tuple[float, Rows]:
    """Return R², and the influence of each test row on it."""
    trees = ensemble.HistGradientBoostingRegressor(categorical_features=is_category, random_state=seed)
    fit_trees(trees, train, labels)
    residuals, deviations = (trees.predict(test) - truth) ** 2, (truth - truth.mean()) ** 2
    ratio = residuals.mean() / deviations.mean()
    return float(1 - ratio), (ratio * deviations - residuals) / deviations.mean()
