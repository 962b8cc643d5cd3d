"""`RowModel`: a fitted model of rows, the basis of estimators, the command line and studies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.generating import GeneratedRows
from pointillist.models.process import Learned
from pointillist.models.summary import Summary


@dataclass(frozen=True)
class Guarantee:
    """An (ε, δ)-differential privacy guarantee, with its assumptions.

    Attributes:
        epsilon: ε, above 0.
        delta: δ, in (0, 1).
        relation: Definition of neighbouring tables.
        is_seeded: Whether the noise came from the user's seed and not from the system; with the seed, the noise can be
            removed.
    """

    epsilon: float
    delta: float
    relation: str
    accountant: str
    mechanisms: tuple[str, ...]
    public: tuple[str, ...]
    is_seeded: bool

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Guarantee":
        """Rebuilds a guarantee from its fields as JSON values; raises a ValueError if they are invalid."""
        found = cls(**content | {name: tuple(content[name]) for name in ("mechanisms", "public")})
        texts = found.relation, found.accountant, *found.mechanisms, *found.public
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("its guarantee must consist of text")
        if not (0 < found.epsilon < float("inf") and 0 < found.delta < 1):
            raise ValueError("its guarantee has an invalid ε or δ")
        return found

    @property
    def line(self) -> str:
        """The guarantee in one line."""
        noise = "noise from a user's seed, for tests only" if self.is_seeded else "noise from the system's entropy"
        return f"ε = {self.epsilon:g}, δ = {self.delta:.2g}, {self.relation}; {self.accountant}; {noise}"


@dataclass(frozen=True, eq=False)
class Record:
    """The record of a training run.

    Attributes:
        history: Mean training loss of each epoch.
        validation_history: Held-out loss at each check; empty without early stopping.
        guarantee: Guarantee of a differentially private fit; None for other fits. A private fit keeps no losses, seed
            or hash, because they reveal rows.
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
        parameters: The parameters, as the user set them.
        trained_with: The parameters that determined the network.
        summary: Summary of the training rows; None for private fits.
    """

    record: Record
    parameters: dict[str, Any]
    trained_with: dict[str, Any]
    summary: Summary | None = None

    @property
    def label_index(self) -> int | None:
        """Index at which labels are inserted among the columns; None without labels, or if they are a column."""
        classes, names = self.classes, self.codec.names
        if classes is None or (classes.column is not None and names is not None and classes.column[0] in names):
            return None
        return self.codec.n_columns if classes.column is None else classes.column[1]

    def no_rows(self) -> Any:
        """Returns a table without rows that has all columns, as decoded rows with generated columns have."""
        empty = self.codec.joined([])
        if self.generated is None:
            return empty
        return GeneratedRows(self.generated, 0, 0, None, 0).added(self.codec.layout.columns(empty))

    @property
    def output_label_index(self) -> int | None:
        """Index at which labels are inserted among learned and generated columns; None as for `label_index`."""
        if self.label_index is None or self.generated is None:
            return self.label_index
        index = self.generated.label_index
        return len(self.layout.column_names) if index is None else index

    def file_columns(self, *, with_generated: bool = False) -> tuple[list[str] | None, list[Any]]:
        """Returns names (None for unnamed columns) and types of columns and labels, in the format of `TableWriter`."""
        layout, index = self.codec.layout, self.label_index
        if with_generated:
            layout, index = self.layout, self.output_label_index
        names = None if layout.names is None else [str(name) for name in layout.names]
        types: list[Any] = list(layout.column_types)
        if index is not None:
            assert self.classes is not None
            kind = self.classes.labels.dtype
            types.insert(index, "str" if kind.kind == "U" else kind.name)
            if names is not None:
                names.insert(index, str(self.classes.label_name(names)))
        return names, types
