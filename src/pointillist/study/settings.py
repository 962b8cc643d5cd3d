"""The settings of a spec: every key, its range, and how a value is checked."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from pointillist.diffusion.losses import NOISE_LEVELS, Objective
from pointillist.diffusion.networks import NETWORKS
from pointillist.diffusion.parameterisations import PREDICTIONS, WEIGHTINGS
from pointillist.diffusion.samplers import VARIANCES, Sampler, TransitionSampler
from pointillist.diffusion.schedules import SCHEDULES, Schedule, linear, padded
from pointillist.diffusion.solvers import SAMPLERS, Solver, sampler_named
from pointillist.diffusion.steering import ChainedSVDD
from pointillist.engine.recipes import Architecture, Method
from pointillist.models.gaussian import STEERING


@dataclass(frozen=True)
class Settings:
    """All settings of one model in a spec, besides its data set and seed.

    Attributes:
        timesteps: Number of timesteps T.
        schedule: Name of the noise schedule.
        beta_range: beta_1 and beta_T of the linear schedule; None for the others, which have none.
        network: Name of the network, "mlp" or "residual".
        prediction: What it predicts, "eps", "v", "x0" or "edm".
        weighting: Weighting of the loss, "uniform" or "min-snr".
        noise_levels: Distribution of noise levels in training, "uniform" or "log-normal".
        width: Number of units of a hidden layer.
        depth: Number of hidden blocks.
        time_embedding: Width of the embedding of t.
        epochs: Number of passes over the data.
        batch_size: Number of rows per step.
        learning_rate: Adam's learning rate.
        warmup: Number of steps over which the learning rate rises from 0.
        decay: Whether it then falls to 0 as half a cosine.
        averaging: Decay of the average of the weights per step; 0 for no average.
        sampler: Name of the sampler, one of `solvers.SAMPLERS`.
        steps: Number of its steps or points; 0 for all T with "ancestral" and "ddim", and for 20 evaluations otherwise.
        variance: Variance of the ancestral sampler, "beta" or "posterior".
        n_samples: Number of rows drawn from the model, over all classes in equal shares.
        emd_rows: Number of rows per side in the EMD.
        method: How rows are made: "plain" by a model without classes; "guidance" by a conditional one; "svdd_pm" and
            "feynman_kac" by a model without classes, steered to a class by a classifier's probability; "svdd_pm as
            published" by a published report's variant of "svdd_pm".
        class_embedding: Width of the embedding of the class in a conditional model.
        p_uncond: Share of labels dropped in training a conditional model.
        guidance: w of a conditional model; 0 is plain conditional sampling.
        candidates: Number of network evaluations per row and step in steering.
        reward_temperature: Temperature of the reward in steering.
        classifier: Name of the classifier if classification is measured; "" if rows are.
        n_held_out: Number of fresh rows that a classifier, or the likelihood, is measured on; 0 for none.
    """

    timesteps: int = 200
    schedule: str = "linear"
    beta_range: tuple[float, float] | None = (1e-4, 0.02)
    network: str = "mlp"
    prediction: str = "eps"
    weighting: str = "uniform"
    noise_levels: str = "uniform"
    width: int = 128
    depth: int = 5
    time_embedding: int = 16
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup: int = 0
    decay: bool = False
    averaging: float = 0.0
    sampler: str = "ancestral"
    steps: int = 0
    variance: str = "beta"
    n_samples: int = 5000
    emd_rows: int = 250
    method: str = "plain"
    class_embedding: int = 16
    p_uncond: float = 0.2
    guidance: float = 0.0
    candidates: int = 10
    reward_temperature: float = 0.1
    classifier: str = ""
    n_held_out: int = 2000

    def __post_init__(self) -> None:
        # What decides nothing must not make two equal models differ.
        for key in self.without_effect:
            object.__setattr__(self, key, None if key == "beta_range" else type(getattr(self, key))())

    @property
    def without_effect(self) -> list[str]:
        """Names of the settings that decide nothing, beside the others."""
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
    def training(self) -> dict[str, Any] | None:
        """The settings that decide the trained model; None if there is none."""
        return None if self.classifier == "mlp_100_50" else {key: getattr(self, key) for key in _TRAINING}

    @property
    def drawing(self) -> dict[str, Any] | None:
        """The settings that decide the rows drawn from it; None if none are."""
        draws = self.classifier in ("", "knn_100")
        return {key: getattr(self, key) for key in (*_TRAINING, *_DRAWING)} if draws else None

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return Architecture(self.network, self.width, self.depth, self.time_embedding, self.class_embedding)

    @property
    def training_method(self) -> Method:
        """The method of training."""
        objective = Objective(self.prediction, self.weighting, self.noise_levels)
        return Method(objective, self.batch_size, is_averaged=self.averaging > 0)

    @property
    def evaluations(self) -> int:
        """Number of evaluations of the network per row."""
        if not SAMPLERS[self.sampler].points:
            return self.steps or self.timesteps
        sampler = sampler_named(self.sampler, self.noise_schedule(), self.steps or None)
        assert isinstance(sampler, Solver)
        return sampler.evaluations

    def padded_schedule(self, length: int) -> Schedule:
        """The schedule that the settings name, with tables of a given length."""
        return padded(self.noise_schedule(), length)

    def noise_schedule(self) -> Schedule:
        """The schedule that the settings name."""
        return linear(self.timesteps, *self.beta_range) if self.beta_range else SCHEDULES[self.schedule](self.timesteps)


CHAINED = "svdd_pm as published"
"""Name of the method by which a published report ran "svdd_pm"."""

STEERED: dict[str, Callable[[TransitionSampler, Any, Any, int], Sampler]] = {**STEERING, CHAINED: ChainedSVDD}
"""The methods that steer by a reward: those of `gaussian.STEERING`, and one for comparison with a published report."""

_TRAINING = (
    *("timesteps", "schedule", "beta_range", "network", "prediction", "weighting", "noise_levels"),
    *("width", "depth", "time_embedding", "class_embedding"),
    *("p_uncond", "epochs", "batch_size", "learning_rate", "warmup", "decay", "averaging"),
)
_DRAWING = ("sampler", "steps", "variance", "n_samples", "method", "guidance", "candidates", "reward_temperature")


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"an integer from {low} to {high}")
        return value

    return check


def _none_or_whole(low: int, high: int) -> Callable[[Any], int]:
    check_whole = _whole(low, high)

    def check(value: Any) -> int:
        try:
            return 0 if value == 0 and not isinstance(value, bool) else check_whole(value)
        except ValueError as error:
            raise ValueError(f"0 or {error}") from error

    return check


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return check


def _number_to(high: float, *, open_below: bool = False) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= high or (open_below and value == 0):
            raise ValueError(f"a number {'above' if open_below else 'from'} 0, at most {high:g}")
        return float(value)

    return check


def _beta_range(value: Any) -> tuple[float, float]:
    numbers = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
    if not numbers or len(value) != 2 or not 0 < value[0] <= value[1] < 1:
        raise ValueError("a pair [beta_start, beta_end] with 0 < beta_start <= beta_end < 1")
    return float(value[0]), float(value[1])


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _text(longest: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        # Half of a surrogate pair cannot be written to any file.
        if not isinstance(value, str) or len(value) > longest or re.search("[\ud800-\udfff]", value):
            raise ValueError(f"a text of at most {longest:,} characters")
        return value

    return check


def _embedding_width(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value % 2 or not 4 <= value <= 1024:
        raise ValueError("an even number from 4 to 1024")
    return value


CHECKS: dict[str, Callable[[Any], Any]] = {
    "timesteps": _whole(1, 100_000),
    "schedule": _one_of(*SCHEDULES),
    "beta_range": _beta_range,
    "network": _one_of(*NETWORKS),
    "prediction": _one_of(*PREDICTIONS),
    "weighting": _one_of(*WEIGHTINGS),
    "noise_levels": _one_of(*NOISE_LEVELS),
    "width": _whole(1, 4096),
    "depth": _whole(1, 50),
    "time_embedding": _embedding_width,
    "epochs": _whole(1, 1_000_000),
    "batch_size": _whole(1, 1_000_000),
    "learning_rate": _number_to(1, open_below=True),
    "warmup": _whole(0, 1_000_000),
    "decay": _flag,
    "averaging": _number_to(0.999999),
    "sampler": _one_of(*SAMPLERS),
    "steps": _whole(0, 100_000),
    "variance": _one_of(*VARIANCES),
    "n_samples": _whole(10, 10_000_000),
    "emd_rows": _whole(2, 5000),
    "method": _one_of("plain", "guidance", *STEERED),
    "class_embedding": _embedding_width,
    "p_uncond": _number_to(1),
    "guidance": _number_to(100),
    "candidates": _whole(1, 500),
    "reward_temperature": _number_to(1e6),
    "classifier": _one_of("knn_100", "mlp_100_50", "elbo", "exact"),
    "n_held_out": _none_or_whole(10, 1_000_000),
}
"""Checks by key of `Settings`: each returns the checked value, or raises a ValueError with the allowed values."""

SEEDS = _whole(1, 1000)
"""The check of a number of seeds."""

TEXT = _text(1000)
"""The check of a title, or of any other text that a study shows."""

assert list(CHECKS) == [field.name for field in fields(Settings)]


def is_list_of_values(key: str, value: Any) -> bool:
    """Whether a spec's value is a list of values to vary, rather than a single value."""
    if key == "beta_range":
        return isinstance(value, list) and any(isinstance(v, list) for v in value)
    return isinstance(value, list)


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
