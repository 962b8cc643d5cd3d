"""The quantities that a section's cells measure, by its kind: the rows of its tables."""

from collections.abc import Callable
from typing import NamedTuple

from pointillist.metrics import METRICS
from pointillist.metrics.classifiers import MOST_ROWS
from pointillist.study.comparisons import Better
from pointillist.study.grid import RESULT_VERSION
from pointillist.study.settings import Settings

SCORED_ON_TRAINING = ("knn_100", "mlp_100_50")
"""Classifiers that are scored on the training rows too: for the model's, that costs more than it shows."""

LIKELIHOOD_STEPS = 60
"""Number of steps of the ODE solver; an adaptive solver takes several times as long on ReLU networks."""


class Quantity(NamedTuple):
    """A row of a table: its heading, and "lower", "higher", or "baseline" if the value of the data itself is best."""

    title: str
    better: Better


QUANTITIES: dict[str, dict[str, Quantity]] = {
    "rows": {
        **{name: Quantity(metric.title, metric.better) for name, metric in METRICS.items()},
        "nll": Quantity("held-out NLL (nats)", "lower"),
    },
    "classes": {
        "emd": Quantity("EMD", "lower"),
        "energy_distance": Quantity("energy distance", "lower"),
        "accuracy": Quantity("accuracy", "baseline"),
        "coverage": Quantity("coverage", "baseline"),
        "spread": Quantity("spread", "baseline"),
    },
    "classifier": {
        "accuracy": Quantity("held-out accuracy", "higher"),
        "training_accuracy": Quantity("accuracy on training rows", "higher"),
    },
}
"""Quantities by kind of section and name. For "classes", they are means over classes."""

OF_EACH_CLASS = ("emd", "coverage", "spread")
"""Quantities of "classes" that are shown for each class too."""


def cut_off(settings: Settings) -> float:
    """Noise level σ = sigma_1 / alpha_1 at which a likelihood is evaluated."""
    schedule = settings.noise_schedule()
    return float(schedule.sigma[1] / schedule.alpha[1])


_N_SAMPLES = "it grows with n_samples, which differs"
SIZES: dict[str, tuple[Callable[[Settings], float], str]] = {
    "emd": (lambda settings: settings.emd_rows, "it grows with emd_rows, which differs"),
    "two_sample_test": (lambda settings: min(settings.n_samples, MOST_ROWS), _N_SAMPLES),
    "coverage": (lambda settings: settings.n_samples, _N_SAMPLES),
    "nll": (cut_off, "the settings' densities have different noise"),
}
"""By quantity: a number other than the model on which its values depend, and why cells that differ are not ranked."""


def is_asked(name: str, settings: Settings) -> bool:
    """Whether settings ask for a quantity of their kind."""
    if name == "nll":
        return settings.n_held_out > 0
    return name != "training_accuracy" or settings.classifier in SCORED_ON_TRAINING


def class_metric(name: str, label: int) -> str:
    """Names a quantity of one class alone."""
    return f"{name}, class {label}"


def protocol(settings: Settings) -> str:
    """Names what a baseline depends on: the settings, and the version of the results."""
    keys = {"classifier": ("n_held_out",), "classes": ("n_samples", "emd_rows")}
    names = keys.get(settings.kind, ("n_samples", "emd_rows", "n_held_out"))
    parts = (f"{name}={getattr(settings, name)}" for name in names)
    return ",".join([f"version={RESULT_VERSION},{settings.kind}", *parts])
