"""Hostile files, read by the commands under a limit of memory: accepted or refused in one clear line."""

import multiprocessing
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import numpy as np
from pyarrow import csv, parquet

from torture.children import Child
from torture.hostile_stores import hostile_store
from torture.hostile_tables import hostile_csv, hostile_parquet
from torture.hostile_texts import hostile_model, hostile_spec
from torture.in_process import Reached, accepts
from torture.jobs import FIT_MIXED, FIT_NUMBERS, STUDY
from torture.tally import Acceptance, Failed

MEMORY = 3 * 2**29
"""Bytes of addresses that a process may take for a hostile file besides those that it has."""

SECONDS = 60
"""Seconds after which a file counts as read for ever."""

Maker = Callable[[np.random.Generator, Path, Path], str]
"""Writes a file: takes random numbers, the folder of good files and the path; returns a few words about the file."""

KINDS: dict[str, tuple[str, Maker, str]] = {
    "model files": ("model", hostile_model, "sample {given} -n 3 --out {folder}/rows.csv"),
    "stores": ("results/study.db", hostile_store, "report {given}"),
    "CSV files": ("mixed.csv", hostile_csv, "fit {given} --epochs 1 --out {folder}/m --quiet"),
    "Parquet files": ("mixed.parquet", hostile_parquet, "fit {given} --epochs 1 --out {folder}/m --quiet"),
    "specs": ("tiny.toml", hostile_spec, "study {given} --out {folder}/results --fresh"),
}
"""By kind: name of a good file, what makes hostile ones, and the command that reads them."""


def run(root: Path, n: int, seed: int, tally: Acceptance) -> None:
    """Reads n hostile files of each kind."""
    good = _good(root / "good")
    for kind in KINDS:
        done = 0
        while done < n:
            done = _read_on(kind, done, n, good, root, seed, tally)


def _good(folder: Path) -> Path:
    """Makes a folder with a good file of each kind."""
    folder.mkdir()
    for job, name in ((FIT_NUMBERS, "model"), (FIT_MIXED, "mixed.model"), (STUDY, None)):
        job.prepare(folder)
        if (ended := Child(job.arguments, folder).end()).status:
            raise RuntimeError(ended.text)
        if name is not None:
            (folder / "m").rename(folder / name)
    parquet.write_table(csv.read_csv(folder / "mixed.csv"), folder / "mixed.parquet")
    return folder


def _read_on(kind: str, first: int, n: int, good: Path, root: Path, seed: int, tally: Acceptance) -> int:
    """Reads files from a first one on in one process, until all are read or one ends it; returns how many are done."""
    name = f"hostile {kind}"
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_read, args=(kind, first, n, good, root, seed, theirs))
    process.start()
    theirs.close()
    what, n_accepted = "start", 0
    try:
        while ours.poll(5 * SECONDS if what == "start" else SECONDS):
            match ours.recv():
                case str(what):
                    pass
                case (str(error), bool(is_accepted)):
                    n_accepted += is_accepted
                    tally.case(name, f"{first}, {what}", lambda error=error: _raise(error) if error else None)
                    first += 1
        why = f"was not read in {SECONDS} s"
    except EOFError:
        why = "ended the process"
    process.kill()
    process.join()
    print(f"{name}: {n_accepted} accepted, the others refused", flush=True)
    if first < n:
        if what == "start":
            raise RuntimeError(f"the good file of {kind}: {why}")
        tally.case(name, f"{first}, {what}", lambda: _raise(f"{why}, status {process.exitcode}"))
        first += 1
    return first


def _raise(error: str) -> NoReturn:
    raise Failed(error)


def _read(kind: str, first: int, n: int, good: Path, root: Path, seed: int, pipe: Connection) -> None:
    """Tells what each file is, and then what went wrong with it."""
    source, make, command = KINDS[kind]
    folder = root / f"hostile-{kind.replace(' ', '-')}"
    path = folder / source
    path.parent.mkdir(parents=True, exist_ok=True)
    given = path.parent if kind == "stores" else path
    arguments = [text.format(given=given, folder=folder) for text in command.split()]
    # Whether data fit a spec is said of its name.
    named = path.with_suffix("") if kind == "specs" else path
    with ExitStack() as stack:
        for long in ("pointillist.models.fitting.Task.fit", "pointillist.study.runner.compute"):
            stack.enter_context(patch(long, side_effect=Reached))
        stack.enter_context(patch("pointillist.study.outputs.write_figures"))
        for name in (source, "rows.npy"):
            (folder / name).write_bytes((good / name).read_bytes())
        beside = {*root.iterdir()}
        if not accepts(arguments, named):
            raise RuntimeError(f"the good file of {kind} was refused")
        for i in range(first, n):
            what = _made(make, [seed, i], good, path)
            pipe.send(what)
            try:
                with _memory(MEMORY):
                    is_accepted = accepts(arguments, named)
                if more := {*root.iterdir()} - beside:
                    raise Failed(f"wrote outside of its folder: {more}")
            except Failed as error:
                pipe.send((str(error), False))
            else:
                pipe.send(("", is_accepted))


@contextmanager
def _memory(more: int) -> Iterator[None]:
    """Limits the bytes of addresses that this process may take in a block besides those that it has."""
    most = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + more
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _made(make: Maker, seed: list[int], good: Path, path: Path) -> str:
    """Writes a file; another one where the libraries that write refuse to."""
    for attempt in range(100):
        try:
            return make(np.random.default_rng([*seed, attempt]), good, path)
        except (ValueError, NotImplementedError):
            continue
    raise RuntimeError("no file could be written")
