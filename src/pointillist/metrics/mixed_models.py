"""Boosted trees on mixed tables: whether they distinguish rows from data, and what they learn from each."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics.c2st import VARIANCE_INFLATION, check_folds, draw_seed
from pointillist.metrics.checks import Seed
from pointillist.metrics.distances import Rows
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.mixed_tables import TableLike, check_tables, count_rows, encode

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
        from scipy.stats import norm

        return float(norm.sf((self.auc - 0.5) / self.auc.null_standard_error))


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


def boosted_two_sample(
    real: TableLike, generated: TableLike, *, max_rows: int = 16_000, n_splits: int = 5, random_state: Seed = 0
) -> BoostedTwoSample:
    """Measure how well boosted trees distinguish generated from real rows, on rows held out from their training.

    The trees are scikit-learn's `HistGradientBoostingClassifier`, 100 of them; it takes categories and missing cells as
    they are. More rows train better trees: compare scores only at the same number of rows. (Lopez-Paz & Oquab 2017,
    arXiv 1610.06545, with the area under the curve for the accuracy; the score is that of SDMetrics'
    detection metrics.)

    Args:
        real: n rows: an array, or a table with the same columns. If a column has more than 254 categories, the rarest
            over both sides count as one.
        generated: m rows.
        max_rows: Most rows taken from each side, and never more than the smaller side has.
        n_splits: Number of shuffled stratified folds, at least 2.
        random_state: Seed of the subsamples, the folds and the trees.

    Returns:
        Score and AUC, the means over the folds. The standard error is that of a mean over folds, with `n_splits` − 1
        degrees of freedom; `null_standard_error` is for an AUC of 0.5, by the variance of the Mann-Whitney statistic.
        Both are √(1 + 2/π) times those of independent folds, as in `two_sample_test`: 0.8 to 1.0 times the true error
        in simulations with one distribution.

    Raises:
        ValueError: If there are fewer rows than folds.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> rows, data = ({"x": rng.normal(size=200), "c": rng.choice(np.array(["a", "b"], object), 200)} for _ in "12")
        >>> print(f"{boosted_two_sample(data, rows).auc:.2f}")
        0.47
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    data, rows = check_tables(real=real, generated=generated)
    n = min(count_rows(rows), count_rows(data), max_rows)
    check_folds(n_splits, n)
    rng = np.random.default_rng(random_state)
    sides, is_category = encode(rows, data, max_categories=MAX_CATEGORIES)
    features = np.concatenate([side[rng.permutation(len(side))[:n]] for side in sides])
    labels = np.repeat([1, 0], n)
    folds = StratifiedKFold(n_splits, shuffle=True, random_state=draw_seed(rng))
    trees = HistGradientBoostingClassifier(
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
        method; for an AUC, DeLong et al. 1988). That of the difference allows for both scores being of the same rows.

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
        raise ValueError(f"target={target!r} is the only column: there is none to predict it from")
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


def on_one_thread() -> AbstractContextManager[Any]:
    """Run trees on one thread: several would wait for each other, for long if other work uses the cores."""
    import sklearn.ensemble  # noqa: F401 - only libraries that are loaded are limited
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="openmp")


def fit_trees(trees: Any, features: Rows, labels: NDArray[Any]) -> None:
    """Fit scikit-learn's boosted trees, even if a column has no values."""
    has_values = ~np.isnan(features).all(axis=0)
    trees.fit(np.where(has_values, features, 0.0), labels)  # of a column without values they cannot make bins


def _error(influence: Rows) -> float:
    return float(influence.std(ddof=1)) / math.sqrt(len(influence))


def _class_utility(
    train: Rows, labels: Rows, test: Rows, truth: Rows, is_category: NDArray[np.bool_], seed: int
) -> tuple[float, Rows]:
    """Mean AUC of a class against the rest, and the influence of each test row on it."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    probabilities: dict[float, Rows] = {}
    if len(labels) > MOST_WITHOUT_STOPPING:
        # Trees hold out rows of each class, and of a class of one row they cannot.
        _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        train, labels = train[counts[index] > 1], labels[counts[index] > 1]
    if len(np.unique(labels)) > 1:
        # It holds out a tenth of the rows, at least one of each class.
        stops = "auto" if 10 * len(np.unique(labels)) <= len(labels) else False
        trees = HistGradientBoostingClassifier(
            categorical_features=is_category, random_state=seed, early_stopping=stops
        )
        fit_trees(trees, train, labels)
        probabilities = dict(zip(trees.classes_.tolist(), trees.predict_proba(test).T, strict=True))
    results = [
        _area(probabilities.get(label, np.zeros(len(test))), truth == label) for label in np.unique(truth).tolist()
    ]
    return float(np.mean([area for area, _ in results])), np.mean([influence for _, influence in results], axis=0)


def _area(scores: Rows, is_positive: NDArray[np.bool_]) -> tuple[float, Rows]:
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    placements = np.empty(len(scores))  # the fraction of the other side that a row is on the right side of
    for side in (is_positive, ~is_positive):
        placements[side] = (ranks[side] - rankdata(scores[side])) / np.count_nonzero(~side)
    placements[~is_positive] = 1 - placements[~is_positive]
    area, share = placements[is_positive].mean(), is_positive.mean()
    return float(area), (placements - area) / np.where(is_positive, share, 1 - share)


def _number_utility(
    train: Rows, labels: Rows, test: Rows, truth: Rows, is_category: NDArray[np.bool_], seed: int
) -> tuple[float, Rows]:
    """R², and the influence of each test row on it."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(categorical_features=is_category, random_state=seed)
    fit_trees(trees, train, labels)
    residuals, deviations = (trees.predict(test) - truth) ** 2, (truth - truth.mean()) ** 2
    ratio = residuals.mean() / deviations.mean()
    return float(1 - ratio), (ratio * deviations - residuals) / deviations.mean()
