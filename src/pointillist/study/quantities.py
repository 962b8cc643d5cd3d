"""The quantities that a section's cells measure, by its kind: the rows of its tables."""

from dataclasses import dataclass

from pointillist.metrics import METRICS
from pointillist.study.comparisons import Better
from pointillist.study.settings import Settings


@dataclass(frozen=True)
class Quantity:
    """One row of a table.

    Attributes:
        name: Key of the quantity.
        title: Heading of its row.
        better: "lower", "higher", or "floor" if the value of the data itself is best.
    """

    name: str
    title: str
    better: Better


def _by_name(*quantities: Quantity) -> dict[str, Quantity]:
    return {quantity.name: quantity for quantity in quantities}


QUANTITIES: dict[str, dict[str, Quantity]] = {
    "rows": _by_name(
        *(Quantity(m.name, m.title, m.better) for m in METRICS.values()),
        Quantity("nll", "held-out NLL (nats)", "lower"),
    ),
    "classes": _by_name(
        Quantity("emd", "EMD", "lower"),
        Quantity("energy_distance", "energy distance", "lower"),
        Quantity("accuracy", "accuracy", "floor"),
        Quantity("coverage", "coverage", "floor"),
        Quantity("spread", "spread", "floor"),
    ),
    "classifier": _by_name(
        Quantity("accuracy", "held-out accuracy", "higher"),
        Quantity("training_accuracy", "accuracy on training rows", "higher"),
        Quantity("calibration_error", "calibration error", "lower"),
        Quantity("log_loss", "log loss (nats)", "lower"),
    ),
}
"""Quantities by kind of section. Those of "classes" are means over classes, and some are shown for each class too."""

SCORED_ON_TRAINING = ("knn_100", "mlp_100_50")
"""Classifiers that are scored on the training rows too: for the model's own, that costs more than it shows."""

LIKELIHOOD_STEPS = 60
"""Number of steps of the ODE solver; an adaptive solver takes several times as long on ReLU networks."""

OF_EACH_CLASS = ("emd", "coverage", "spread")
"""Quantities of "classes" that are shown for each class too."""


def is_asked(name: str, settings: Settings) -> bool:
    """Whether settings ask for a quantity of their kind."""
    if name == "nll":
        return settings.n_held_out > 0
    return name != "training_accuracy" or settings.classifier in SCORED_ON_TRAINING


def of_class(name: str, label: int) -> str:
    """Makes the name of a quantity of one class alone."""
    return f"{name}, class {label}"
