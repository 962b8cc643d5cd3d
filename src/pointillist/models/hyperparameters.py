"""Hyperparameters of a model: their defaults, which values are allowed, and which of them decide the network."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pointillist.arguments import RandomState, is_number, is_whole
from pointillist.columns.table_encoder import MISSING
from pointillist.columns.table_scaling import SCALINGS
from pointillist.diffusion.losses import NOISE_LEVELS
from pointillist.diffusion.networks import NETWORKS
from pointillist.diffusion.parameterisations import PREDICTIONS, WEIGHTINGS
from pointillist.diffusion.samplers import VARIANCES
from pointillist.diffusion.schedules import SCHEDULES
from pointillist.engine.recipes import PRECISIONS, AnyObjective, Method

LIMITS = {
    "timesteps": 100_000, "width": 65_536, "depth": 1_000, "frequencies": 16, "time_embedding": 65_536,
    "class_embedding": 65_536,
}  # fmt: skip
"""Upper limits beyond any real model, so that a false claim of a file cannot exhaust memory."""

DECIDING = (
    "timesteps", "schedule", "beta_start", "beta_end", "scaling", "network", "prediction",
    "width", "depth", "frequencies", "time_embedding", "class_embedding", "p_uncond", "p_given", "process",
)  # fmt: skip
"""Parameters of which a fitted model keeps the values, whatever they are set to later."""

OF_GAUSSIAN = (
    "timesteps", "schedule", "beta_start", "beta_end", "scaling", "network", "prediction", "weighting", "noise_levels",
    "time_embedding", "class_embedding", "p_given", "variance",
)  # fmt: skip
"""Parameters that masked diffusion does not use."""

PROCESSES = ("auto", "gaussian", "masked")
"""Kinds of diffusion: of numbers, or of tokens for tables of mixed columns; "auto" chooses one."""

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "schedule": tuple(SCHEDULES),
    "scaling": SCALINGS,
    "network": tuple(NETWORKS),
    "prediction": PREDICTIONS,
    "weighting": WEIGHTINGS,
    "noise_levels": NOISE_LEVELS,
    "variance": VARIANCES,
    "precision": PRECISIONS,
    "process": PROCESSES,
    "missing": MISSING,
}

PARTS, LEAST_ROWS = (8, 4, 2), 512
"""Numbers of parts of a large batch, which devices share, or one computes in turn; and fewest rows in a part."""


def parts_of(batch_size: int, width: int) -> int:
    """Returns the number of equal parts to cut a batch into: one if parts would be too little work to be worth it."""
    fitting = (n for n in PARTS if width >= 256 and batch_size % n == 0 and batch_size >= n * LEAST_ROWS)
    return next(fitting, 1)


@dataclass(kw_only=True, eq=False, repr=False)
class Hyperparameters:
    """What a user may choose for a model; `Diffusion` describes each of them."""

    timesteps: int = 200
    schedule: str = "cosine"
    beta_start: float = 1e-4
    beta_end: float = 0.02
    scaling: str | None = "standard"
    network: str = "residual"
    prediction: str = "edm"
    weighting: str = "uniform"
    noise_levels: str = "log-normal"
    width: int | None = None
    depth: int = 3
    frequencies: int | None = None
    time_embedding: int = 32
    class_embedding: int = 16
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    warmup: int = 200
    decay: bool = True
    averaging: float = 0.999
    gradient_clip: float | None = None
    precision: str = "float32"
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    warm_start: bool = False
    p_uncond: float = 0.2
    p_given: float = 0.2
    variance: str = "posterior"
    process: str = "auto"
    missing: str = "value"
    epsilon: float | None = None
    delta: float | None = None
    domain: dict[Any, Any] | None = None
    verbose: bool = False
    random_state: RandomState = None


DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Hyperparameters)}
"""Default values by name."""


def values_of(asked: Hyperparameters) -> dict[str, Any]:
    """Returns all values by name, in alphabetical order."""
    return {name: getattr(asked, name) for name in sorted(DEFAULTS)}


def asked_of_gaussian(asked: Hyperparameters) -> list[str]:
    """Returns the parameters that only Gaussian diffusion uses and that do not have their default values."""
    unused = unused_betas(asked)
    return [name for name in OF_GAUSSIAN if getattr(asked, name) != DEFAULTS[name] and name not in unused]


def unused_betas(asked: Hyperparameters) -> list[str]:
    """Returns the ends of the linear schedule that do not have their default values, if the schedule is another one."""
    names = () if asked.schedule == "linear" else ("beta_start", "beta_end")
    return [name for name in names if getattr(asked, name) != DEFAULTS[name]]


def deciding(asked: Hyperparameters, width: int, frequencies: int = 1) -> dict[str, Any]:
    """Returns the values that decide the network, with numbers in place of None."""
    values = {name: _plain(getattr(asked, name)) for name in DECIDING}
    if values["network"] == "mlp" or asked.epsilon is not None:
        values["p_given"] = 0.0
    return values | {"width": values["width"] or width, "frequencies": values["frequencies"] or frequencies}


def learning(asked: Hyperparameters, rate: float) -> dict[str, Any]:
    """Returns the values that a training plan holds as they are, with a learning rate in place of None."""
    return {
        "epochs": None if asked.epochs is None else int(asked.epochs),
        "learning_rate": rate if asked.learning_rate is None else float(asked.learning_rate),
        "warmup": int(asked.warmup),
        "decay": bool(asked.decay),
        "averaging": float(asked.averaging),
        "clip": np.inf if asked.gradient_clip is None else float(asked.gradient_clip),
    }


def training_method(asked: Hyperparameters, objective: AnyObjective, batch_size: int, parts: int = 1) -> Method:
    """Returns the training method for an objective; see `Method` for the parts of a batch."""
    return Method(
        objective,
        batch_size,
        is_averaged=bool(asked.averaging > 0),
        is_clipped=asked.gradient_clip is not None,
        precision=asked.precision,
        parts=parts,
    )


def check_hyperparameters(asked: Hyperparameters) -> None:
    """Raises a ValueError that names a parameter, if it cannot be used."""
    whole = {"timesteps": 1, "depth": 1, "n_iter_no_change": 1, "warmup": 0}
    whole |= {name: 1 for name in ("epochs", "width", "frequencies", "batch_size") if getattr(asked, name) is not None}
    for name, low in whole.items():
        value = getattr(asked, name)
        if not is_whole(value, low):
            raise ValueError(f"{name} must be an integer of at least {low}, not {value!r}")
    for name in ("time_embedding", "class_embedding"):
        value = getattr(asked, name)
        if not is_whole(value, 4) or value % 2:
            raise ValueError(f"{name} must be an even integer of at least 4, not {value!r}")
    for name in ("decay", "early_stopping", "warm_start"):
        if not isinstance(getattr(asked, name), bool | np.bool_):
            raise ValueError(f"{name} must be True or False, not {getattr(asked, name)!r}")
    if not isinstance(asked.verbose, bool | np.bool_ | int | np.integer):
        raise ValueError(f"verbose must be True, False or a number, not {asked.verbose!r}")
    for name, limit in LIMITS.items():
        if (getattr(asked, name) or 0) > limit:
            raise ValueError(f"{name} = {getattr(asked, name)} is beyond {limit}")
    for name, choices in _CHOICES.items():
        value = getattr(asked, name)
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    if asked.missing == "unknown" and asked.process == "gaussian":
        raise ValueError("missing='unknown' is for masked diffusion: leave process='gaussian' out")
    rate = () if asked.learning_rate is None else ("learning_rate",)
    for name in (*rate, "averaging", "p_uncond", "p_given", "validation_fraction", "beta_start", "beta_end"):
        if not is_number(getattr(asked, name)):
            raise ValueError(f"{name} must be a number, not {getattr(asked, name)!r}")
    if asked.learning_rate is not None and not 0 < asked.learning_rate <= 1:
        raise ValueError(f"learning_rate must be above 0 and at most 1, not {asked.learning_rate!r}")
    clip = asked.gradient_clip
    if clip is not None and not (is_number(clip) and clip > 0):
        raise ValueError(f"gradient_clip must be a number above 0 or None, not {clip!r}")
    for name in ("epsilon", "delta"):
        value = getattr(asked, name)
        if value is not None and not (is_number(value) and 0 < value < (1 if name == "delta" else np.inf)):
            limits = "above 0 and below 1" if name == "delta" else "above 0"
            raise ValueError(f"{name} must be a number {limits}, or None, not {value!r}")
    if asked.domain is not None and not isinstance(asked.domain, dict):
        raise ValueError(f"domain must map columns to ranges or values, not {asked.domain!r:.60}")
    if asked.epsilon is None and (asked.delta is not None or asked.domain is not None):
        raise ValueError("delta and domain are parts of a private fit: give epsilon too")
    if not 0 <= asked.averaging < 1:
        raise ValueError(f"averaging must be at least 0 and below 1, not {asked.averaging!r}")
    for name in ("p_uncond", "p_given"):
        if not 0 <= getattr(asked, name) <= 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {getattr(asked, name)!r}")
    if not 0 < asked.validation_fraction < 1:
        raise ValueError(f"validation_fraction must lie between 0 and 1, not {asked.validation_fraction!r}")


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


REPORT: dict[str, Any] = {
    "timesteps": 200,
    "schedule": "linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "scaling": "minmax",
    "network": "mlp",
    "prediction": "eps",
    "weighting": "uniform",
    "noise_levels": "uniform",
    "width": 128,
    "depth": 5,
    "time_embedding": 16,
    "epochs": 100,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "warmup": 0,
    "decay": False,
    "averaging": 0.0,
    "p_given": 0.0,
    "variance": "beta",
}
"""`Diffusion(**REPORT)` is the plain DDPM of the published study, whose sampler is "ancestral"."""
