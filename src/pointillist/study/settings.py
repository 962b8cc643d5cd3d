"""The settings of a spec: every key, its range, and how a value is checked."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pointillist.diffusion.losses import Objective
from pointillist.diffusion.registries import NETWORKS, SCHEDULES
from pointillist.diffusion.samplers import Sampler, TransitionSampler
from pointillist.diffusion.schedules import Schedule, linear
from pointillist.diffusion.steering import ChainedSVDD
from pointillist.engine.recipes import Architecture, Method
from pointillist.models.configuration import PARAMETERS, REPORT, SamplingConfig
from pointillist.models.gaussian import STEERING
from pointillist.models.parameters import Parameter, parameter, parameters_of

CHAINED = "svdd_pm as published"
"""Name of the method by which a published report ran "svdd_pm"."""

STEERED: dict[str, Callable[[TransitionSampler, Any, Any, int], Sampler]] = {**STEERING, CHAINED: ChainedSVDD}
"""The methods that steer by a reward: `gaussian.STEERING`, and one for comparison with a published report."""

_OF_MODELS = PARAMETERS | parameters_of(SamplingConfig)


def _of_models(name: str, **changed: Any) -> Any:
    """A field for a parameter of models, which has the published recipe's value by default."""
    declared = replace(_OF_MODELS[name], **changed)
    return field(default=REPORT.get(name, declared.default), metadata={"parameter": declared})


@dataclass(frozen=True)
class Settings:
    """All settings of one model in a spec; its data set and seed are not among them."""

    # fmt: off
    timesteps: int = _of_models("timesteps")
    schedule: str = _of_models("schedule")
    beta_range: tuple[float, float] | None = parameter(
        (1e-4, 0.02), "First and last beta of the linear schedule.",
        details="A pair `[beta_start, beta_end]` with 0 < beta_start ≤ beta_end < 1.")
    network: str = _of_models("network", choices=tuple(NETWORKS))
    prediction: str = _of_models("prediction")
    weighting: str = _of_models("weighting")
    noise_levels: str = _of_models("noise_levels")
    width: int = _of_models("width")
    depth: int = _of_models("depth")
    time_embedding: int = _of_models("time_embedding")
    epochs: int = _of_models(
        "epochs", help="Number of passes over the rows.", high=1_000_000,
        details="A pass leaves out the rows that do not fill a batch.")
    batch_size: int = _of_models("batch_size", help="Number of rows in a step.")
    learning_rate: float = _of_models("learning_rate")
    warmup: int = _of_models("warmup", high=1_000_000, details="")
    decay: bool = _of_models("decay")
    averaging: float = _of_models("averaging")
    sampler: str = parameter("ancestral", "Sampler.", choices=_OF_MODELS["sampler"].choices)
    steps: int = parameter(
        0, "Number of sampling steps.", low=0, high=100_000,
        details='0 is all T for "ancestral" and "ddim", and 20 evaluations for the others.')
    variance: str = _of_models("variance")
    n_samples: int = parameter(
        5000, "Number of rows drawn from each model, over all classes in equal parts.", low=10, high=10_000_000)
    emd_rows: int = parameter(250, "Number of rows on each side of the EMD.", low=2, high=5000)
    method: str = parameter(
        "plain", "How rows are made.", choices=("plain", "guidance", *STEERED),
        details='"plain" is by a model without classes; "guidance", the default with `guidance` or `classifier`, by a '
        'conditional one; "svdd_pm" and "feynman_kac" by a model without classes, steered to a class by a '
        f'classifier\'s probability; "{CHAINED}" is a published variant of "svdd_pm".')
    class_embedding: int = _of_models("class_embedding")
    p_uncond: float = _of_models("p_uncond", details="")
    guidance: float = _of_models("guidance", high=100)
    candidates: int = _of_models("candidates", high=500)
    reward_temperature: float = _of_models("reward_temperature", high=1_000_000)
    classifier: str = parameter(
        "", "Classifier that is measured on `n_held_out` fresh rows, instead of rows.",
        choices=("knn_100", "mlp_100_50", "elbo", "exact"),
        details='"knn_100" (of the generated rows), "mlp_100_50", "elbo" or "exact".')
    n_held_out: int = parameter(
        2000, "Number of fresh rows on which classifiers or likelihoods are measured; 0 for no likelihoods.",
        low=10, high=1_000_000, also=(0,))
    # fmt: on

    def __post_init__(self) -> None:
        # A setting without effect is emptied, so that equal models have equal settings.
        for key in self.without_effect:
            object.__setattr__(self, key, None if key == "beta_range" else type(getattr(self, key))())

    @property
    def without_effect(self) -> list[str]:
        """Names of the settings that change nothing, given the others."""
        unused = {
            "beta_range": self.schedule != "linear",
            "variance": self.sampler != "ancestral",
            **dict.fromkeys(("class_embedding", "p_uncond", "guidance"), self.method != "guidance"),
            **dict.fromkeys(("candidates", "reward_temperature"), self.method not in STEERED),
            "n_held_out": self.kind == "classes",
        }
        return [key for key, is_unused in unused.items() if is_unused]

    @property
    def kind(self) -> str:
        """Kind of measurement: "rows", rows of "classes", or a "classifier"."""
        return "classifier" if self.classifier else "rows" if self.method == "plain" else "classes"

    @property
    def training(self) -> dict[str, Any]:
        """The settings that determine the trained model; empty if there is none."""
        return {} if self.classifier == "mlp_100_50" else {key: getattr(self, key) for key in _TRAINING}

    @property
    def sampling(self) -> dict[str, Any]:
        """The settings that determine the generated rows; empty if no rows are drawn."""
        draws = self.classifier in ("", "knn_100")
        return {key: getattr(self, key) for key in (*_TRAINING, *_SAMPLING)} if draws else {}

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return Architecture(self.network, self.width, self.depth, self.time_embedding, self.class_embedding)

    @property
    def training_method(self) -> Method:
        """The method of training."""
        objective = Objective(self.prediction, self.weighting, self.noise_levels)
        return Method(objective, self.batch_size, is_averaged=self.averaging > 0)

    def noise_schedule(self) -> Schedule:
        """Returns the schedule that the settings name."""
        if self.beta_range:
            return linear(self.timesteps, *self.beta_range)
        return SCHEDULES[self.schedule](self.timesteps)


