"""Commands in processes of their own, forked from one that has imported the package and has not started JAX."""

import ctypes
import multiprocessing
import os
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

import pointillist.models.fitting
import pointillist.models.saving

# What takes long to import, in the process that all others are forked from.
import pointillist.queries.sampling
import pointillist.study.outputs
import pointillist.study.runner
from pointillist.cli import main
from pointillist.models import training
from pointillist.study import models

LIMIT = 300.0
"""Seconds after which a command counts as endless."""


class Fault(NamedTuple):
    """A fault at a system call: the library that makes it, the kind of call, which of them, and what it does."""

    library: str
    kind: int
    place: int
    action: int


class Ended(NamedTuple):
    """How a command ended: its status, which is negative after a signal, and what it printed."""

    status: int
    text: str

    @property
    def is_refusal(self) -> bool:
        """Says whether it ended with one clear line."""
        last = self.text.strip().splitlines()[-1:]
        return self.status == 2 and "Traceback" not in self.text and last[0].startswith("pointillist: ")


class Child:
    """A command that runs.

    Args:
        arguments: Arguments of `pointillist`.
        folder: Where it runs.
        fault: A fault to make in it.
    """

    def __init__(self, arguments: tuple[str, ...], folder: Path, fault: Fault | None = None) -> None:
        self._log = folder.with_name(f"{folder.name}.{time.monotonic_ns()}.log")
        context = multiprocessing.get_context("forkserver")
        self.process: ForkServerProcess = context.Process(target=_run, args=(arguments, folder, self._log, fault))
        self.process.start()

    def end(self) -> Ended:
        """Waits for the end; kills an endless command."""
        self.process.join(LIMIT)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            return Ended(1, f"had not ended after {LIMIT:.0f} s")
        assert self.process.exitcode is not None
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        self._log.unlink(missing_ok=True)
        return Ended(self.process.exitcode, text)


def start_server(cache: Path, library: str | None) -> None:
    """Prepares the process that all others are forked from; with a library that is loaded before all others."""
    tools, source = Path(__file__).parents[1], Path(pointillist.__file__).parents[1]
    os.environ["PYTHONPATH"] = f"{tools}{os.pathsep}{source}"
    os.environ.setdefault("POINTILLIST_CACHE", str(cache))
    if library is not None:
        os.environ["LD_PRELOAD"] = library
    multiprocessing.get_context("forkserver").set_forkserver_preload(["torture.children"])


def _run(arguments: tuple[str, ...], folder: Path, log: Path, fault: Fault | None) -> None:
    os.chdir(folder)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    # A state of training is kept after every call, instead of after ten seconds, and a call is short.
    training.CHECKPOINT_EVERY = models.KEEP_EVERY = 0.0
    training.STEPS_PER_CALL = 24
    if fault is not None:
        arm = ctypes.CDLL(fault.library).torture_arm
        arm(str(folder).encode(), fault.kind, ctypes.c_long(fault.place), fault.action)
    sys.argv = ["pointillist", *arguments]
    try:
        main()
    finally:
        if fault is not None and fault.kind < 0:
            count = ctypes.CDLL(fault.library).torture_count
            count.restype = ctypes.c_long
            print("COUNTS", *(count(kind) for kind in range(4)), flush=True)
