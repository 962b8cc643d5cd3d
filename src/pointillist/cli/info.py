"""`pointillist info`: what a model file or a study's database holds."""

from pathlib import Path
from typing import Annotated, Any

import typer

_SHOWN = 20
"""Most columns, classes or sections that are named one by one."""


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file, a study's database, or its folder.")],
) -> None:
    """Shows what a model file or a study's database holds."""
    from rich.console import Console
    from rich.table import Table

    from pointillist.foreign_text import terminal_text

    is_study = file.is_dir() or file.suffix == ".db"
    facts = _of_study(file) if is_study else _of_model(file)
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        grid.add_row(terminal_text(name, "bold"), terminal_text(str(value)))
    Console(soft_wrap=True).print(grid)


def _of_model(path: Path) -> dict[str, Any]:
    import jax

    from pointillist.cli.table_options import file_names
    from pointillist.models.configuration import PARAMETERS
    from pointillist.models.saving import load_model

    model = load_model(path)
    codec, record = model.codec, model.record
    is_of_tokens = codec.encoding.n_tokens > 0
    columns = [f"{name} ({kind})" for name, kind in zip(file_names(model), codec.types, strict=True)]
    kind = "tokens (masked diffusion)" if is_of_tokens else "numbers (Gaussian diffusion)"
    facts = {"kind": kind, "columns": f"{codec.n_columns}: {_listed(columns)}"}
    if codec.rules:
        facts["rules"] = "; ".join(rule.text(codec.names) for rule in codec.rules)
    if model.classes is not None:
        counts = zip(model.classes.labels.tolist(), model.classes.counts.tolist(), strict=True)
        is_counted = record.guarantee is None
        classes = [f"{label} ({n:,})" if is_counted else str(label) for label, n in counts]
        facts["classes"] = f"{len(model.classes)}: {_listed(classes)}"
    asked = {name: value for name, value in model.parameters.items() if name not in ("verbose", "random_state")}
    changed = {name: value for name, value in asked.items() if value != PARAMETERS[name].default}
    weights = sum(tensor.size for tensor in jax.tree.leaves(model.network))
    if record.guarantee is not None:
        facts |= {
            "privacy": record.guarantee.line,
            "mechanisms": "; ".join(record.guarantee.mechanisms),
            "public": "; ".join(record.guarantee.public),
        }
    training = f"{len(record.history):,} epochs, loss {record.history[-1]:.4f}, seed {record.seed}"
    of_rows = f"not in the file; their hash is {record.fingerprint}"
    if record.guarantee is not None:
        training, of_rows = "differentially private; losses and seed are not kept", "not in the file, nor their hash"
    return facts | {
        "parameters": ", ".join(f"{name}={value!r}" for name, value in changed.items()) or "the defaults",
        "weights": f"{weights:,}",
        "training": training,
        "training rows": of_rows,
    }


def _of_study(path: Path) -> dict[str, Any]:
    from pointillist.study.results import Results
    from pointillist.study.store import Store

    path = path / "study.db" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: give a study's folder or its study.db")
    with Store(path) as store:
        results = Results(store)
        finished, missing = results.finished_and_missing()
        spec = results.spec
        sections = [f"{section.name} ({len(section.columns)} settings)" for section in spec.sections]
        return {
            "study": spec.title,
            "sections": _listed(sections),
            "data sets": _listed([Path(name).stem for name in results.fingerprints]),
            "seeds": spec.seeds,
            "cells": f"{finished:,} finished, {missing:,} missing",
        }


def _listed(parts: list[str]) -> str:
    more = f" and {len(parts) - _SHOWN:,} more" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + more
