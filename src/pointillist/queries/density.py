"""Log-densities of rows."""

import numpy as np
from jaxtyping import Float

from pointillist.engine.mapping import LogDensity, map_rows
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.number_codec import NumberCodec
from pointillist.models.process import Learned
from pointillist.queries.mixed_density import joint_log_density
from pointillist.tables.table import Table


def numbers_only(model: Learned, what: str) -> tuple[NumberCodec, GaussianProcess]:
    """Returns codec and process of a model of numbers.

    Raises:
        ValueError: If the model is of tokens; `what` says what cannot be had of it.
    """
    if not isinstance(model.codec, NumberCodec) or not isinstance(model.process, GaussianProcess):
        raise ValueError(
            f"{what} for models of numbers, and this one is of tokens: fit numbers with process='gaussian'"
        )
    return model.codec, model.process


def log_density(model: Learned, rows: Float[np.ndarray, "n d"] | Table) -> Float[np.ndarray, " n"]:
    """Computes log p(x) of rows in nats, in the units of the table; see `Diffusion.score_samples`.

    Args:
        model: The model.
        rows: Rows of numbers, or for a model of tokens a table with its columns.

    Raises:
        ValueError: If the model has no density, or not that of all classes together.
    """
    if isinstance(rows, Table):
        return joint_log_density(model, rows)
    codec, process = numbers_only(model, "log-densities of arrays are")
    if model.classes is not None and process.p_uncond == 0:
        raise ValueError(
            "the density is that of all classes together, and this model was never trained without labels: fit it "
            "with p_uncond above 0"
        )
    process.check_noise_levels("a density")
    repeating = codec.scaling.repeating
    if len(repeating):
        names = codec.names or range(codec.n_columns)
        raise ValueError(
            f"column {names[repeating[0]]!r} holds a value so often that it has no density there under "
            "scaling='quantile': fit with scaling='minmax'"
        )
    slope = codec.scaling.log_slope(rows)
    return map_rows(LogDensity(process.denoiser(model.network)), codec.encode(rows)).astype(np.float64) + slope
