"""Metrics of how much two sets of rows differ, each with its standard error.

Every metric takes the real rows first, `metric(real, generated)`, as arrays of shape `(n, d)` and `(m, d)` or, if it
says so, as tables: data frames, or columns by name. It returns an `Estimate`, a float with a standard error. Rows that
cannot be compared raise a `ValueError` in one line. For two samples of one distribution, only the energy distance is
zero on average, so compare each score with its `baseline`: the value between two random halves of the data.
"""

from pointillist.metrics.array_scores import emd, report_nll, spread
from pointillist.metrics.classifiers import BoostedTwoSample, Utility, boosted_two_sample, two_sample_test, utility
from pointillist.metrics.column_differences import ColumnDifference, column_differences
from pointillist.metrics.correlations import CorrelationTest, correlation_test
from pointillist.metrics.energy import energy_distance
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.manifolds import ManifoldScores, coverage, manifold_scores
from pointillist.metrics.mixed import PairTrend, PairTrends, column_shapes, pair_trends
from pointillist.metrics.nearest import Copies, NearestRecords, NearestShare, copies, nearest_records, nearest_share
from pointillist.metrics.predictions import crps, interval_coverage, pit
from pointillist.metrics.registry import MEASURES, METRICS, Baseline, Measure, Metric, baseline
from pointillist.metrics.residuals import ResidualSpread, residual_spreads

__all__ = [
    "MEASURES",
    "METRICS",
    "Baseline",
    "BoostedTwoSample",
    "ColumnDifference",
    "Copies",
    "CorrelationTest",
    "Estimate",
    "ManifoldScores",
    "Measure",
    "Metric",
    "NearestRecords",
    "NearestShare",
    "PairTrend",
    "PairTrends",
    "ResidualSpread",
    "Utility",
    "baseline",
    "boosted_two_sample",
    "column_differences",
    "column_shapes",
    "copies",
    "correlation_test",
    "coverage",
    "crps",
    "emd",
    "energy_distance",
    "interval_coverage",
    "manifold_scores",
    "nearest_records",
    "nearest_share",
    "pair_trends",
    "pit",
    "report_nll",
    "residual_spreads",
    "spread",
    "two_sample_test",
    "utility",
]
