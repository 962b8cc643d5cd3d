"""Runs benchmarks, and keeps what they print as the data files that pages of the documentation include.

`python benchmarks/rebuild.py --data FOLDER` runs all of `COMMANDS`, which takes hours; names run a part of them. Each
writes `docs/explanation/benchmarks/data/NAME.md`: its tables, and a line with command, machine, date and commit.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

from machine import HERE, SOURCE, describe

KEPT = HERE.parent / "docs" / "explanation" / "benchmarks" / "data"
COMMANDS = {
    "startup": "startup.py",
    "training": "training.py",
    "compiling": "compiling.py",
    "adult": "mixed.py --adult DATA/adult --seeds 1",
    "beijing": "mixed.py --beijing DATA/beijing --seeds 1",
    "default": "mixed.py --default DATA/default --seeds 1",
    "diamonds": "mixed.py --diamonds --seeds 1",
    "regression": "regression.py --data DATA/regression --splits 2",
    "inference": "inference.py --tasks DATA/sbibm/tasks",
    "small-tables": "small_tables.py --data DATA/small --splits 1",
    "residuals": "residuals.py",
    "relations": "relations.py",
    "declared-rules": "relations.py --declared 1000000",
    "conditions": "conditions.py --training-rows 2000 --epochs 40 --pool 20000",
    "peers": "peers.py",
}
"""Script in this folder and its arguments, for each data file; DATA stands for the folder of the tables."""


def kept(output: str, command: str) -> str:
    """Returns the text of a data file: what a benchmark printed, and a line with its command, machine, date and commit.

    Printed lines that are no table of Markdown become a block of code.
    """
    lines = [line for line in output.splitlines() if not re.match(r"machine: |date \d{4}-|written to ", line)]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    if "\n|" in f"\n{text}":
        text = re.sub(r"(?m)^([^|\n].*)\n(?=\|)", r"\1\n\n", text)
        text = re.sub(r"(?m)^(\|.*)\n(?=[^|\n])", r"\1\n\n", text)
    else:
        text = f"```text\n{text}\n```"
    machine = describe()
    return (
        f"{text}\n\n*`python benchmarks/{command}`, {machine['processor']}, {machine['cores']} cores, "
        f"{SOURCE['date']}, commit {SOURCE['commit']}.*\n"
    )


def main() -> None:
    """Runs the commands, and writes the data files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(COMMANDS)} (default: all)")
    parser.add_argument("--data", type=Path, default=Path("DATA"), metavar="FOLDER", help="folder of the tables")
    options = parser.parse_args()
    for name in options.names or COMMANDS:
        if name not in COMMANDS:
            parser.error(f"no data file {name!r}; there are {', '.join(COMMANDS)}")
        script, *arguments = shlex.split(COMMANDS[name].replace("DATA", str(options.data)))
        print(f"{name}: python {script} {shlex.join(arguments)}", flush=True)
        done = subprocess.run([sys.executable, HERE / script, *arguments], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{name}: exit status {done.returncode}; the data file is left as it was", file=sys.stderr)
        else:
            (KEPT / f"{name}.md").write_text(kept(done.stdout, COMMANDS[name]))


if __name__ == "__main__":
    main()
