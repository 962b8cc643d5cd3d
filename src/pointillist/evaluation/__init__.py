"""Is this set of rows like that one? Every metric and test that answers, in one object with a one-line verdict.

`evaluate` measures, `print_evaluation` prints tables, `draw_evaluation` draws the columns; `evaluate_mixed` and
`print_mixed_evaluation` do it for tables of mixed columns. The room needs the metrics only, not JAX; heavy libraries
are imported once a function is called.
"""

from pointillist.evaluation.evaluation import Evaluation, evaluate
from pointillist.evaluation.figure import draw_evaluation
from pointillist.evaluation.mixed import MixedEvaluation, MixedScores, evaluate_mixed
from pointillist.evaluation.mixed_report import print_mixed_evaluation
from pointillist.evaluation.report import print_evaluation

__all__ = [
    "Evaluation",
    "MixedEvaluation",
    "MixedScores",
    "draw_evaluation",
    "evaluate",
    "evaluate_mixed",
    "print_evaluation",
    "print_mixed_evaluation",
]
