"""What a differentially private fit guarantees."""

from dataclasses import asdict, dataclass
from typing import Any


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
