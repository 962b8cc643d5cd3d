"""Hashes of what the library computes, so that a change of its structure can be shown to have changed no bit.

`-o FILE` writes JSON with the SHA-256 of each result: rows, densities, predictions, filled tables, the tensors of model
files, and the results that a small study writes. `--against FILE` compares with an earlier file, prints the names that
differ, and exits with status 1 if there are any. Hashes hold for one kind of machine and one set of versions.

Models are small and little trained. Only the public Python surface and the command line are used, so that the script
itself needs no change. Of a model file the tensors' bytes are hashed, whatever their names and order; of a data frame
the CSV text. Names begin with what they are about: `numbers`, `classifier`, `regressor`, `evaluate` (of numbers),
`study` and `cli` are of numbers alone; `mixed`, `tokens` and those with `mixed` in them are of other columns.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Most of the time is compiling, which takes half as long without the optimizations of machine code.
os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1 --xla_llvm_disable_expensive_passes=true"
)

# On a busy machine, threads of boosted trees wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"

import jax.numpy as jnp
import numpy as np
import pandas as pd
from safetensors.numpy import load_file

import machine
from pointillist import (
    Diffusion,
    DiffusionClassifier,
    DiffusionImputer,
    DiffusionRegressor,
    between,
    evaluate,
    load_pointset,
    missing,
    one_of,
    present,
)

Results = Iterator[tuple[str, Any]]
"""Names, and what is hashed."""

SMALL = {"width": 16, "depth": 2, "epochs": 4, "random_state": 0}
NUMBERS = {**SMALL, "timesteps": 20, "batch_size": 32}
SAMPLERS = "ancestral", "ddim", "dpm", "dpm-sde", "heun"

STUDY = """
title = "A small study"
seeds = 1
width = 8
depth = 1
time_embedding = 4
epochs = 3
batch_size = 32
n_samples = 100
emd_rows = 20

[sections.steps]
datasets = ["rows.npy", "moons"]
timesteps = [5, 9]

[sections.kinds]
datasets = ["rows.npy"]
timesteps = 5
schedule = ["linear", "cosine", "sigmoid"]

