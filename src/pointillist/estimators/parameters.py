"""Parameters of `Diffusion`: which values are allowed, and which parameters decide the network."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.diffusion.losses import NOISE_LEVELS, Objective
from pointillist.diffusion.networks import NETWORKS
from pointillist.diffusion.parameterisations import PREDICTIONS, WEIGHTINGS
from pointillist.diffusion.schedules import SCHEDULES, Schedule, linear, prior_kl
from pointillist.engine.recipes import PRECISIONS, Architecture, Method
from pointillist.estimators.inputs import is_number, is_whole
from pointillist.points import SCALINGS

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

LIMITS = {"timesteps": 100_000, "width": 65_536, "depth": 1_000, "time_embedding": 65_536, "class_embedding": 65_536}
"""Upper limits beyond any real model, so that a false claim of a file cannot exhaust memory."""

PRIOR_KL = 0.01
"""Most nats per column of signal left at T that are not worth a warning."""

DECIDING = (
    "timesteps", "schedule", "beta_start", "beta_end", "scaling", "network", "prediction",
    "width", "depth", "time_embedding", "class_embedding", "p_uncond", "process",
)  # fmt: skip
"""Parameters of which a fitted model keeps the values, whatever they are set to later."""

PROCESSES = ("auto", "gaussian", "masked")
"""Kinds of diffusion: of numbers, or of tokens for tables of mixed columns; "auto" chooses one."""

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "schedule": tuple(SCHEDULES),
    "scaling": SCALINGS,
    "network": tuple(NETWORKS),
    "prediction": PREDICTIONS,
    "weighting": WEIGHTINGS,
    "noise_levels": NOISE_LEVELS,
    "variance": ("posterior", "beta"),
    "precision": PRECISIONS,
    "process": PROCESSES,
}


WIDTH, WIDTH_MIXED = 96, 256
BATCH_SIZE, BATCH_SIZE_MIXED = 64, 256
"""Values that None stands for, in models of numbers and of mixed columns; the mixed batch size may be smaller."""


def deciding(model: "DiffusionModel", *, is_mixed: bool = False) -> dict[str, Any]:
    """Returns the current values of the parameters that decide the network, with a width in place of None."""
    asked = {name: _plain(getattr(model, name)) for name in DECIDING}
    return asked | {"width": asked["width"] or (WIDTH_MIXED if is_mixed else WIDTH)}


def learning(model: "DiffusionModel") -> dict[str, Any]:
    """Returns those of a model's parameters that a training plan holds as they are."""
    return {
        "epochs": None if model.epochs is None else int(model.epochs),
        "learning_rate": float(model.learning_rate),
        "warmup": int(model.warmup),
        "decay": bool(model.decay),
        "averaging": float(model.averaging),
        "clip": np.inf if model.gradient_clip is None else float(model.gradient_clip),
    }


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
    "variance": "beta",
}
"""`Diffusion(**REPORT)` is the plain DDPM of the published study, whose sampler is "ancestral"."""


