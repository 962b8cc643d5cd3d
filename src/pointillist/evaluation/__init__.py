"""Is this set of rows like that one? Every metric and test that answers, in one object with a one-line verdict.

`evaluate` measures frames and arrays of any columns, by `evaluate_numbers` or `evaluate_mixed`; `print_evaluation` and
`print_mixed_evaluation` print tables, `draw_evaluation` draws the columns. Nothing here needs JAX; heavy libraries are
imported once a function is called.
"""

from pointillist.evaluation.comparison import evaluate
from pointillist.evaluation.evaluation import Evaluation, evaluate_numbers
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
    "evaluate_numbers",
    "print_evaluation",
    "print_mixed_evaluation",
]
