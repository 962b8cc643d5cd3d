"""Makes the distribution of some columns given the others, by a model of either kind."""

from typing import Any

from pointillist.models.number_codec import NumberCodec
from pointillist.models.process import Learned
from pointillist.queries.conditional import Conditional
from pointillist.queries.label_conditional import LabelConditional
from pointillist.queries.number_conditional import NumberConditional
from pointillist.queries.token_conditional import TokenConditional


def conditional_of(model: Learned, target: Any, labels: Any = None) -> Conditional:
    """Returns the distribution of one column, or of several, given the others; see `Conditional` for the arguments.

    Raises:
        ValueError: In one line, if there is no such column, or no cells can be given to the model.
    """
    if hasattr(target, "tolist"):
        target = target.tolist()
    if not isinstance(model.codec, NumberCodec):
        return TokenConditional(model, target, labels)
    own = None if model.classes is None else model.classes.name_beside(model.codec.names or ())
    if own is not None and own in (target if isinstance(target, list) else [target]):
        return LabelConditional(model, target, labels)
    return NumberConditional(model, target, labels)
