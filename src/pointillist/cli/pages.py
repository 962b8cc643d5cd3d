"""`pointillist page`: a model as a page that draws its rows."""

from pathlib import Path
from typing import Annotated

import typer

from pointillist.cli import options
from pointillist.cli.locks import exclusive


@exclusive
def page(
    model: options.Model,
    out: Annotated[Path, options.out("FILE", "The HTML file to write.")],
    title: Annotated[
        str | None, typer.Option(help="Title of the page.", show_default="the model's name without its ending")
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json", help="What `evaluate --json` wrote of the model: the page shows its verdict."
        ),
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
