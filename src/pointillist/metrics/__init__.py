"""Metrics of how much two sets of rows differ, each with its standard error.

Every metric takes the real rows first and the generated ones second, `metric(real, generated)`, as arrays of shape
`(n, d)` and `(m, d)`, and returns an `Estimate`: a float that also carries its standard error. Rows that cannot be
compared raise a `ValueError` in one line that names the argument, what is wrong and the way out. For two samples of one
distribution no metric is zero, except on average the energy distance. So read each score beside the metric's `floor`,
its real-data baseline: the value between two random halves of the data itself.

| metric | cost, n × m rows | sees | at its best |
|---|---|---|---|
| `emd` | subsamples of 250 rows | moved mass, in the unit of the columns | the floor, which is far from 0 |
| `report_nll` | n · m | gross misplacement only | the value of the data with itself |
| `energy_distance` | (n + m)² / 2 | any difference, global ones best | 0, and half the time below |
| `two_sample_test` | a few fits of a classifier | any difference, local ones best | 0.5 |
| `coverage` | (n + m) log in few columns | lost modes: data that no sample is near | `expected_coverage` |
| `spread` | n + m | samples that bunch up, or stray | 1 |
| `manifold_scores` | n · m, of at most 2,000 | samples unlike any data, apart from lost modes | the floor |
| `nearest_records` | about three times `coverage` | copies of data rows, if not moved far; also bunching | 0.5 |

The first four are in `METRICS`, for tables by name; the `floor` of `coverage` takes the function itself. Three tests
ask whether chance explains a difference; their p-values are uniform, or larger, for samples of one distribution:

| test | cost, n × m rows | sees |
|---|---|---|
| `energy_test` | (n + m)² for each of 999 permutations | any difference, as `energy_distance` |
| `column_differences` | n + m per column | differences of single columns, local ones too |
| `correlation_differences` | n + m for each of 999 permutations | pairs of columns whose correlations differ |

Five functions score predictions; their standard errors are over the draw of rows. The first two take a classifier's
probabilities `(n, classes)` and labels `(n,)`, the others distributions given by points `(n, m)` and values `(n,)`:

| metric | sees | at its best |
|---|---|---|
| `expected_calibration_error` | confidence that differs from the accuracy | 0, biased upwards |
| `log_loss` | probabilities that are not the true ones | the entropy of the labels given the rows |
| `crps` | distributions that are not the true ones | the score of the true distributions |
| `interval_coverage` | intervals that hold too few or too many values | the intervals' level |
| `pit` | distributions that are too wide, too narrow, or off to one side | uniform fractions |

Tables of mixed columns (numbers, categories, missing cells) are mappings of names to columns. `column_differences`,
`manifold_scores` and the following metrics take arrays and tables:

| metric | sees | at its best |
|---|---|---|
| `column_shapes` | differences of single columns | 1 |
| `pair_trends` | pairs of columns that depend on each other differently | 1 |
| `boosted_two_sample` | any difference that boosted trees find | 1, and an area under the curve of 0.5 |
| `utility` | what cannot be learned from the rows | the score of training on the data |
| `residual_spreads` | noise between columns that is too small or too large | 1 |
| `nearest_share` | copies of training rows | 0.5 |
| `copies` | rows equal to a data row in every cell | `duplicates`, the fraction of data rows with a duplicate |

The package needs NumPy, SciPy and scikit-learn, the latter two only once a metric is called.
"""

from pointillist.metrics.array_scores import emd, report_nll, spread
from pointillist.metrics.c2st import two_sample_test
from pointillist.metrics.column_differences import ColumnDifference, column_differences
from pointillist.metrics.correlations import CorrelationDifferences, correlation_differences
from pointillist.metrics.energy import EnergyTest, energy_distance, energy_test
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.manifolds import ManifoldScores, coverage, expected_coverage, manifold_scores
from pointillist.metrics.mixed import PairTrend, PairTrends, column_shapes, pair_trends
from pointillist.metrics.mixed_models import BoostedTwoSample, Utility, boosted_two_sample, utility
from pointillist.metrics.nearest import Copies, NearestRecords, NearestShare, copies, nearest_records, nearest_share
from pointillist.metrics.predictions import crps, expected_calibration_error, interval_coverage, log_loss, pit
from pointillist.metrics.registry import MEASURES, METRICS, Floor, Measure, Metric, floor
from pointillist.metrics.residuals import ResidualSpread, residual_spreads

__all__ = [
    "MEASURES",
    "METRICS",
    "BoostedTwoSample",
    "ColumnDifference",
    "Copies",
    "CorrelationDifferences",
    "EnergyTest",
    "Estimate",
    "Floor",
    "ManifoldScores",
    "Measure",
    "Metric",
    "NearestRecords",
    "NearestShare",
    "PairTrend",
    "PairTrends",
    "ResidualSpread",
    "Utility",
    "boosted_two_sample",
    "column_differences",
    "column_shapes",
    "copies",
    "correlation_differences",
    "coverage",
    "crps",
    "emd",
    "energy_distance",
    "energy_test",
    "expected_calibration_error",
    "expected_coverage",
    "floor",
    "interval_coverage",
    "log_loss",
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
