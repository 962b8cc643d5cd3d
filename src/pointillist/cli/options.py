"""Options that several commands share, as text so that --help loads nothing else; and their groups in the help."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option
from typer.core import TyperCommand
from typer.models import OptionInfo

from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import READABLE
from pointillist.models.parameters import parameters_of

HEADINGS = "Arguments", "Options", "Reading the table", "Training", "Rewards", "Privacy", "Advanced"
"""Headings of the help, in order; options without a `rich_help_panel` are below the second."""

ARGUMENTS, OPTIONS, TABLE, TRAINING, REWARDS, PRIVACY, ADVANCED = HEADINGS

SYNONYMS = {"--target": "--label", "--class": "--label", "--labels": "--label", "--label": "--target"}
"""Options that users may expect, and what they are called in a command that lacks them."""

Engine = Literal["local", "ray"]
Function = Callable[..., None]

LARGEST_SEED = 2**32 - 1
FILES = f"{', '.join(READABLE[:-1])} or {READABLE[-1]}"
TABLES = f"{', '.join(READABLE)}, or a folder of these"

Model = Annotated[Path, Argument(metavar="MODEL", help="A model file written by fit.")]
Columns = list[str] | None
Json = Annotated[bool, Option("--json", help="Write JSON instead of tables.")]
Address = Annotated[str | None, Option(help="Address of a Ray cluster.", show_default="a cluster on this machine")]


class Command(TyperCommand):
    """A command that lists its options in groups."""

    def groups(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Return the names and texts of arguments and options by heading, in the order of `HEADINGS`."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            heading = ARGUMENTS if each.param_type_name == "argument" else OPTIONS
            record = each.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(each, "rich_help_panel", None) or heading, []).append(record)
        return {heading: groups[heading] for heading in HEADINGS if heading in groups}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and each group of options below its heading."""
        for heading, records in self.groups(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)


def suggest(error: Any) -> None:
    """Replace the suggestions in an error about an unknown option if the command has a synonym of it."""
    synonym = SYNONYMS.get(getattr(error, "option_name", ""))
    if synonym and error.ctx is not None and any(synonym in each.opts for each in error.ctx.command.params):
        error.possibilities = [synonym]


def out(metavar: str, text: str, show_default: str | bool = True) -> Any:
    """Returns the option for the output of a command."""
    return Option("--out", "-o", metavar=metavar, help=text, show_default=show_default)


def seed(text: str, show_default: str | bool = True) -> Any:
    """Returns the option for a 32-bit seed."""
    return Option(min=0, max=LARGEST_SEED, help=text, show_default=show_default)


def engine(text: str) -> Any:
    """Returns the option that distributes the work of a command."""
    return Option(help=f"Where {text}: in this process, or in Ray tasks.")


def columns(text: str, metavar: str = "COLUMN") -> Any:
    """Returns an option that may be repeated, once for each column."""
    return Option(metavar=metavar, help=f"{text}; may be repeated.")


def resume(what: str) -> Any:
    """Returns the option to continue an earlier run."""
    return Option("--resume/--fresh", help=f"Continue from {what}, or start over.")


def target(name: str, text: str) -> Any:
    """Returns the option for a column of labels or a target column."""
    return Option(name, metavar="COLUMN", help=f"{text}; in a .npy file, its number.")


def refuse(subject: str, given: Mapping[str, Any]) -> None:
    """Raises a ValueError about the first of some options that has a value, because the subject has none of them."""
    for option, value in given.items():
        if value is not None:
            raise ValueError(f"{subject}, for which there is no {option}: leave it out")


def changed(configuration: type, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of a configuration whose values differ from their defaults."""
    defaults = {name: each.default for name, each in parameters_of(configuration).items()}
    return {f"--{name.replace('_', '-')}": value for name, value in chosen.items() if value != defaults[name]}


def again(*, is_resumed: bool) -> str:
    """Returns a sentence on how to continue a command that was stopped."""
    return f"Run the same command again{'' if is_resumed else ' without --fresh'} to continue."


def grouped(groups: Mapping[str, Sequence[str]]) -> Callable[[Function], Function]:
    """Lists the options of a command by heading in its help, in the order given, and all others as advanced ones."""
    headings = {name: heading for heading, names in groups.items() for name in names}

    def group(command: Function) -> Function:
        options, names = [], [*headings]
        for each in inspect.signature(command).parameters.values():
            kind, info = each.annotation.__origin__, copy.copy(each.annotation.__metadata__[0])
            if isinstance(info, OptionInfo):
                info.rich_help_panel = headings.get(each.name, info.rich_help_panel or ADVANCED)
            options.append(each.replace(annotation=Annotated[kind, info]))
        options.sort(key=lambda each: names.index(each.name) if each.name in names else len(names))
        return with_signature(command, options)

    return group


def configuration_options(configuration: type) -> Callable[[Function], Function]:
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
        info = Option(*flag, help=each.help, show_default=each.unset or True)
        if each.is_option:
            options.append(keyword(each.name, Annotated[kind, info], each.default))
    return lambda command: _with_options(command, "chosen", options)


def csv_options(files: str = "DATA") -> Callable[[Function], Function]:
    """Adds the options for the form of CSV files to a command, which takes them as its `form`."""
    texts = {
        "delimiter": ("CHARACTER", f"Field delimiter of {files}, if CSV.", "detected from the first rows"),
        "encoding": ("NAME", f"Encoding of {files}, such as cp1252 or utf-16.", "utf-8"),
        "decimal": ("MARK", f"Decimal mark in {files}: a point or a comma.", "detected for each column"),
    }
    option = functools.partial(Option, rich_help_panel=TABLE)
    options = [
        keyword(name, Annotated[str | None, option(metavar=metavar, help=text, show_default=default)], None)
        for name, (metavar, text, default) in texts.items()
    ]
    text = f"Read the first line of {files} as a row, if CSV; columns are named 0, 1, 2, …"
    options.append(keyword("no_header", Annotated[bool, option("--no-header", help=text)], False))

    def add(command: Function) -> Function:
        @functools.wraps(command)
        def with_form(
            *, delimiter: str | None, encoding: str | None, decimal: str | None, no_header: bool, **others: Any
        ) -> None:
            delimiter = "\t" if delimiter in ("tab", "\\t") else delimiter
            command(**others, form=CsvForm(delimiter, encoding, decimal, False if no_header else None))

        return _with_options(with_form, "form", options)

    return add


def keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Returns an option of a signature that typer reads."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _with_options(command: Function, name: str, options: Iterable[inspect.Parameter]) -> Function:
    """Replaces one argument of a command by options in the signature that typer reads."""
    known = inspect.signature(command).parameters.values()
    replaced = [option for each in known for option in (options if each.name == name else [each])]
    return with_signature(command, [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in replaced])


def with_signature(command: Function, keywords: Sequence[inspect.Parameter]) -> Function:
    """Sets the signature that typer reads."""
    command.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in keywords}
    return command
