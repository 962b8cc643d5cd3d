"""The command line. Heavy modules are imported where they are used, so that --help is immediate."""

import gc
import signal
import sys
import warnings
from typing import Annotated, Any

import typer

from pointillist import __version__
from pointillist.cli.evaluation import audit, evaluate
from pointillist.cli.options import Command, suggest
from pointillist.cli.predictions import impute, predict, score
from pointillist.cli.rows import fit, sample
from pointillist.cli.showing import info, page
from pointillist.cli.studies import report, study
from pointillist.foreign_text import printable

app = typer.Typer(
    help="Diffusion models for rows of numbers and tables of any columns.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    # Rich would read text in brackets as markup.
    rich_markup_mode=None,
)
for command in (fit, sample, impute, predict, score, evaluate, audit, page, info, study, report):
    app.command(cls=Command)(command)


def _show_version(is_requested: bool) -> None:
    if is_requested:
        print(f"pointillist {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, in any command.")] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line: bad input ends with one line on standard error and exit status 2."""
    # SystemExit removes partly written files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Imported and traced objects stay: looking for garbage every 700 objects would take a tenth of a short command.
    gc.set_threshold(100_000)
    arguments = sys.argv[1:] or ["--help"]
    is_debugging = "--debug" in arguments
    warnings.showwarning = _show_warning
    try:
        sys.exit(app([text for text in arguments if text != "--debug"], prog_name="pointillist", standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        line = _line_of(error)
        if is_debugging or line is None:
            raise
        print(f"pointillist: {printable(line)}", file=sys.stderr)
        sys.exit(2)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"pointillist: warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def _line_of(error: Exception) -> str | None:
    """Return the line about an error of the user; None for an error of the library."""
    import sqlite3

    # JAX's error is known by its name, since JAX may not be loaded.
    is_jax_error = type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error)
    if isinstance(error, MemoryError) or is_jax_error:
        return "not enough memory: give fewer rows or a smaller model"
    if hasattr(error, "format_message"):
        suggest(error)
        # Typer puts these words before the message of a check.
        return " ".join(error.format_message().replace(": Value error, ", ": ").split())
    return " ".join(str(error).split()) if isinstance(error, ValueError | OSError | sqlite3.Error) else None
