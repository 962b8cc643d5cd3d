"""How well boosted trees tell generated rows from training rows; run in the peers' Python.

The score is that of SDMetrics' detection metrics, with XGBoost's classifier in place of a logistic regression, as
Scassola et al. 2026 (arXiv 2603.23016) compare models of tables: categories as one-hot columns, three stratified folds,
1 - 2 max(0, AUC - 1/2), averaged. 1 is indistinguishable. It reads two CSV files and the names of the columns of
categories, and prints the score.
"""

import json
import sys

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from xgboost import XGBClassifier


def score(real: pd.DataFrame, rows: pd.DataFrame, categories: list[str]) -> float:
    """Computes the score; sides of unequal size are cut to the smaller one's."""
    n = min(len(real), len(rows))
    both = pd.concat([real[:n], rows[:n]], ignore_index=True)
    features = pd.get_dummies(both, columns=categories, dtype=np.float64).to_numpy(np.float64)
    is_real = np.repeat([1, 0], n)
    found = []
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(features, is_real):
        trees = XGBClassifier(n_jobs=2).fit(features[train], is_real[train])
        area = roc_auc_score(is_real[test], trees.predict_proba(features[test])[:, 1])
        found.append(1 - 2 * max(0.0, area - 0.5))
    return float(np.mean(found))


if __name__ == "__main__":
    real, rows = (pd.read_csv(path) for path in sys.argv[1:3])
    print(json.dumps(score(real, rows, sys.argv[3:])))
