"""Moves a private model until its columns are distributed as they were counted, with noise, before training.

The noise of training adds up to errors in single columns that are larger than those of the counts. Nothing here sees a
row of the table, so nothing here costs privacy.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from pointillist.diffusion.tokens.token_sampling import TokenSampler
from pointillist.engine.private_training import with_bias
from pointillist.engine.sampling import sample_rows
from pointillist.models.masked import masked_of
from pointillist.models.row_model import RowModel

ROUNDS, DRAWN = 4, 8192
"""How often rows are drawn and compared, and how many."""

_SEED = 3_141_592_653
"""The first seed, which nobody will draw by: those rows agree with the counts better than others."""


def with_counted_columns(model: RowModel, logits: Float[np.ndarray, " slots"]) -> RowModel:
    """Moves the biases of a model of tokens by log ratios of counted shares, exp(logits), to drawn ones, some times."""
    process = masked_of(model)
    tokens = process.architecture.tokens
    for i in range(ROUNDS):
        drawn = sample_rows(
            process.token_denoiser(model),
            TokenSampler(),
            columns=model.codec.width,
            n_rows=DRAWN,
            seed=_SEED + i,
        )
        slots = (np.floor(drawn) + tokens.starts).astype(np.int64)
        shares = np.bincount(slots.ravel(), minlength=tokens.n_slots) / DRAWN
        # A value that no row has is not moved much further than to that of one row.
        moved = np.log(np.exp(logits) + 1 / DRAWN) - np.log(shares + 1 / DRAWN)
        bias = (np.asarray(model.network.output.bias) + moved).astype(np.float32)
        model = replace(model, network=with_bias(model.network, bias))
    return model