[sections.guided]
datasets = ["moons"]
timesteps = 5
class_embedding = 4
p_uncond = 0.2
guidance = [0, 1]
"""


def digest(value: Any) -> str:
    """Computes the SHA-256 of an array, a data frame, a fitted model, a number, bytes, or a collection of these."""
    if isinstance(value, Diffusion):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            value.save(path)
            return digest(path)
    if isinstance(value, Path):
        # The only tensor of bytes is the description, JSON whose keys may be renamed.
        tensors = [tensor for tensor in load_file(value).values() if tensor.dtype != np.uint8]
        content = "".join(sorted(digest(tensor.ravel()) for tensor in tensors)).encode()
    elif isinstance(value, bytes):
        content = value
    elif isinstance(value, pd.DataFrame):
        content = f"{list(map(str, value.dtypes))}{value.to_csv()}".encode()
    elif isinstance(value, dict):
        content = "".join(f"{key}:{digest(value[key])}" for key in sorted(value)).encode()
    elif isinstance(value, list | tuple):
        content = "".join(map(digest, value)).encode()
    else:
        array = np.asarray(value)
        content = f"{array.dtype}{array.shape}".encode()
        content += repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
    return hashlib.sha256(content).hexdigest()


def normal_rows(n_rows: int = 200) -> np.ndarray:
    """Draws three dependent columns of numbers, shape (n, 3)."""
    rows = np.random.default_rng(0).normal(size=(n_rows, 3))
    rows[:, 1] += rows[:, 0] ** 2
    return rows


def mixed_rows() -> pd.DataFrame:
    """Draws a table of 300 rows with categories, numbers of several kinds, dates, a sum and missing cells."""
    rng, n = np.random.default_rng(1), 300
    group = rng.integers(3, size=n)
    rows = pd.DataFrame(
        {
            "city": np.array(["Lyon", "Oslo", "Rome"])[group],
            "age": rng.integers(18, 90, n),
            "price": np.round(rng.gamma(2.0, 30.0, n) * (1 + group), 2),
            "score": rng.normal(size=n) + group,
            "paid": rng.random(n) < 0.3 + 0.2 * group,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D"),
            "net": np.round(rng.gamma(3.0, 20.0, n), 2),
            "tax": np.round(rng.gamma(2.0, 5.0, n), 2),
        }
    )
    rows["gross"] = (rows["net"] + rows["tax"]).round(2)
    rows["grade"] = rng.choice(["a", "b", "c", None], n, p=[0.4, 0.3, 0.2, 0.1])
    rows.loc[rng.random(n) < 0.15, "score"] = np.nan
    return rows


def with_gaps(rows: np.ndarray) -> np.ndarray:
    """Removes some cells."""
    gaps = rows[:40].copy()
    gaps[np.random.default_rng(2).random(gaps.shape) < 0.3] = np.nan
    return gaps


def numbers() -> Results:
    """Computes results of models of numbers without classes."""
    rows = normal_rows()
    model = Diffusion(**NUMBERS).fit(rows)
    yield "file", model
    yield "history", model.history_
    yield "rows", model.sample(50, random_state=1)
    yield "batches", list(model.sample_batches(50, random_state=1))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        yield "rows of the loaded model", Diffusion.load(Path(folder) / "model").sample(50, random_state=1)
    for sampler in SAMPLERS:
        yield f"rows by {sampler}", model.sample(30, sampler=sampler, random_state=1)
    yield "rows in 7 steps", model.sample(30, steps=7, random_state=1)
    prior = np.random.default_rng(3).normal(size=(20, 3))
    yield "rows from a prior", model.sample(prior=prior, deterministic=True, sampler="ancestral")
    yield "densities", model.score_samples(rows[:40])
    yield "rows given a value", model.sample(30, where={0: 0.5}, random_state=1)
    yield "rows given values", model.sample(where={0: rows[:30, 0]}, n_samples=30, random_state=1)
    yield "rows given a range", model.sample(30, where={0: between(0, 1), 2: between(None, 0.5)}, random_state=1)
    yield "effective sample size", model.effective_sample_size_
    yield "filled", model.impute(with_gaps(rows), n_draws=2, random_state=1)
    yield "filled by medians", model.impute(with_gaps(rows), statistic="median", random_state=1)
    yield from conditional(model, 1, rows[:20], [0.1, 0.5, 0.9])


def conditional(model: Diffusion, target: Any, rows: Any, levels: list[float] | None = None) -> Results:
    """Computes what a model says of a column given the others; without levels, of categories."""
    view = model.conditional(target)
    yield "predicted", view.predict(rows)
    yield "log-probability of the target", view.log_prob(rows)
    yield "draws of the target", view.sample(rows, 3, random_state=1)
    if levels:
        yield "quantiles", view.quantiles(rows, levels)
    else:
        yield "probabilities", view.predict_proba(rows)


def numbers_frames() -> Results:
    """Computes results of data frames of numbers, with a constant column and one of integers."""
    rows = pd.DataFrame(normal_rows(), columns=["x", "y", "z"], index=range(5, 205))
    rows["constant"] = 2.5
    rows["whole"] = np.random.default_rng(4).permutation(10_000)[: len(rows)]
    model = Diffusion(**NUMBERS).fit(rows)
    yield "file", model
    yield "rows", model.sample(50, random_state=1)
    yield "rows given a value", model.sample(30, where={"whole": 5_000}, random_state=1)
    yield "densities", model.score_samples(rows[:20])


def numbers_settings() -> Results:
    """Computes results of models of numbers with other settings."""
    rows = normal_rows()
    report = {"scaling": "minmax", "network": "mlp", "noise_levels": "uniform", "averaging": 0, "decay": False}
    settings: dict[str, dict[str, Any]] = {
        "unscaled": {"scaling": None},
        "report, eps": {**report, "prediction": "eps", "schedule": "linear", "variance": "beta", "warmup": 0},
        "report, x0": {**report, "prediction": "x0", "schedule": "sigmoid", "gradient_clip": None},
        "v": {"prediction": "v", "weighting": "min-snr", "p_given": 0.0},
        "bfloat16": {"precision": "bfloat16"},
        "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "epochs": 300, "validation_fraction": 0.2},
    }
    for name, own in settings.items():
        model = Diffusion(**{**NUMBERS, **own}).fit(rows)
        yield f"{name}, file", model
        yield f"{name}, history", [model.history_, model.validation_history_]
        yield f"{name}, rows", model.sample(30, random_state=1)
        if name == "report, eps":
            yield f"{name}, rows by ancestral", model.sample(30, sampler="ancestral", random_state=1)
            yield f"{name}, densities", model.score_samples(rows[:20])


def numbers_classes() -> Results:
    """Computes results of models of numbers with classes."""
    rows, labels = load_pointset("moons", n_rows=300)
    yield "data", [rows, labels]
    model = Diffusion(**NUMBERS).fit(rows, labels)
    yield "file", model
    yield "rows with labels", model.sample(40, return_labels=True, random_state=1)
    yield "rows of a class", model.sample(30, labels=1, random_state=1)
    yield "guided rows", model.sample(30, labels=1, guidance=1.5, random_state=1)
    yield "rows given a range", model.sample(30, labels=1, where={0: between(0, 1)}, random_state=1)
    yield "densities", model.score_samples(rows[:20])
    yield "filled", model.impute(with_gaps(rows.astype(float)), labels=1, random_state=1)
    for method in ("elbo", "exact"):
        classifier = DiffusionClassifier(model, method=method, n_times=8)
        yield f"classifier, {method}", classifier.predict_proba(rows[:20])


def numbers_rewards() -> Results:
    """Computes rows that a reward steers."""
    rows, labels = load_pointset("moons", n_rows=300)
    model = Diffusion(**NUMBERS).fit(rows, labels)

    def traced(points: Any) -> Any:
        return -jnp.sum((points - 0.5) ** 2, axis=1)

    def plain(points: Any) -> Any:
        return -np.abs(np.asarray(points)).sum(axis=1)

    for name, reward in {"traced": traced, "plain": plain}.items():
        for steering in ("svdd_pm", "feynman_kac"):
            options = {"reward": reward, "steering": steering, "candidates": 4, "reward_temperature": 0.2}
            yield f"{name}, {steering}", model.sample(20, labels=1, random_state=1, **options)


def numbers_private() -> Results:
    """Computes results of a private fit of numbers in given ranges."""
    rows = normal_rows()
    model = Diffusion(**SMALL, epsilon=2.0, domain=dict.fromkeys(range(3), (-4.0, 4.0))).fit(rows)
    yield "file", model
    yield "rows", model.sample(30, random_state=1)


def mixed() -> Results:
    """Computes results of a table of columns of any kind."""
    rows = mixed_rows()
    model = Diffusion(**SMALL).fit(rows)
    yield "file", model
    yield "history", model.history_
    yield "rows", model.sample(50, random_state=1)
    yield "batches", list(model.sample_batches(50, random_state=1))
    conditions: dict[str, dict[str, Any]] = {
        "values": {"city": "Oslo", "age": 40},
        "ranges": {"price": between(20, 90), "day": between(pd.Timestamp("2024-03-01"), None)},
        "a set": {"city": one_of("Lyon", "Rome"), "paid": True},
        "a missing cell": {"grade": missing, "score": missing},
        "present cells": {"grade": present, "score": present},
    }
    for name, where in conditions.items():
        yield f"rows given {name}", model.sample(30, where=where, random_state=1)
    yield "densities", model.score_samples(rows[:30])
    yield "filled", model.impute(rows[:60], n_draws=2, random_state=1)
    yield "filled by medians", model.impute(rows[:60], statistic="median", random_state=1)
    for target, levels in {"city": None, "price": [0.1, 0.5, 0.9], "age": [0.5]}.items():
        for name, result in conditional(model, target, rows[:15], levels):
            yield f"{target}, {name}", result
    yield "filled by an imputer", DiffusionImputer(Diffusion(**SMALL), random_state=0).fit(rows).transform(rows[:60])


def mixed_settings() -> Results:
    """Computes results of mixed tables with labels, unknown cells, early stopping and a private fit."""
    rows = mixed_rows()
    labels = (rows.pop("paid") & (rows["age"] > 30)).to_numpy()
    model = Diffusion(**SMALL).fit(rows, labels)
    yield "labels, file", model
    yield "labels, rows", model.sample(40, return_labels=True, random_state=1)
    yield "labels, rows of a class", model.sample(40, labels=True, random_state=1)
    yield "labels, guided rows", model.sample(40, labels=True, guidance=1.0, random_state=1)
    model = Diffusion(**SMALL, missing="unknown").fit(rows)
    yield "unknown cells, file", model
    yield "unknown cells, rows", model.sample(40, random_state=1)
    yield "unknown cells, filled", model.impute(rows[:60], random_state=1)
    yield "unknown cells, densities", model.score_samples(rows[:20])
    settings = {**SMALL, "early_stopping": True, "n_iter_no_change": 2, "epochs": 40, "batch_size": 32}
    model = Diffusion(**settings).fit(rows[["city", "age", "price", "score"]])
    yield "early stopping, file", model
    yield "early stopping, history", [model.history_, model.validation_history_]
    domain = {"city": ["Lyon", "Oslo", "Rome"], "age": (18, 90), "score": (-3.0, 5.0), "grade": ["a", "b", "c", None]}
    private = rows[list(domain)].fillna({"score": 0.0})
    model = Diffusion(**SMALL, epsilon=2.0, domain=domain).fit(private)
    yield "private, file", model
    yield "private, rows", model.sample(40, random_state=1)


def tokens() -> Results:
    """Computes results of a table of categories alone."""
    rows = mixed_rows()[["city", "paid", "grade"]]
    model = Diffusion(**SMALL).fit(rows)
    yield "file", model
    yield "rows", model.sample(40, random_state=1)
    yield "densities", model.score_samples(rows[:30])
    yield "filled", model.impute(rows[:60], random_state=1)
    yield from conditional(model, "city", rows[:20])


def regressor() -> Results:
    """Computes what regressors predict, with few rows and with enough for trees; of numbers and of few values."""
    rows = normal_rows(1_000)
    y = rows[:, 0] + np.sin(rows[:, 1]) + np.random.default_rng(5).normal(size=len(rows)) / 4
    for name, n_rows, target in (("few rows", 200, y), ("many rows", 1_000, y), ("few values", 200, np.round(y))):
        model = DiffusionRegressor(width=16, depth=1, n_networks=2, steps=60, random_state=0).fit(
            rows[:n_rows], target[:n_rows]
        )
        yield f"{name}, predicted", model.predict(rows[:30])
        yield f"{name}, quantiles", model.quantiles(rows[:30], [0.1, 0.5, 0.9])
        yield f"{name}, log-probabilities", model.log_prob(rows[:30], target[:30])
        yield f"{name}, draws", model.sample(rows[:30], 3, random_state=1)


def floats(value: Any) -> list[float]:
    """Returns the numbers in nested JSON values, sorted, without the seconds that they took."""
    if isinstance(value, dict):
        return sorted(x for key, own in value.items() if "second" not in str(key) for x in floats(own))
    if isinstance(value, list | tuple):
        return sorted(x for own in value for x in floats(own))
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def evaluations() -> Results:
    """Computes evaluations of real rows in place of generated ones."""
    numbers, mixed = normal_rows(300), mixed_rows()
    yield "numbers", floats(evaluate(numbers[:150], numbers[150:]).to_json())
    yield "mixed", floats(evaluate(mixed[:150], mixed[150:]).to_json())


def command_line() -> Results:
    """Computes files that the commands write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "numbers.npy", normal_rows())
        mixed_rows().to_csv(folder / "mixed.csv", index=False)
        for table, ending, where in (("numbers", ".npy", "0=0..1"), ("mixed", ".csv", "city=Oslo|Rome")):
            data, model, out = (str(folder / (table + end)) for end in (ending, ".model", f".out{ending}"))
            run("fit", data, "-o", model, "--epochs", "3", "--width", "16", "--depth", "1", "--seed", "0", "--quiet")
            yield f"{table}, file", Path(model)
            commands = {
                "rows": ["sample", model, "-n", "40", "--seed", "1"],
                "rows given a condition": ["sample", model, "-n", "40", "--seed", "1", "--where", where],
                "densities": ["score", model, data],
            }
            for result, command in commands.items():
                run(*command, "-o", out)
                yield f"{table}, {result}", Path(out).read_bytes()


