"""Options that several commands share, as text so that --help loads nothing else."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.models import OptionInfo

from pointillist.cli.command import ADVANCED, TABLE
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import READABLE
from pointillist.models.parameters import parameters_of

Engine = Literal["local", "ray"]
Command = Callable[..., None]

LARGEST_SEED = 2**32 - 1
FILES = f"{', '.join(READABLE[:-1])} or {READABLE[-1]}"
TABLES = f"{', '.join(READABLE)}, or a folder of these"

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file written by fit.")]
Columns = list[str] | None
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")]
Address = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster.", show_default="a cluster on this machine")
]


def out(metavar: str, text: str, show_default: str | bool = True) -> Any:
    """Returns the option for the output of a command."""
    return typer.Option("--out", "-o", metavar=metavar, help=text, show_default=show_default)


def seed(text: str, show_default: str | bool = True) -> Any:
    """Returns the option for a 32-bit seed."""
    return typer.Option(min=0, max=LARGEST_SEED, help=text, show_default=show_default)


def engine(text: str) -> Any:
    """Returns the option that distributes the work of a command."""
    return typer.Option(help=f"Where {text}: in this process, or in Ray tasks.")


def columns(text: str, metavar: str = "COLUMN") -> Any:
    """Returns an option that may be repeated, once for each column."""
    return typer.Option(metavar=metavar, help=f"{text}; may be repeated.")


def resume(what: str) -> Any:
    """Returns the option to continue an earlier run."""
    return typer.Option("--resume/--fresh", help=f"Continue from {what}, or start over.")


def target(name: str, text: str) -> Any:
    """Returns the option for a column of labels or a target column."""
    return typer.Option(name, metavar="COLUMN", help=f"{text}; in a .npy file, its number.")


def again(*, is_resumed: bool) -> str:
    """Returns a sentence on how to continue a command that was stopped."""
    return f"Run the same command again{'' if is_resumed else ' without --fresh'} to continue."


def grouped(groups: Mapping[str, Sequence[str]]) -> Callable[[Command], Command]:
    """Lists the options of a command by heading in its help, in the order given, and all others as advanced ones."""
    headings = {name: heading for heading, names in groups.items() for name in names}

    def group(command: Command) -> Command:
        options = []
        for each in inspect.signature(command).parameters.values():
            kind, info = each.annotation.__origin__, copy.copy(each.annotation.__metadata__[0])
            if isinstance(info, OptionInfo):
                info.rich_help_panel = headings.get(each.name, info.rich_help_panel or ADVANCED)
            options.append(each.replace(annotation=Annotated[kind, info]))
        names = [*headings]
        options.sort(key=lambda each: names.index(each.name) if each.name in names else len(names))
        return with_signature(command, options)

    return group


def configuration_options(configuration: type) -> Callable[[Command], Command]:
    """Adds the options of a configuration to a command, which takes their values as `**chosen`."""
    options = []
    for each in parameters_of(configuration).values():
        kind: Any = each.types[0]
        if each.choices:
            kind = Literal[tuple("none" if choice is None else choice for choice in each.choices)]
        if each.default is None:
            kind = kind | None
        # Without a name, typer would add a --no-… option.
        flag = [f"--{each.name.replace('_', '-')}"] if kind is bool else []
        info = typer.Option(*flag, help=each.help, show_default=each.unset or True)
        if each.is_option:
            options.append(_keyword(each.name, kind, each.default, info))
    return lambda command: _with_options(command, "chosen", options)


def csv_options(files: str = "DATA") -> Callable[[Command], Command]:
    """Adds the options for the form of CSV files to a command, which takes them as its `form`."""
    texts = {
        "delimiter": ("CHARACTER", f"Field delimiter of {files}, if CSV.", "detected from the first rows"),
        "encoding": ("NAME", f"Encoding of {files}, such as cp1252 or utf-16.", "utf-8"),
        "decimal": ("MARK", f"Decimal mark in {files}: a point or a comma.", "detected for each column"),
    }
    options = [
        _keyword(
            name,
            str | None,
            None,
            typer.Option(metavar=metavar, help=text, show_default=default, rich_help_panel=TABLE),
        )
        for name, (metavar, text, default) in texts.items()
    ]
    text = f"Read the first line of {files} as a row, if CSV; columns are named 0, 1, 2, …"
    options.append(_keyword("no_header", bool, False, typer.Option("--no-header", help=text, rich_help_panel=TABLE)))

    def add(command: Command) -> Command:
        @functools.wraps(command)
        def with_form(
            *, delimiter: str | None, encoding: str | None, decimal: str | None, no_header: bool, **others: Any
        ) -> None:
            delimiter = "\t" if delimiter in ("tab", "\\t") else delimiter
            command(**others, form=CsvForm(delimiter, encoding, decimal, False if no_header else None))

        return _with_options(with_form, "form", options)

    return add


def _keyword(name: str, kind: Any, default: Any, info: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _with_options(command: Command, name: str, options: Iterable[inspect.Parameter]) -> Command:
    """Replaces one argument of a command by options in the signature that typer reads."""
    known = inspect.signature(command).parameters.values()
    replaced = [option for each in known for option in (options if each.name == name else [each])]
    return with_signature(command, [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in replaced])


def with_signature(command: Command, keywords: Sequence[inspect.Parameter]) -> Command:
    """Sets the signature that typer reads."""
    command.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in keywords}
    return command