def check_parameters(model: "DiffusionModel") -> None:
    """Raises a ValueError that names a parameter, if it cannot be used."""
    whole = {"timesteps": 1, "depth": 1, "n_iter_no_change": 1, "warmup": 0}
    whole |= {name: 1 for name in ("epochs", "width", "batch_size") if getattr(model, name) is not None}
    for name, low in whole.items():
        value = getattr(model, name)
        if not is_whole(value, low):
            raise ValueError(f"{name} must be an integer of at least {low}, not {value!r}")
    for name in ("time_embedding", "class_embedding"):
        value = getattr(model, name)
        if not is_whole(value, 4) or value % 2:
            raise ValueError(f"{name} must be an even integer of at least 4, not {value!r}")
    for name in ("decay", "early_stopping", "warm_start"):
        if not isinstance(getattr(model, name), bool | np.bool_):
            raise ValueError(f"{name} must be True or False, not {getattr(model, name)!r}")
    if not isinstance(model.verbose, bool | np.bool_ | int | np.integer):
        raise ValueError(f"verbose must be True, False or a number, not {model.verbose!r}")
    for name, limit in LIMITS.items():
        if (getattr(model, name) or 0) > limit:
            raise ValueError(f"{name} = {getattr(model, name)} is beyond {limit}")
    for name, choices in _CHOICES.items():
        value = getattr(model, name)
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    for name in ("learning_rate", "averaging", "p_uncond", "validation_fraction", "beta_start", "beta_end"):
        if not is_number(getattr(model, name)):
            raise ValueError(f"{name} must be a number, not {getattr(model, name)!r}")
    if not 0 < model.learning_rate <= 1:
        raise ValueError(f"learning_rate must be above 0 and at most 1, not {model.learning_rate!r}")
    clip = model.gradient_clip
    if clip is not None and not (is_number(clip) and clip > 0):
        raise ValueError(f"gradient_clip must be a number above 0 or None, not {clip!r}")
    if not 0 <= model.averaging < 1:
        raise ValueError(f"averaging must be at least 0 and below 1, not {model.averaging!r}")
    if not 0 <= model.p_uncond <= 1:
        raise ValueError(f"p_uncond must lie between 0 and 1, not {model.p_uncond!r}")
    if not 0 < model.validation_fraction < 1:
        raise ValueError(f"validation_fraction must lie between 0 and 1, not {model.validation_fraction!r}")


def noise_schedule(parameters: dict[str, Any]) -> Schedule:
    """Returns the noise schedule that the parameters name."""
    if parameters["schedule"] == "linear":
        return linear(parameters["timesteps"], parameters["beta_start"], parameters["beta_end"])
    return SCHEDULES[parameters["schedule"]](parameters["timesteps"])


def warn_of_prior(schedule: Schedule, rows: np.ndarray) -> None:
    """Warns if the schedule leaves signal at T, since samplers start from N(0, I), which has none.

    Args:
        schedule: The noise schedule.
        rows: Some rows of the data, scaled as the model sees them, shape (m, k).
    """
    kl = prior_kl(schedule, rows) / rows.shape[1]
    if kl > PRIOR_KL:
        warnings.warn(
            f"the noise schedule leaves signal in the prior: KL(q(x_T) ‖ N(0, I)) is {kl:.2g} nats per column, above "
            f"{PRIOR_KL}, and samplers start from N(0, I); take schedule='cosine', more timesteps or a larger beta_end",
            UserWarning,
            stacklevel=5,
        )


def architecture(parameters: dict[str, Any], n_classes: int) -> Architecture:
    """Returns the architecture that the parameters describe, for a number of classes."""
    return Architecture(
        network=parameters["network"],
        width=parameters["width"],
        depth=parameters["depth"],
        time_embedding=parameters["time_embedding"],
        class_embedding=parameters["class_embedding"] if n_classes else 0,
    )


def method(model: "DiffusionModel") -> Method:
    """Returns the training method that a model's parameters describe."""
    objective = Objective(model.prediction, model.weighting, model.noise_levels)
    batch_size = int(model.batch_size or BATCH_SIZE)
    return Method(
        objective,
        batch_size,
        is_averaged=bool(model.averaging > 0),
        is_clipped=model.gradient_clip is not None,
        precision=model.precision,
        parts=parts_of(batch_size, deciding(model)["width"]),
    )


PARTS, LEAST_ROWS = (8, 4, 2), 512
"""Numbers of parts of a large batch, which devices share, or one computes in turn; and fewest rows in a part."""


def parts_of(batch_size: int, width: int) -> int:
    """Returns the number of equal parts to cut a batch into: one if parts would be too little work to be worth it."""
    fitting = (n for n in PARTS if width >= 256 and batch_size % n == 0 and batch_size >= n * LEAST_ROWS)
    return next(fitting, 1)
