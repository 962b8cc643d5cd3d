"""Compares two sets of rows, generated and real, and sums all measures and tests up in a verdict.

`evaluate` compares frames and arrays of any columns, `print_evaluation` prints tables of the result, and
`draw_evaluation` draws the columns; `calibration` measures predicted
distributions of a number. Nothing here needs JAX; heavy libraries are imported once a function is called.
"""

from pointillist.evaluation.calibration import Calibration, calibration
from pointillist.evaluation.evaluation import Evaluation, evaluate
from pointillist.evaluation.figure import draw_evaluation
from pointillist.evaluation.scores import NumberMeasures, Scores
from pointillist.evaluation.tables import print_evaluation

__all__ = [
    "Calibration",
    "Evaluation",
    "NumberMeasures",
    "Scores",
    "calibration",
    "draw_evaluation",
    "evaluate",
    "print_evaluation",
]
