"""`pointillist page`: a model as a page that draws its rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointillist.cli import options
from pointillist.cli.locks import exclusive

if TYPE_CHECKING:
    from pointillist.page import Verdict


@exclusive
def page(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file written by fit.")],
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

    from pointillist.atomic_files import check_apart
    from pointillist.foreign_text import terminal_text
    from pointillist.models.saving import load_model
    from pointillist.page import write_page

    verdict = None if evaluation is None else _verdict(evaluation)
    fitted = load_model(model)
    check_apart(out, model, "the model")
    if evaluation is not None:
        check_apart(out, evaluation, "the evaluation")
    try:
        write_page(fitted, out, model.stem if title is None else title, verdict)
    except ValueError as error:
        raise ValueError(f"{model}: {error}") from error
    text = f"{out}: {out.stat().st_size / 1000:,.0f} kB; open it in a browser"
    Console(stderr=True).print(terminal_text(text), soft_wrap=True)


def _verdict(path: Path) -> "Verdict":
    import json

    from pointillist.atomic_files import check_regular
    from pointillist.page import Verdict

    check_regular(path)
    try:
        return Verdict.from_json(json.loads(path.read_text("utf-8")))
    except RecursionError as error:
        raise ValueError(f"{path}: its lists or objects are nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
