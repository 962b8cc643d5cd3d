"""Prints the reference of the command line, with the groups of options of `--help`; `make reference` runs it."""

from typing import Any

from typer.main import get_command

from pointillist.cli import app
from pointillist.cli.options import Command

NAME = "pointillist"

FORM = ("--delimiter", "--encoding", "--decimal", "--no-header")
"""Options of the form of a CSV file, which another page describes."""


def main() -> None:
    """Prints a Markdown page with a section for each command."""
    program = get_command(app)
    with program.make_context(NAME, [], resilient_parsing=True) as context:
        lines = ["# The command line", program.help]
        lines += _items("Options", [each.get_help_record(context) for each in program.get_params(context)])
        lines += ["`pointillist COMMAND --help` shows the help of a command."]
        for name, command in program.commands.items():
            lines += [f"## `{NAME} {name}`", command.help, *_section(command, context, name)]
    print("\n\n".join(lines))


def _section(command: Command, parent: Any, name: str) -> list[str]:
    with command.make_context(name, [], parent=parent, resilient_parsing=True) as context:
        lines = [f"```sh\n{command.get_usage(context).removeprefix('Usage: ')}\n```"]
        for heading, records in command.groups(context).items():
            lines += _items(heading, [each for each in records if not each[0].endswith("--help")])
    return lines


def _items(heading: str, records: list[tuple[str, str] | None]) -> list[str]:
    kept = [each for each in records if each is not None]
    form = ", ".join(f"`{option}`" for option, _ in kept if option.split()[0] in FORM)
    items = [f"* `{option}`: {text}" for option, text in kept if option.split()[0] not in FORM]
    items += [f"* {form}: [the form of a CSV file](csv-files.md)."] if form else []
    return [f"**{heading}**", "\n".join(items)] if items else []


if __name__ == "__main__":
    main()
