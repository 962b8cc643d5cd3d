"""Hostile model files and specs."""

from pathlib import Path

import numpy as np

from pointillist.models.container import read_model, write_model
from torture.changes import changed_bytes, changed_value
from torture.jobs import SPEC

_LINES = (
    "timesteps = 5",
    "x = " + "[" * 2000,
    ".".join("a" * 20_000) + " = 1",
    "seeds = -1",
    "seeds = 999999999999999999999",
    "epochs = nan",
    "datasets = []",
    'datasets = ["../../rows.npy"]',
    'datasets = ["/dev/zero"]',
    "width = 1e999",
    "datasets = 5",
    'title = "\\u001b[2J"',
    "sections = 1",
    "[sections]",
    '[sections."../x"]',
    "[sections.steps]",
    "[[sections]]",
    "width = [8, 8, 8]",
    f"timesteps = {list(range(1, 3000))}",
    "n_samples = 10000000000000",
    "timesteps = 1979-05-27",
    "variants = {}",
    "[sections.more]\nvariants = [{timesteps = 1}]",
    'reference = "rows.npy"',
    'reference = "missing.csv"',
    "a = {b = {c = {}}}",
    "\\",
    '"""',
    "= 3",
    "emd_rows = 0",
    "batch_size = 4000000000",
    'schedule = ["cosine", "os.system"]',
    "depth = 100000",
    "beta_range = [0.1]",
    'method = "guidance"',
    "guidance = [1, 2]",
    "n_held_out = 200",
    "note = 1",
    "seeds = 1000\nwidth = [1, 2, 3]",
    "[sections." + "s" * 300 + "]",
    "title = 'a\tb'",
)


def hostile_spec(rng: np.random.Generator, good: Path, path: Path) -> str:
    """Writes a spec with some lines too many, too few or of other values, or with other bytes."""
    if rng.random() < 0.25:
        content, what = changed_bytes(SPEC.encode(), rng)
        path.write_bytes(content)
        return what
    lines = SPEC.splitlines()
    said = []
    for _ in range(rng.integers(1, 3)):
        line = _LINES[rng.integers(len(_LINES))]
        key = line.split(" = ")[0]
        same = [i for i, each in enumerate(lines) if each.startswith(f"{key} = ")]
        if same:
            lines[same[0]] = line
        else:
            lines.insert(int(rng.integers(len(lines) + 1)), line)
        said.append(line[:60])
    path.write_text("\n".join(lines))
    return "; ".join(said)


def hostile_model(rng: np.random.Generator, good: Path, path: Path) -> str:
    """Writes a model file of another description or other tensors, with checksums that fit, or of other bytes."""
    source = good / ("model", "mixed.model")[rng.integers(2)]
    whole = source.read_bytes()
    kind = rng.random()
    if kind < 0.2:
        content, what = changed_bytes(whole, rng)
        path.write_bytes(content)
        return what
    facts, tensors = read_model(source)
    if kind < 0.7:
        facts, what = changed_value(facts, rng)
    else:
        tensors, what = _changed_tensors(tensors, rng)
    write_model(path, facts, tensors)
    return f"{source.name}, {what}"


def _changed_tensors(tensors: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[dict[str, np.ndarray], str]:
    names = sorted(tensors)
    name = names[rng.integers(len(names))]
    before = tensors[name]
    changes = {
        "is NaN in a place": lambda: np.where(np.arange(before.size) == 0, np.nan, before.reshape(-1)),
        "is infinite": lambda: np.full_like(before, np.inf if before.dtype.kind == "f" else 2**30),
        "is as large as can be": lambda: before * 0 + (3e38 if before.dtype.kind == "f" else 2**31 - 1),
        "is negative": lambda: -np.abs(before) - 1,
        "is 0": lambda: before * 0,
        "is turned around": lambda: before[::-1] if before.ndim else -before,
        "is transposed": lambda: before.T,
        "is empty": lambda: before.reshape(-1)[:0],
        "has one value more": lambda: np.append(before.reshape(-1), before.reshape(-1)[:1]),
        "has more axes": lambda: before.reshape((1,) * 4 + before.shape),
        "is of another type": lambda: before.astype("f8" if before.dtype != np.dtype("f8") else "f4"),
        "is a long list": lambda: np.zeros(10**5, before.dtype),
    }
    what = list(changes)[rng.integers(len(changes))]
    with np.errstate(all="ignore"):
        changed = np.asarray(changes[what]())
    changed = changed.astype(before.dtype) if "type" not in what else changed
    if what == "is NaN in a place":
        changed = changed.reshape(before.shape)
    return {**tensors, name: changed}, f"{name} {what}"
