"""`pointillist info`: what a model file or a study's database holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

_SHOWN = 20
"""Most columns, classes or sections that are named one by one."""


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file, a study's database, or its folder.")],
) -> None:
    """Shows what a model file or a study's database holds."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pointillist.files import printable

    is_study = file.is_dir() or file.suffix == ".db"
    facts = _of_study(file) if is_study else _of_model(file)
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        grid.add_row(Text(name, style="bold"), Text(printable(str(value))))
    Console(soft_wrap=True).print(grid)


def _of_model(path: Path) -> dict[str, Any]:
    from pointillist.estimators.model import DiffusionModel

    model = DiffusionModel.load(path)
    kind = "tokens (masked diffusion)" if model._is_mixed else "numbers (Gaussian diffusion)"
    facts = {"kind": kind, "columns": f"{model.n_features_in_}: {_listed(_columns(model))}"}
    if model._n_classes:
        counts = zip(model.classes_.tolist(), model.class_counts_.tolist(), strict=True)
        facts["classes"] = f"{model._n_classes}: {_listed([f'{label} ({n:,})' for label, n in counts])}"
    defaults = type(model)._defaults()
    changed = {k: v for k, v in model._asked().items() if v != defaults[k] and k not in ("verbose", "random_state")}
    weights = sum(tensor.size for tensor in _tensors(model))
    return facts | {
        "parameters": ", ".join(f"{name}={value!r}" for name, value in changed.items()) or "the defaults",
        "weights": f"{weights:,}",
        "training": f"{len(model.history_):,} epochs, loss {model.history_[-1]:.4f}, seed {model.seed_}",
        "training rows": f"not in the file; their hash is {model.fingerprint_}",
    }


def _tensors(model: "DiffusionModel") -> list[Any]:
    import jax

    return jax.tree.leaves(model.network_)


def _columns(model: "DiffusionModel") -> list[str]:
    layout = model.layout_
    if model._is_mixed:
        return [f"{name} ({field.type})" for name, field in zip(layout.names, layout.schema, strict=True)]
    names = layout.names or range(len(layout.types))
    return [f"{name} ({kind})" for name, kind in zip(names, layout.types, strict=True)]


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
