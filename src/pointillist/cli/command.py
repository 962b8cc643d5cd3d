"""A command whose help has groups of options."""

from typing import Any

from typer.core import TyperCommand

HEADINGS = "Arguments", "Options", "Reading the table", "Training", "Rewards", "Privacy", "Advanced"
"""Headings of the help, in order; options without a `rich_help_panel` are below the second."""

ARGUMENTS, OPTIONS, TABLE, TRAINING, REWARDS, PRIVACY, ADVANCED = HEADINGS

SYNONYMS = {"--target": "--label", "--class": "--label", "--labels": "--label", "--label": "--target"}
"""Options that users may expect, and what they are called in a command that lacks them."""


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
