"""Missing cells filled by MissForest, miceforest or HyperImpute; run by a Python that has them.

`missforest`: chained random forests (Stekhoven & Bühlmann 2012, Bioinformatics 28), of 100 trees of scikit-learn and up
to ten rounds; draws differ by the forests' seed alone. `miceforest`: multiple imputation by chained equations with
LightGBM and predictive mean matching, with its defaults and five rounds; where that fails, as it does with categories
of a few rows that get a probability of 0, with its "fast" matching. `hyperimpute`: chained models that are chosen by
column (Jarrett et al. 2022, arXiv 2206.07769), with its defaults; draws differ by the seed alone.

The table comes as Parquet: categories as text, numbers as floats. Filled tables go out as Parquet, one below the other.
"""

import argparse
import json
import time
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd


def missforest(gaps: pd.DataFrame, categories: list[str], n_draws: int, seed: int) -> list[pd.DataFrame]:
    """Chained random forests."""
    known = {column: pd.Index(sorted(gaps[column].dropna().unique())) for column in categories}
    coded = gaps.assign(**{column: own.get_indexer(gaps[column]) for column, own in known.items()}).astype(float)
    is_category, is_missing = np.isin(gaps.columns, categories), gaps.isna().to_numpy()
    drawn = [filled_by_forests(coded.to_numpy(), is_missing, is_category, seed + draw) for draw in range(n_draws)]
    tables = [pd.DataFrame(own, columns=gaps.columns) for own in drawn]
    return [own.assign(**{name: of[own[name].astype(int)] for name, of in known.items()}) for own in tables]


def filled_by_forests(X: np.ndarray, is_missing: np.ndarray, is_category: np.ndarray, seed: int) -> np.ndarray:
    """Fills numbers and codes of categories, by algorithm 1 there; it ends before the first round that changes more."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    X = X.copy()
    for j in range(X.shape[1]):
        observed = X[~is_missing[:, j], j]
        X[is_missing[:, j], j] = np.bincount(observed.astype(int)).argmax() if is_category[j] else observed.mean()
    last, change = X, [np.inf, np.inf]
    for round_ in range(10):
        new = last.copy()
        for j in np.argsort(is_missing.sum(axis=0), kind="stable"):
            gone = is_missing[:, j]
            if gone.any():
                kind = RandomForestClassifier if is_category[j] else RandomForestRegressor
                forest = kind(n_estimators=100, n_jobs=-1, random_state=seed * 100 + round_)
                others = np.delete(new, j, axis=1)
                new[gone, j] = forest.fit(others[~gone], new[~gone, j]).predict(others[gone])
        before = change
        change = [
            ((new - last)[:, ~is_category] ** 2).sum() / max((new[:, ~is_category] ** 2).sum(), 1e-30),
            (new != last)[:, is_category].sum() / max(is_missing[:, is_category].sum(), 1),
        ]
        kinds = [kind for kind, some in enumerate((~is_category, is_category)) if is_missing[:, some].any()]
        if all(change[kind] > before[kind] for kind in kinds):
            return last
        last = new
    return last


def miceforest(gaps: pd.DataFrame, categories: list[str], n_draws: int, seed: int) -> list[pd.DataFrame]:
    """Multiple imputation by miceforest."""
    from miceforest import ImputationKernel

    typed = gaps.astype(dict.fromkeys(categories, "category"))

    def draws(strategy: str) -> list[pd.DataFrame]:
        kernel = ImputationKernel(typed, n_draws, mean_match_strategy=strategy, random_state=seed)
        kernel.mice(5)
        return [kernel.complete_data(draw) for draw in range(n_draws)]

    try:
        return draws("normal")
    except ValueError as error:
        if "must be finite" not in str(error):
            raise
        print("miceforest failed, and now matches fast")
        return draws("fast")


def hyperimpute(gaps: pd.DataFrame, categories: list[str], n_draws: int, seed: int) -> list[pd.DataFrame]:
    """Chained models, chosen by HyperImpute; categories are codes, up to five of them predicted as classes."""
    from hyperimpute.plugins.imputers import Imputers

    known = {column: pd.Index(sorted(gaps[column].dropna().unique())) for column in categories}
    codes = {column: pd.Series(own.get_indexer(gaps[column]), dtype=float) for column, own in known.items()}
    coded = gaps.assign(**{column: own.where(gaps[column].notna()) for column, own in codes.items()})
    imputers = [Imputers().get("hyperimpute", random_state=seed + draw) for draw in range(n_draws)]
    tables = [imputer.fit_transform(coded) for imputer in imputers]
    return [own.assign(**{name: of[own[name].round().astype(int)] for name, of in known.items()}) for own in tables]


METHODS = {"missforest": missforest, "miceforest": miceforest, "hyperimpute": hyperimpute}


def main() -> None:
    """Reads a table with gaps, writes filled ones; prints the seconds and the version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=list(METHODS))
    parser.add_argument("gaps")
    parser.add_argument("out")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    gaps = pd.read_parquet(options.gaps)
    categories = [column for column in gaps if not pd.api.types.is_numeric_dtype(gaps[column])]
    start = time.perf_counter()
    filled = METHODS[options.method](gaps, categories, options.draws, options.seed)
    seconds = time.perf_counter() - start
    pd.concat(filled).astype(dict.fromkeys(categories, str)).to_parquet(options.out, index=False)
    package = {"missforest": "scikit-learn"}.get(options.method, options.method)
    print(json.dumps({"seconds": seconds, "version": f"{package} {version(package)}"}))


if __name__ == "__main__":
    main()
