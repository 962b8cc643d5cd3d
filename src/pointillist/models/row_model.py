"""`RowModel`: a fitted model of rows, which estimators, the command line and studies stand on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.models.guarantee import Guarantee
from pointillist.models.process import Learned
from pointillist.models.summary import Summary


@dataclass(frozen=True, eq=False)
class Record:
    """What is known of a training.

    Attributes:
        history: Mean training loss of each epoch.
        validation_history: Held-out loss at each check; empty without early stopping.
        seed: The seed that training used.
        fingerprint: Hash of the training rows.
        guarantee: What a differentially private fit guarantees; None of any other. Losses, seed and hash of such a fit
            tell of single rows, and are not kept.
    """

    history: Float[np.ndarray, " epochs"]
    validation_history: Float[np.ndarray, " checks"]
    seed: int
    fingerprint: str
    guarantee: Guarantee | None = None


@dataclass(frozen=True, eq=False)
class RowModel(Learned):
    """A fitted model of rows: a codec, a process, and weights.

    Attributes:
        record: What is known of its training.
        asked: The parameters, as the user gave them.
        trained_with: Those that decided the network.
        summary: Counts of the training rows; None of a differentially private fit.
    """

    record: Record
    asked: dict[str, Any]
    trained_with: dict[str, Any]
    summary: Summary | None = None

    @property
    def label_place(self) -> int | None:
        """Place at which labels go among the columns; None if there are none, or they are a column already."""
        classes, names = self.classes, self.codec.names
        if classes is None or (classes.column is not None and names is not None and classes.column[0] in names):
            return None
        return self.codec.n_columns if classes.column is None else classes.column[1]
