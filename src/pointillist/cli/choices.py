"""Options that several commands share, and their choices, as text so that --help loads nothing else."""

from typing import Any, Literal

import typer

Schedule = Literal["linear", "cosine", "sigmoid"]
Scaling = Literal["minmax", "standard", "quantile", "none"]
Sampler = Literal["ancestral", "ddim", "dpm", "dpm-sde", "heun"]
Engine = Literal["local", "ray"]
Steering = Literal["svdd_pm", "feynman_kac"]
Missing = Literal["value", "unknown"]
Statistic = Literal["median"]

LARGEST_SEED = 2**32 - 1
FILES = ".npy, .csv, .csv.gz or .parquet"


def out(metavar: str, text: str) -> Any:
    """Returns the option for what a command writes."""
    return typer.Option("--out", "-o", metavar=metavar, help=text)


def seed(text: str, show_default: str | bool = True) -> Any:
    """Returns the option for a 32-bit seed."""
    return typer.Option(min=0, max=LARGEST_SEED, help=text, show_default=show_default)


def again(*, is_resumed: bool) -> str:
    """Says which command continues one that was stopped."""
    return "the same command again" if is_resumed else "the same command again without --fresh"


def target(text: str) -> Any:
    """Returns the option for a target column."""
    return typer.Option("--target", metavar="COLUMN", help=f"{text}; in a .npy file, its number.")


def delimiter(of: str = "DATA") -> Any:
    """Returns the option for what separates the fields of a CSV file."""
    return typer.Option(
        metavar="CHARACTER",
        help=f"What separates the fields of {of}, if CSV.",
        show_default="as its first rows show",
    )


def encoding(of: str = "DATA") -> Any:
    """Returns the option for the encoding of a CSV file."""
    return typer.Option(metavar="NAME", help=f"Encoding of {of}, such as cp1252 or utf-16.", show_default="utf-8")


def decimal(of: str = "DATA") -> Any:
    """Returns the option for the mark of decimals in a CSV file."""
    return typer.Option(
        metavar="MARK", help=f"What marks decimals in {of}: a point or a comma.", show_default="as each column shows"
    )


def no_header(of: str = "DATA") -> Any:
    """Returns the option that reads the first line of a CSV file as a row."""
    return typer.Option(
        "--no-header", help=f"Read the first line of {of} as a row, if CSV; columns are named 0, 1, 2, …"
    )
