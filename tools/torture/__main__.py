"""Runs everything, prints the table, and ends with 1 if anything failed: `make torture`."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from torture import faults, flips, hostile
from torture.children import start_server
from torture.jobs import FIT_MIXED, FIT_NUMBERS, STUDY, Job, sample
from torture.kills import Bench, kill, race
from torture.tally import Acceptance

KINDS = "kills", "faults", "races", "flips", "hostile"


def main() -> int:
    """Runs the kinds that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="random kills of each job")
    parser.add_argument("--faults", type=int, default=6, help="places of each job, kind of call and kind of fault")
    parser.add_argument("--races", type=int, default=10, help="pairs of processes for each job")
    parser.add_argument("--flips", type=int, default=200, help="flipped bits in each kind of file")
    parser.add_argument("--hostile", type=int, default=60, help="hostile files of each kind")
    parser.add_argument("--only", choices=KINDS, nargs="+", default=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    tally = Acceptance(lambda line: print(line, flush=True))
    try:
        with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as name:
            _run(asked, Path(name).resolve(), tally)
    except KeyboardInterrupt:
        print("stopped: what was tried until then is")
    print(tally.table())
    return 1 if tally.failed else 0


def _run(asked: argparse.Namespace, root: Path, tally: Acceptance) -> None:
    library = faults.build(root) if "faults" in asked.only else None
    start_server(root / "cache", library)
    if {"kills", "faults", "races"} & {*asked.only}:
        _disturb(asked, root, library, tally)
    if "flips" in asked.only:
        flips.run(root, asked.flips, asked.seed, tally)
    if "hostile" in asked.only:
        hostile.run(root, asked.hostile, asked.seed, tally)


def _disturb(asked: argparse.Namespace, root: Path, library: str | None, tally: Acceptance) -> None:
    """Kills, faults and races of each job."""
    model = b""
    if "faults" in asked.only and library is None:
        tally.skip("faults at system calls", "no C compiler, `cc`")
    jobs: list[Callable[[], Job]] = [lambda: FIT_NUMBERS, lambda: FIT_MIXED, lambda: sample(model), lambda: STUDY]
    for job in jobs:
        bench = Bench(job(), root)
        model = model or (root / bench.job.folder / "m").read_bytes()
        if "kills" in asked.only:
            kill(bench, asked.kills, tally, asked.seed)
        if library is not None:
            faults.make_faults(bench, library, asked.faults, tally)
        if "races" in asked.only:
            race(bench, asked.races, tally)
        print(f"{bench.job.name}: done, {bench.seconds:.1f} s undisturbed, {tally.failed} failed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
