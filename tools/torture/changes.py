"""Changes of bytes and of JSON values that no program of good will makes."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from torture.tally import Acceptance

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2.5,
    1e308,
    float("nan"),
    float("inf"),
    2**31,
    10**12,
    10**30,
    "",
    "../../x",
    "\x1b[2J",
    "a\0b",
    "a" * 100_000,
    "\ud800",
    [],
    {},
    [[]],
    [0] * 1000,
    ["x", 1, None],
    {"a": 1},
    "float64",
    "1",
)


def any_value(rng: np.random.Generator) -> Any:
    """Draws a value; now and then a deeply nested one."""
    if rng.random() < 0.05:
        value: Any = []
        for _ in range(500):
            value = [value]
        return value
    return copy.deepcopy(VALUES[rng.integers(len(VALUES))])


def changed_value(content: Any, rng: np.random.Generator) -> tuple[Any, str]:
    """Replaces, removes or repeats something in JSON values, at a random depth; says where."""
    content = copy.deepcopy(content)
    where, place = [], content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[rng.integers(len(keys))]
        where.append(str(key))
        child = place[key]
        if isinstance(child, dict | list) and child and rng.random() < 0.8:
            place = child
            continue
        match rng.integers(6):
            case 0 if isinstance(place, dict):
                del place[key]
            case 1 if isinstance(place, list):
                place.extend([child] * int(rng.integers(1, 1000)))
            case 2 if isinstance(place, list):
                del place[key]
            case _:
                place[key] = any_value(rng)
        return content, ".".join(where)


def changed_bytes(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Cuts, repeats, overwrites, removes or inserts bytes; says which."""
    a, b = sorted(int(x) for x in rng.integers(len(data) + 1, size=2))
    b = min(b, a + int(rng.choice([1, 16, 4096])))
    match rng.integers(8):
        case 0:
            return data[:a], f"cut at {a}"
        case 1:
            return data[:a] + data[a:b] * int(rng.integers(2, 200)) + data[b:], f"{b - a} bytes at {a} repeated"
        case 2:
            return data[:a] + bytes(b - a) + data[b:], f"{b - a} bytes at {a} are 0"
        case 3:
            return data[:a] + rng.bytes(b - a) + data[b:], f"{b - a} bytes at {a} are others"
        case 4:
            return data[:a] + data[b:], f"{b - a} bytes at {a} removed"
        case 5:
            return data[:a] + rng.bytes(b - a) + data[a:], f"{b - a} bytes at {a} inserted"
        case 6:
            return data[a:] + data[:a], f"turned around at {a}"
        case _:
            return rng.bytes(int(rng.integers(3000))), "random bytes"


def flip(name: str, content: bytes, n: int, seed: int, tally: Acceptance, check: Callable[[bytes], None]) -> None:
    """Counts how a check of the content goes with each of n bits flipped."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        place, bit = int(rng.integers(len(content))), int(rng.integers(8))
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        data = bytes(changed)
        tally.case(name, f"byte {place}, bit {bit}", lambda data=data: check(data))
