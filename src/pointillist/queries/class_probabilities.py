"""The probabilities of the classes of rows, by a model that has the labels as a token."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.diffusion.tokens.mixed_likelihood import TokenProbabilities
from pointillist.engine.mapping import map_rows
from pointillist.models.process import Learned
from pointillist.tables.frames import aligned


def class_probabilities(model: Learned, X: Any) -> Float[np.ndarray, "n classes"]:
    """Computes the probability of each class given the other cells of a row, for models with a label token.

    Unlike in `Conditional`, missing cells are observed if the model has a value for them, and unknown categories count
    as unobserved. X may lack the label column; a ValueError in one line says which other column it lacks, or does not
    fit.
    """
    codec, classes = model.codec, model.classes
    assert classes is not None and classes.column is not None
    label = classes.column[0]
    unread = [label] if label in codec.layout.column_names else []
    table = aligned(X, codec.layout, absent=unread, unread=unread)
    rows = codec.encode_table(table, unread, are_missing_observed=True)
    denoiser = model.process.token_denoiser(model, codec.is_missing_value)
    token = codec.encoding.token_index(label)
    assert token is not None
    is_target = np.zeros(len(codec.encoding.with_number), bool)
    log_p = map_rows(TokenProbabilities(denoiser, is_target, token), rows.astype(np.float32))
    return np.exp(log_p.astype(np.float64))
