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
    "tables": "mixed.py --adult DATA/adult --beijing DATA/beijing --default DATA/default --diamonds --seeds 1",
    "axes": "mixed.py --files DATA/beans.csv --without-axes --seeds 1",
    "residuals": "residuals.py --tables 0 2 4 10 12 14 15 16 17 19",
    "relations": "relations.py",
    "declared-rules": "relations.py --declared 1000000",
    "rules-detection": "relations.py --data DATA",
    "conditions": "conditions.py --training-rows 2000 --epochs 40 --pool 20000",
    "libraries": "mixed.py --adult DATA/adult --seeds 0 "
    "--libraries pointillist=.venv/bin/python mostly=.venv-mostly/bin/python",
    "related": "relational.py --data DATA/relational --peer .venv-related/bin/python "
    "--syntherela .venv-syntherela/bin/python --rivals",
    "related-libraries": "relational.py --data DATA/relational --peer .venv-related/bin/python "
    "--syntherela .venv-syntherela/bin/python --without",
    "related-large": "relational.py --children 100000 1000000",
    "regression": "regression.py --data DATA/regression --splits 2",
    "coverage": "regression.py --coverage 5 20 60 --splits 3",
    "inference": "inference.py --tasks DATA/sbibm/tasks",
    "anomalies": "anomalies.py --data DATA/adbench",
    "anomalies-unsupervised": "anomalies.py --data DATA/adbench --unsupervised",
    "imputation": "imputation.py --data DATA/small --methods pointillist missforest miceforest",
    "mechanisms": "mechanisms.py --data DATA --rows 2000 --peers missforest=.venv-imputation/bin/python "
    "miceforest=.venv-imputation/bin/python hyperimpute=.venv-hyperimpute/bin/python",
    "small-tables": "small_tables.py --data DATA/small --splits 1",
    "others": "small_tables.py --data DATA/small --splits 1 --neighbours",
    "speed": "peers.py --sections training sampling",
    "costs": "peers.py --sections startup",
    "quality": "peers.py --sections quality",
    "sizes": "peers.py --sizes",
    "scaling": "scaling.py --parquet",
    "wide-tables": "wide_tables.py",
    "large": "large_tables.py --rows 100000 1000000 10000000 100000000",
    "large-libraries": "large_tables.py --rows 100000 1000000 --libraries copula=.venv-related/bin/python "
    "ctgan=.venv-related/bin/python mostly=.venv-mostly/bin/python",
    "categories": "large_tables.py --categories --rows 200000",
    "large-networks": "large.py",
    "study": "study.py",
    "page": "page.py results/report/index.html",
    "page-tables": "page.py results/report/index.html --tables DATA/iris.csv DATA/penguins.csv",
    "rounding": "quantised.py results/study.db",
    "training": "training.py",
    "step": "step_parts.py",
    "startup": "startup.py",
    "compiling": "compiling.py",
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
        done = subprocess.run(
            [sys.executable, HERE / script, *arguments], stdout=subprocess.PIPE, text=True, cwd=HERE.parent
        )
        if done.returncode:
            print(f"{name}: exit status {done.returncode}; the data file is left as it was", file=sys.stderr)
        else:
            (KEPT / f"{name}.md").write_text(kept(done.stdout, COMMANDS[name]))


if __name__ == "__main__":
    main()
