"""Makes the distribution of some columns given the others, by a model of either kind."""

from typing import Any

from pointillist.models.classes import check_no_label
from pointillist.models.conditional import Conditional
from pointillist.models.number_conditional import NumberConditional
from pointillist.models.process import Learned
from pointillist.models.token_conditional import TokenConditional
from pointillist.points.number_codec import NumberCodec


def conditional_of(model: Learned, target: Any, labels: Any = None) -> Conditional:
    """Returns the distribution of one column, or of several, given the others; see `Conditional` for the arguments.

    Raises:
        ValueError: In one line, if there is no such column, or no cells can be given to the model.
    """
    if not isinstance(model.codec, NumberCodec):
        return TokenConditional(model, target, labels)
    for name in target if isinstance(target, list) else [target]:
        check_no_label(model.classes, name, "DiffusionClassifier predicts them")
    return NumberConditional(model, target, labels)
