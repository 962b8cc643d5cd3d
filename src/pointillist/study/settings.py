"""What a spec may set: every key, its range, and how a value is checked."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from pointillist.diffusion.schedules import SCHEDULES, Schedule, linear


@dataclass(frozen=True)
class Settings:
    """Everything that a spec decides about one model, besides its data set and seed.

    Attributes:
        timesteps: T.
        schedule: Name of the noise schedule.
        beta_range: beta_1 and beta_T of the linear schedule; None for the others, which have none.
        width: Units of a hidden layer.
        depth: Number of hidden blocks.
        time_embedding: Width of the embedding of t.
        epochs: Passes over the data.
        batch_size: Rows a step.
        learning_rate: Adam's.
        variance: Of the ancestral sampler, "beta" or "posterior".
        n_samples: Rows drawn from the model.
        emd_rows: Rows a side in the EMD.
    """

    timesteps: int = 200
    schedule: str = "linear"
    beta_range: tuple[float, float] | None = (1e-4, 0.02)
    width: int = 128
    depth: int = 5
    time_embedding: int = 16
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    variance: str = "beta"
    n_samples: int = 5000
    emd_rows: int = 250

    def __post_init__(self) -> None:
        if self.schedule != "linear":
            # It decides nothing there, so that it must not tell two equal models apart.
            object.__setattr__(self, "beta_range", None)

    def noise_schedule(self) -> Schedule:
        """The schedule that the settings name."""
        return linear(self.timesteps, *self.beta_range) if self.beta_range else SCHEDULES[self.schedule](self.timesteps)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return check


def _learning_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("a number above 0, at most 1")
    return float(value)


def _beta_range(value: Any) -> tuple[float, float]:
    numbers = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
    if not numbers or len(value) != 2 or not 0 < value[0] <= value[1] < 1:
        raise ValueError("a pair [beta_start, beta_end] with 0 < beta_start <= beta_end < 1")
    return float(value[0]), float(value[1])


def _embedding_width(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value % 2 or not 4 <= value <= 1024:
        raise ValueError("an even number from 4 to 1024")
    return value


CHECKS: dict[str, Callable[[Any], Any]] = {
    "timesteps": _whole(1, 100_000),
    "schedule": _one_of(*SCHEDULES),
    "beta_range": _beta_range,
    "width": _whole(1, 4096),
    "depth": _whole(1, 50),
    "time_embedding": _embedding_width,
    "epochs": _whole(1, 1_000_000),
    "batch_size": _whole(1, 1_000_000),
    "learning_rate": _learning_rate,
    "variance": _one_of("beta", "posterior"),
    "n_samples": _whole(10, 10_000_000),
    "emd_rows": _whole(2, 5000),
}
"""By key of `Settings`: returns the checked value, or raises ValueError with the allowed values as its text."""

SEEDS = _whole(1, 1000)
"""The check of a number of seeds."""

assert list(CHECKS) == [field.name for field in fields(Settings)]


def is_list_of_values(key: str, value: Any) -> bool:
    """Whether a spec's value is a list to go through, not a value of its own."""
    if key == "beta_range":
        return isinstance(value, list) and any(isinstance(v, list) for v in value)
    return isinstance(value, list)


def label(key: str, value: Any) -> str:
    """How a value is written in a table's head."""
    if key == "beta_range":
        return "–" if value is None else "..".join(map(_number, value))
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if value >= 0.01:
        return f"{value:g}"
    mantissa, exponent = f"{value:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
