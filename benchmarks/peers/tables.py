"""Fits one library's model to a table of mixed columns and draws as many rows, in its own environment.

`python tables.py LIBRARY TRAIN.csv ROWS.csv SEED [CATEGORY ...]` writes the rows, at most `MOST_DRAWN`, and prints as
JSON the seconds of fitting and drawing, the processor seconds of both, and the process's peak memory in MB. Libraries:
pointillist; mostly, MOSTLY AI's engine with its defaults; copula and ctgan, SDV's Gaussian copula and its CTGAN with
`CTGAN_EPOCHS` instead of 300; forest, ForestDiffusion's flow with `FOREST` in place of its defaults, which take days on
tens of thousands of rows.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOREST = {"duplicate_K": 2, "n_t": 10, "n_estimators": 30, "n_jobs": 1, "nthread": 2}
"""Copies of each row, noise levels, trees: defaults are 100, 50 and 100."""

CTGAN_EPOCHS, MOST_DRAWN = 3, 100_000

SamplingRun = Callable[[int], pd.DataFrame]


def pointillist(train: pd.DataFrame, categories: list[str], seed: int) -> SamplingRun:
    """Fits Pointillist's defaults."""
    from pointillist import Diffusion

    model = Diffusion(random_state=seed).fit(train)
    return lambda n: model.sample(n, random_state=seed)


def mostly(train: pd.DataFrame, categories: list[str], seed: int) -> SamplingRun:
    """Fits MOSTLY AI's engine: TabularARGN, with early stopping on a tenth of the rows."""
    from mostlyai import engine

    engine.set_random_state(seed)
    folder = tempfile.mkdtemp()
    engine.split(tgt_data=train, workspace_dir=folder, model_type="TABULAR")
    engine.analyze(workspace_dir=folder)
    engine.encode(workspace_dir=folder)
    engine.train(workspace_dir=folder)

    def draw(n: int) -> pd.DataFrame:
        engine.generate(workspace_dir=folder, sample_size=n)
        return pd.read_parquet(Path(folder) / "SyntheticData")

    return draw


def copula(train: pd.DataFrame, categories: list[str], seed: int) -> SamplingRun:
    """Fits SDV's Gaussian copula."""
    from sdv.single_table import GaussianCopulaSynthesizer

    return by_sdv(GaussianCopulaSynthesizer, train, categories)


def ctgan(train: pd.DataFrame, categories: list[str], seed: int) -> SamplingRun:
    """Fits SDV's CTGAN."""
    import torch
    from sdv.single_table import CTGANSynthesizer

    torch.manual_seed(seed)
    np.random.seed(seed)
    return by_sdv(CTGANSynthesizer, train, categories, epochs=CTGAN_EPOCHS)


def by_sdv(synthesizer: Callable[..., Any], train: pd.DataFrame, categories: list[str], **options: Any) -> SamplingRun:
    """Fits a synthesizer of SDV, which is told which columns are categories."""
    from sdv.metadata import Metadata

    metadata = Metadata.detect_from_dataframes({"rows": train})
    for name in categories:
        metadata.update_column(column_name=name, sdtype="categorical", table_name="rows")
    model = synthesizer(metadata, **options)
    model.fit({"rows": train})
    return lambda n: model.sample(num_rows=n)["rows"]


def forest(train: pd.DataFrame, categories: list[str], seed: int) -> SamplingRun:
    """Fits ForestDiffusion's flow matching, which takes codes of categories."""
    from ForestDiffusion import ForestDiffusionModel

    codes = {name: sorted(train[name].unique()) for name in categories}
    rows = train.copy()
    for name, known in codes.items():
        rows[name] = pd.Categorical(rows[name], known).codes
    places = [train.columns.get_loc(name) for name in categories]
    whole = [i for i, kind in enumerate(train.dtypes) if i not in places and kind.kind == "i"]
    model = ForestDiffusionModel(
        rows.to_numpy(float),
        diffusion_type="flow",
        cat_indexes=places,
        int_indexes=whole,
        seed=seed,
        **FOREST,
    )
    # It rounds in place what pandas 3 hands out read-only.
    clip_extremes = model.clip_extremes
    model.clip_extremes = lambda rows: clip_extremes(np.array(rows))

    def draw(n: int) -> pd.DataFrame:
        new = pd.DataFrame(model.generate(batch_size=n), columns=train.columns)
        for name, known in codes.items():
            new[name] = np.array(known, object)[new[name].astype(int).clip(0, len(known) - 1)]
        return new.astype({train.columns[i]: int for i in whole})

    return draw


def main() -> None:
    """Fits, draws and reports."""
    library, source, target, seed, *categories = sys.argv[1:]
    # An empty field is a missing number, but a category of its own.
    numbers = [name for name in pd.read_csv(source, nrows=0).columns if name not in categories]
    empty = {name: [""] for name in numbers}
    train = pd.read_csv(source, dtype=dict.fromkeys(categories, str), keep_default_na=False, na_values=empty)
    started = time.perf_counter()
    libraries = {"pointillist": pointillist, "mostly": mostly, "copula": copula, "ctgan": ctgan, "forest": forest}
    draw = libraries[library](train, categories, int(seed))
    fitted = time.perf_counter()
    rows = draw(min(len(train), MOST_DRAWN))
    ended = time.perf_counter()
    rows[train.columns].to_csv(target, index=False)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    found = {"fit_s": fitted - started, "sample_s": ended - fitted, "processor_s": processor, "peak_mb": used}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
