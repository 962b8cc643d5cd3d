"""Keys of new rows: integers in sequence, UUIDs, and the strings of a pattern."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from pointillist.columns.generated import GeneratedColumn
from pointillist.columns.patterns import DIGITS, MOST_KEYS, PERMUTED, Pattern, shuffled
from pointillist.lazy import pa
from pointillist.tables.table import kind_of

MOST_DIGITS = 18


@dataclass(frozen=True, kw_only=True)
class Numbering(GeneratedColumn):
    """Integers in sequence.

    Attributes:
        first: The first integer.
    """

    first: int = 1

    kind = "numbering"

    def __post_init__(self) -> None:
        if type(self.first) is not int or not -(2**63) <= self.first < 2**63:
            raise ValueError(f"the first integer of column {self.name!r:.60} is not of 64 bits")

    @property
    def text(self) -> str:
        return f"integers from {self.first}"

    def count(self, kind: "pa.DataType") -> int:
        ends = np.iinfo(kind.to_pandas_dtype()) if kind_of(kind) == "integer" else None
        if ends is None or not ends.min <= self.first <= ends.max:
            raise self.refused(kind)
        return min(int(ends.max), 2**63 - 1) - self.first + 1

    def values(self, indices: Int[np.ndarray, " n"], seed: int) -> np.ndarray:
        return indices + self.first


@dataclass(frozen=True, kw_only=True)
class Uuids(GeneratedColumn):
    """Random UUIDs (version 4 of RFC 9562); other seeds have other UUIDs.

    Attributes:
        is_upper: Whether letters are capitals.
    """

    is_upper: bool = False

    kind = "uuid"

    @property
    def text(self) -> str:
        return "UUIDs"

    def count(self, kind: "pa.DataType") -> int:
        if kind_of(kind) != "category":
            raise self.refused(kind)
        return MOST_KEYS

    def values(self, indices: Int[np.ndarray, " n"], seed: int) -> np.ndarray:
        high = np.random.default_rng([self.salt, seed]).integers(0, 2**64, dtype=np.uint64)
        index = indices.astype(np.uint64)
        # 62 bits are a permutation of the index, so that no two values are equal.
        low = shuffled(index, PERMUTED, int(high) % 2**32) | np.uint64(2**63)
        first = shuffled(index ^ (high >> np.uint64(2)), PERMUTED, self.salt)
        first = (first & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000)
        letters = "{:016X}{:016X}" if self.is_upper else "{:016x}{:016x}"
        texts = map(letters.format, first.tolist(), low.tolist())
        return np.array([f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts], "<U36")


@dataclass(frozen=True, kw_only=True)
class Codes(GeneratedColumn):
    """The strings of a pattern, in a random order that is always the same, shorter ones first.

    Attributes:
        pattern: The pattern; see `Pattern`.
    """

    pattern: str

    kind = "codes"

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise ValueError(f"the pattern of column {self.name!r:.60} is not text")
        # Raises an error if it is not simple.
        _ = self._pattern

    @cached_property
    def _pattern(self) -> Pattern:
        return Pattern(self.pattern, self.salt)

    @property
    def text(self) -> str:
        return f"codes {self.pattern}"

    def count(self, kind: "pa.DataType") -> int:
        if kind_of(kind) == "integer":
            self._check_integers(kind)
        elif kind_of(kind) != "category":
            raise self.refused(kind)
        return min(self._pattern.count, MOST_KEYS)

    def _check_integers(self, kind: "pa.DataType") -> None:
        for classes in self._pattern.alternatives:
            if not all({*each} <= {*DIGITS} for each in classes) or (len(classes) > 1 and "0" in classes[0]):
                raise ValueError(
                    f"column {self.name!r} holds integers, for which the pattern {self.pattern} needs digits that do "
                    "not begin with 0: write [1-9] first, or make the column text"
                )
            largest = "".join(map(max, classes))
            if len(largest) > MOST_DIGITS or int(largest or 0) > np.iinfo(kind.to_pandas_dtype()).max:
                raise self.refused(kind)

    def values(self, indices: Int[np.ndarray, " n"], seed: int) -> np.ndarray:
        return self._pattern.strings(indices)