_TRAINING = (
    *("timesteps", "schedule", "beta_range", "network", "prediction", "weighting", "noise_levels"),
    *("width", "depth", "time_embedding", "class_embedding"),
    *("p_uncond", "epochs", "batch_size", "learning_rate", "warmup", "decay", "averaging"),
)
_SAMPLING = ("sampler", "steps", "variance", "n_samples", "method", "guidance", "candidates", "reward_temperature")


def _beta_range(value: Any) -> tuple[float, float]:
    numbers = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
    if not numbers or len(value) != 2 or not 0 < value[0] <= value[1] < 1:
        raise ValueError("a pair [beta_start, beta_end] with 0 < beta_start <= beta_end < 1")
    return float(value[0]), float(value[1])


def short_text(value: Any) -> str:
    """Checks a title, or any other text that a study shows."""
    # Half of a surrogate pair cannot be written to any file.
    if not isinstance(value, str) or len(value) > 1000 or re.search("[\ud800-\udfff]", value):
        raise ValueError("a text of at most 1,000 characters")
    return value


Check = Callable[[Any], Any]
"""Returns the checked value, or raises a ValueError with the allowed values."""

CHECKS: dict[str, Check] = {name: each.checked for name, each in parameters_of(Settings).items()}
CHECKS["beta_range"] = _beta_range
"""Checks by key of `Settings`."""

SEEDS: Check = Parameter(help="Number of seeds.", low=1, high=1000, types=(int,)).checked


def symbol(key: str) -> str:
    """Returns the short name of a setting, for a heading."""
    return {"timesteps": "T", "beta_range": "beta", "guidance": "w"}.get(key, key.replace("_", " "))


def label(key: str, value: Any) -> str:
    """Formats a value for a table's heading."""
    if key == "beta_range":
        return "–" if value is None else "..".join(map(_number, value))
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if value == 0 or value >= 0.01:
        return f"{value:g}"
    mantissa, exponent = f"{value:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
