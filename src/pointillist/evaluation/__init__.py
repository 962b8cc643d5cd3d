"""Is this set of rows like that one? Every metric and test that answers, in one object with a one-line verdict.

`evaluate` measures, `print_evaluation` prints tables, `draw_evaluation` draws the columns. The room needs
the metrics only, not JAX; heavy libraries are imported once a function is called.
"""

from pointillist.evaluation.evaluation import Evaluation, evaluate
from pointillist.evaluation.figure import draw_evaluation
from pointillist.evaluation.report import print_evaluation

__all__ = ["Evaluation", "draw_evaluation", "evaluate", "print_evaluation"]
