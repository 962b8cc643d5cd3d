"""Compares two sets of rows, generated and real, and sums all measures and tests up in a verdict.

`evaluate` compares frames and arrays of any columns, `print_evaluation` prints tables of the result, and
`draw_evaluation` draws the columns. Nothing here needs JAX; heavy libraries are imported once a function is called.
"""

from pointillist.evaluation.evaluation import Evaluation, evaluate
from pointillist.evaluation.figure import draw_evaluation
from pointillist.evaluation.scores import NumberMeasures, Scores
from pointillist.evaluation.tables import print_evaluation

__all__ = [
    "Evaluation",
    "NumberMeasures",
    "Scores",
    "draw_evaluation",
    "evaluate",
    "print_evaluation",
]
