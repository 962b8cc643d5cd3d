"""`pointillist info` and `pointillist page`: show what a file holds."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from pointillist.cli import options
from pointillist.cli.locks import exclusive

_MOST_LISTED = 20
"""Most columns, classes or sections that are listed."""


def info(
    file: Annotated[Path, Argument(metavar="FILE", help="A model file, a study's database, or its folder.")],
) -> None:
    """Shows what a model file or a study's database holds."""
    from rich.console import Console
    from rich.table import Table

    from pointillist.cli.relational import relational_facts
    from pointillist.foreign_text import terminal_text
    from pointillist.models.saving import is_relational

    facts: dict[str, Any]
    if file.is_dir() or file.suffix == ".db":
        facts = _study_facts(file)
    elif is_relational(file):
        facts = relational_facts(file)
    else:
        facts = _model_facts(file)
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        grid.add_row(terminal_text(name, "bold"), terminal_text(str(value)))
    Console(soft_wrap=True).print(grid)


def _model_facts(path: Path) -> dict[str, Any]:
    import jax

    from pointillist.cli.table_options import file_names
    from pointillist.models.configuration import PARAMETERS
    from pointillist.models.saving import load_model

    model = load_model(path)
    codec, record, guarantee = model.codec, model.record, model.record.guarantee
    columns = [f"{name} ({kind})" for name, kind in zip(file_names(model), codec.layout.column_types, strict=True)]
    facts: dict[str, Any] = {
        "kind": "tokens (masked diffusion)" if codec.encoding.n_tokens else "numbers (Gaussian diffusion)",
        "columns": f"{codec.n_columns}: {_listed(columns)}",
    }
    if model.generated is not None:
        facts["generated"] = "; ".join(f"{each.name}: {each.text}" for each in model.generated.columns)
    for name, is_declared in (("declared rules", True), ("rules", False)):
        texts = [rule.text(codec.names) for rule in codec.rules if rule.is_declared is is_declared]
        facts |= {name: "; ".join(texts)} if texts else {}
    if model.classes is not None:
        counts = zip(model.classes.labels.tolist(), model.classes.counts.tolist(), strict=True)
        classes = [f"{label} ({n:,})" if guarantee is None else str(label) for label, n in counts]
        facts["classes"] = f"{len(model.classes)}: {_listed(classes)}"
    if guarantee is not None:
        facts["privacy"] = guarantee.line
        facts["mechanisms"] = "; ".join(guarantee.mechanisms)
        facts["public"] = "; ".join(guarantee.public)
    changed = [
        f"{name}={value!r}"
        for name, value in model.parameters.items()
        if name not in ("verbose", "random_state", "rules") and value != PARAMETERS[name].default
    ]
    facts["parameters"] = ", ".join(changed) or "the defaults"
    facts["weights"] = f"{sum(tensor.size for tensor in jax.tree.leaves(model.network)):,}"
    if guarantee is None:
        facts["training"] = f"{len(record.history):,} epochs, loss {record.history[-1]:.4f}, seed {record.seed}"
        facts["training rows"] = f"not in the file; their hash is {record.fingerprint}"
    else:
        facts["training"] = "differentially private; losses and seed are not kept"
        facts["training rows"] = "not in the file, nor their hash"
    return facts


def _study_facts(path: Path) -> dict[str, Any]:
    from pointillist.study.results import Results
    from pointillist.study.store import Store

    path = path / "study.db" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: give a study's folder or its study.db")
    with Store(path) as store:
        results = Results(store)
        finished, missing = results.finished_and_missing()
        spec = results.spec
        return {
            "study": spec.title,
            "sections": _listed([f"{section.name} ({len(section.columns)} settings)" for section in spec.sections]),
            "data sets": _listed([Path(name).stem for name in results.fingerprints]),
            "seeds": spec.seeds,
            "cells": f"{finished:,} finished, {missing:,} missing",
        }


def _listed(parts: list[str]) -> str:
    more = f" and {len(parts) - _MOST_LISTED:,} more" if len(parts) > _MOST_LISTED else ""
    return ", ".join(parts[:_MOST_LISTED]) + more


@exclusive
def page(
    model: options.Model,
    out: Annotated[Path, options.out("FILE", "The HTML file to write.")],
    title: Annotated[
        str | None, Option(help="Title of the page.", show_default="the model's name without its ending")
    ] = None,
    evaluation: Annotated[
        Path | None, Option(metavar="FILE.json", help="Output of `evaluate --json`, whose verdict the page shows.")
    ] = None,
) -> None:
    """Writes a model as one HTML file that draws rows in a browser, without a server or a network."""
    from rich.console import Console

    from pointillist.cli.table_options import json_in
    from pointillist.foreign_text import terminal_text
    from pointillist.models.saving import load_model
    from pointillist.page import Verdict, write_page

    verdict = None if evaluation is None else json_in(evaluation, Verdict.from_json)
    fitted = load_model(model)
    try:
        write_page(fitted, out, model.stem if title is None else title, verdict)
    except ValueError as error:
        raise ValueError(f"{model}: {error}") from error
    text = f"{out}: {out.stat().st_size / 1000:,.0f} kB; open it in a browser"
    Console(stderr=True).print(terminal_text(text), soft_wrap=True)
