"""`RowModel`: a fitted model of rows, which estimators, the command line and studies stand on."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.models.process import Learned
from pointillist.models.summary import Summary


@dataclass(frozen=True)
class Guarantee:
    """An (ε, δ)-differential privacy guarantee, and what stands behind it.

    Attributes:
        epsilon: ε, above 0.
        delta: δ, in (0, 1).
        relation: Which tables are neighbors.
        accountant: The accountant, with its version.
        mechanisms: The mechanisms that the accountant composed, in words.
        public: What was taken as public, in words.
        is_seeded: Whether the noise came from a seed that the user gave, and not from the system: whoever knows the
            seed can take the noise away.
    """

    epsilon: float
    delta: float
    relation: str
    accountant: str
    mechanisms: tuple[str, ...]
    public: tuple[str, ...]
    is_seeded: bool

    def to_json(self) -> dict[str, Any]:
        """JSON values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Guarantee":
        """Reads what `to_json` returned.

        Raises:
            ValueError: If it states no guarantee.
        """
        relation, accountant = content["relation"], content["accountant"]
        mechanisms, public = tuple(content["mechanisms"]), tuple(content["public"])
        epsilon, delta = float(content["epsilon"]), float(content["delta"])
        if not all(isinstance(text, str) for text in (relation, accountant, *mechanisms, *public)):
            raise ValueError("its guarantee is not in words")
        if not (0 < epsilon < float("inf") and 0 < delta < 1):
            raise ValueError("its guarantee has no such ε and δ")
        return cls(epsilon, delta, relation, accountant, mechanisms, public, bool(content["is_seeded"]))

    @property
    def line(self) -> str:
        """The guarantee in one line."""
        noise = "noise from a given seed, for tests alone" if self.is_seeded else "noise from the system's entropy"
        return f"ε = {self.epsilon:g}, δ = {self.delta:.2g}, {self.relation}; {self.accountant}; {noise}"


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
        parameters: The parameters, as the user gave them.
        trained_with: Those that decided the network.
        summary: Counts of the training rows; None of a differentially private fit.
    """

    record: Record
    parameters: dict[str, Any]
    trained_with: dict[str, Any]
    summary: Summary | None = None

    @property
    def label_index(self) -> int | None:
        """Place at which labels go among the columns; None if there are none, or they are a column already."""
        classes, names = self.classes, self.codec.names
        if classes is None or (classes.column is not None and names is not None and classes.column[0] in names):
            return None
        return self.codec.n_columns if classes.column is None else classes.column[1]

    def file_columns(self) -> tuple[list[str] | None, list[Any]]:
        """Returns names and types as `TableWriter` takes them, with those of labels among them; None without names."""
        names = None if self.codec.names is None else [str(name) for name in self.codec.names]
        types: list[Any] = list(self.codec.types)
        index = self.label_index
        if index is not None:
            assert self.classes is not None
            kind = self.classes.labels.dtype
            types.insert(index, "str" if kind.kind == "U" else kind.name)
            if names is not None:
                names.insert(index, str(self.classes.label_name(names)))
        return names, types
