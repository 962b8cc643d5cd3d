"""Patterns of codes, like `[A-Z]{3}-[0-9]{6}`: their strings in a random order, and the pattern of given codes."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, groupby, product

import numpy as np
from jaxtyping import Int, UInt64

from pointillist.foreign_text import shown

DIGITS, UPPER, LOWER = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"

MOST_KEYS = 2**52
"""Largest number of keys of a column."""

PERMUTED = 2**62
"""Largest number of integers that `shuffled` permutes."""

ROOM = 1_000
"""A pattern found in n codes has at least this many times n strings, if a run of its digits can be longer."""

_MOST_CHARACTERS, _MOST_LENGTHS, _MOST_IN_CLASS = 1_000, 256, 1_000
_MOST_CODES = 20_000
_ROUNDS = 6
_SHORTHANDS = {"d": DIGITS, "w": f"{DIGITS}{UPPER}_{LOWER}"}
_ATOM = re.compile(r"\[(?P<body>(?:\\.|[^]\\])+)\]|\\(?P<escaped>.)|(?P<literal>[^]\[\\.*+?|(){}^$])", re.DOTALL)
_RANGE = re.compile(r"\\([dw])|\\?(.)(?:-\\?(.))?", re.DOTALL)
_CLASS = re.compile(r"(?!\^)(?:[^\\]|\\[dw\W])+", re.DOTALL)
_TIMES = re.compile(r"\{(\d{1,4})(?:,(\d{1,4}))?\}|\?")


@dataclass(frozen=True)
class Pattern:
    """A regular expression of literals and classes of characters, each perhaps with {n}, {m,n} or ?.

    Attributes:
        text: The regular expression.
        salt: Number that determines the order of the strings.

    Raises:
        ValueError: If the expression has anything else, or makes a string in two ways.
    """

    text: str
    salt: int = 0

    def __post_init__(self) -> None:
        for _, group in groupby(self.alternatives, len):
            for one, other in combinations(group, 2):
                if all(not {*a}.isdisjoint(b) for a, b in zip(one, other, strict=True)):
                    raise ValueError(f"the pattern {shown(self.text)} makes a string in two ways: fix a length in it")

    @cached_property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """For each combination of lengths, the characters that each position allows; shorter strings come first."""
        parts = _parsed(self.text)
        n_lengths = math.prod(high - low + 1 for _, low, high in parts)
        if n_lengths > _MOST_LENGTHS or sum(high for *_, high in parts) > _MOST_CHARACTERS:
            raise ValueError(f"the pattern {shown(self.text)} has too many lengths, or too long strings: fix a length")
        choices = [[[characters] * n for n in range(low, high + 1)] for characters, low, high in parts]
        return tuple(sorted((tuple(chain.from_iterable(each)) for each in product(*choices)), key=len))

    @property
    def count(self) -> int:
        """Number of its strings."""
        return sum(math.prod(map(len, each)) for each in self.alternatives)

    def strings(self, indices: Int[np.ndarray, " n"]) -> np.ndarray:
        """Returns the strings with some indices, from 0 to the smaller of `count` and `MOST_KEYS`, minus 1.

        Different indices have different strings. Strings of one length come in an order that looks random. Patterns
        with more than `MOST_KEYS` strings have at least so many indices.
        """
        longest = max(map(len, self.alternatives))
        letters = np.zeros((len(indices), longest), "<U1")
        first = 0
        for salt, classes in enumerate(self.alternatives, self.salt):
            # The last positions have no more strings than `PERMUTED`, and an order; the others follow from the index.
            start, n = len(classes), 1
            while start and n * len(classes[start - 1]) <= PERMUTED:
                start, n = start - 1, n * len(classes[start - 1])
            is_here = (indices >= first) & (indices < first + n)
            if is_here.any():
                codes = shuffled((indices[is_here] - first).astype(np.uint64), n, salt)
                free = _mixed(codes)
                for position in reversed(range(len(classes))):
                    size = np.uint64(len(classes[position]))
                    if position < start:
                        free = _mixed(free)
                    codes, digit = np.divmod(codes if position >= start else free, size)
                    letters[is_here, position] = np.array([*classes[position]])[digit.astype(np.int64)]
            first += n
            if first >= MOST_KEYS:
                break
        return letters.view(f"<U{longest}")[:, 0]


def _parsed(text: str) -> list[tuple[str, int, int]]:
    """Parses a pattern; returns characters, least and largest number of each part."""
    body = text.removeprefix("^").removesuffix("$")
    atoms, position = [], 0
    while position < len(body):
        atom = _ATOM.match(body, position)
        characters = "" if atom is None else _characters(atom)
        if atom is None or not characters:
            raise ValueError(
                f"the pattern {shown(text)} is not simple at {shown(body[position:])}: use literals, classes like "
                "[A-Z0-9] or \\d, and {n}, {m,n} or ?"
            )
        position, low, high = atom.end(), 1, 1
        if times := _TIMES.match(body, position):
            position, is_optional = times.end(), times[0] == "?"
            low, high = (0, 1) if is_optional else (int(times[1]), int(times[2] or times[1]))
        atoms.append((characters, low, high))
        if low > high:
            raise ValueError(f"the pattern {shown(text)} has {{{low},{high}}}: give the smaller number first")
    if not any(high for *_, high in atoms):
        raise ValueError("a pattern needs at least one character")
    return atoms


def _characters(atom: re.Match[str]) -> str:
    """Returns the sorted characters that a part of a pattern allows; none if they cannot be listed."""
    if atom["literal"] is not None:
        return atom["literal"]
    if atom["escaped"] is not None:
        # \s, \b and others are not listed.
        return _SHORTHANDS.get(atom["escaped"], "" if atom["escaped"].isalnum() else atom["escaped"])
    if not _CLASS.fullmatch(atom["body"]):
        return ""
    found: set[str] = set()
    for shorthand, low, high in _RANGE.findall(atom["body"]):
        characters = _SHORTHANDS[shorthand] if shorthand else [*map(chr, range(ord(low), ord(high or low) + 1))]
        if not 0 < len(characters) <= _MOST_IN_CLASS:
            return ""
        found |= {*characters}
    return "".join(sorted(found))


def shuffled(indices: UInt64[np.ndarray, " n"], n: int, salt: int) -> UInt64[np.ndarray, " n"]:
    """Permutes the integers below n (at most `PERMUTED`) in an order that looks random.

    A Feistel network permutes the integers below a power of 4; integers outside are permuted again until they are
    below n (Black & Rogaway 2002, "Ciphers with arbitrary finite domains").
    """
    half = np.uint64(max(1, (n - 1).bit_length() + 1 >> 1))
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = _mixed(np.arange(_ROUNDS, dtype=np.uint64) + np.uint64(salt % 2**32 * _ROUNDS))
    found, is_outside = indices.copy(), np.ones(len(indices), bool)
    while is_outside.any():
        left, right = found[is_outside] >> half, found[is_outside] & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        found[is_outside] = (left << half) | right
        is_outside = found >= np.uint64(n)
    return found


def _mixed(values: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Mixes the bits of integers, each into another one (the finalizer of SplitMix64, Steele et al. 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


Part = tuple[str, int, int]
"""A class of characters with the least and the largest number of them."""


def found_pattern(codes: Sequence[str]) -> str | None:
    """Returns the pattern of codes that all differ; None if they look like words, or have no pattern.

    The codes have the same runs of digits, capitals and small letters, with the same characters between them, where
    runs of letters have one length each. Or they have runs of letters mixed with digits, of one length each.
    """
    return _pattern(codes, re.compile(r"[0-9]+|[A-Z]+|[a-z]+|.", re.DOTALL), _parts_of_run) or _pattern(
        codes, re.compile(r"[0-9A-Za-z]+|.", re.DOTALL), _parts_of_mixed_run
    )


def _pattern(
    codes: Sequence[str], token: re.Pattern[str], parts_of: Callable[[Sequence[str]], list[Part]]
) -> str | None:
    """Finds the pattern of codes, given the parts of the pattern for the tokens at one position in all codes."""
    rows = [token.findall(code) for code in codes[:: 1 + len(codes) // _MOST_CODES]]
    if len({*map(len, rows)}) > 1:
        return None
    parts: list[Part] = []
    for run in zip(*rows, strict=True):
        escaped = re.sub(r"[]\\[.*+?|(){}^$]", r"\\\g<0>", run[0])
        found = [(escaped, 1, 1)] if len({*run}) == 1 else parts_of(run)
        if not found:
            return None
        parts += found
    if not any("0-9" in chars for chars, *_ in parts):
        return None
    growing = [i for i, (chars, *_) in enumerate(parts) if chars == "[0-9]"]
    while True:
        text = "".join(chars + _times(low, high) for chars, low, high in parts if high)
        try:
            if not growing or Pattern(text).count >= ROOM * len(codes):
                return text
        except ValueError:
            return None
        chars, low, high = parts[growing[-1]]
        parts[growing[-1]] = chars, low, high + 1


def _parts_of_run(run: Sequence[str]) -> list[Part]:
    """Returns the parts for runs of digits, or of letters of one length and kind; none for others."""
    lengths = [*map(len, run)]
    low, high = min(lengths), max(lengths)
    if all(each[0] in DIGITS for each in run):
        # Numbers without leading zeros have none in new codes either.
        is_number = not any(each[0] == "0" and len(each) > 1 for each in run)
        return [("[1-9]", 1, 1), ("[0-9]", low - 1, high - 1)] if is_number else [("[0-9]", low, high)]
    kind = next((kind for kind in ("[A-Z]", "[a-z]") if all(re.match(kind, each) for each in run)), None)
    return [(kind, low, high)] if kind is not None and low == high else []


def _parts_of_mixed_run(run: Sequence[str]) -> list[Part]:
    """Returns the part for runs of letters and digits of one length; none for others."""
    characters = "".join(run)
    kinds = (f"[0-9{upper}{lower}]" for upper, lower in product(("", "A-F", "A-Z"), ("", "a-f", "a-z")))
    smallest = next((kind for kind in kinds if re.fullmatch(f"{kind}+", characters)), None)
    if smallest is None or len({*map(len, run)}) > 1 or not re.search("[0-9]", characters):
        return []
    return [(smallest, len(run[0]), len(run[0]))]


def _times(low: int, high: int) -> str:
    if low == high:
        return "" if low == 1 else f"{{{low}}}"
    return f"{{{low},{high}}}"