def study() -> Results:
    """Computes the tables that a small study writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "rows.npy", normal_rows()[:, :2])
        (folder / "small.toml").write_text(STUDY)
        run("study", str(folder / "small.toml"), "-o", str(folder / "out"))
        for path in sorted((folder / "out").rglob("*.csv")):
            yield str(path.relative_to(folder / "out")), path.read_bytes()


def run(*arguments: str) -> None:
    """Runs a command of the library.

    Raises:
        RuntimeError: With what it wrote to standard error, if it fails.
    """
    done = subprocess.run([sys.executable, "-m", "pointillist", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pointillist {' '.join(arguments)}: {done.stderr.strip()}")


GROUPS: dict[str, Callable[[], Results]] = {
    "numbers": numbers,
    "numbers/frames": numbers_frames,
    "numbers/settings": numbers_settings,
    "numbers/classes": numbers_classes,
    "numbers/rewards": numbers_rewards,
    "numbers/private": numbers_private,
    "regressor": regressor,
    "study": study,
    "cli": command_line,
    "evaluate": evaluations,
    "mixed": mixed,
    "mixed/settings": mixed_settings,
    "tokens": tokens,
}


def computed(asked: list[str]) -> dict[str, str]:
    """Hashes the results of some groups; a group that fails has the error's first line in place of what is left."""
    found = {}
    for group in asked:
        start = time.perf_counter()
        try:
            for name, value in GROUPS[group]():
                found[f"{group}/{name}"] = digest(value)
        except Exception as error:
            traceback.print_exc()
            found[f"{group}/failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
        n_results, seconds = sum(name.startswith(f"{group}/") for name in found), time.perf_counter() - start
        print(f"{group}: {n_results} results, {seconds:.0f} s", file=sys.stderr)
    return found


def main() -> None:
    """Writes the hashes, or compares them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="where to write the hashes")
    parser.add_argument("--against", type=Path, metavar="FILE", help="hashes to compare with")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="groups of results")
    options = parser.parse_args()
    if not options.out and not options.against:
        parser.error("give -o FILE, --against FILE or both")
    warnings.simplefilter("ignore", UserWarning)
    found = computed(options.only)
    made = {"machine": machine.describe(), **machine.SOURCE}
    if options.out:
        options.out.write_text(json.dumps({**made, "hashes": found}, indent=1) + "\n")
    failed = [name for name in found if name.endswith("/failed")]
    differing = []
    if options.against:
        before = json.loads(options.against.read_text())
        if before["machine"] != made["machine"]:
            print(f"{options.against} is of another machine or other versions: {before['machine']}", file=sys.stderr)
        expected = {
            name: own for name, own in before["hashes"].items() if any(name.startswith(f"{x}/") for x in options.only)
        }
        differing = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
        print("\n".join(differing) or f"all {len(expected)} results are as in {options.against}")
    sys.exit(bool(failed or differing))


if __name__ == "__main__":
    main()
