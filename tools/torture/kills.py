"""Processes killed at random moments, and two that write the same output."""

import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from torture.children import Child, Fault
from torture.jobs import Job, bits, difference
from torture.tally import Acceptance, Failed


class Bench:
    """A job with the bits that it ends with when it is not disturbed.

    Args:
        job: The job.
        root: A folder for its runs.
    """

    def __init__(self, job: Job, root: Path) -> None:
        self.job = job
        # Always the same: a study keeps the paths of its data.
        self._folder = root / job.folder
        # The first run compiles.
        for _ in range(2):
            folder = self.folder()
            started = time.monotonic()
            ended = Child(job.arguments, folder).end()
            self.seconds = time.monotonic() - started
            if ended.status != 0:
                raise RuntimeError(f"{job.name}: fails undisturbed: {ended.text}")
            self.wanted = bits(folder)

    def folder(self) -> Path:
        """Makes the job's folder anew, with the inputs alone."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self.job.prepare(self._folder)
        return self._folder

    def start(self, folder: Path, fault: Fault | None = None) -> Child:
        """Starts the job."""
        return Child(self.job.arguments, folder, fault)

    def check(self, folder: Path) -> None:
        """Checks the bits, and that nothing is left behind."""
        if found := difference(bits(folder), self.wanted):
            raise Failed(found)

    def finish(self, folder: Path) -> None:
        """Runs the job after a disturbance, and checks that it ends as the undisturbed one did."""
        ended = self.start(folder).end()
        if ended.status != 0:
            raise Failed(f"the second run ended with {ended.status}: {ended.text[-2000:]}")
        self.check(folder)


def kill(bench: Bench, n: int, tally: Acceptance, seed: int) -> None:
    """Kills a job at random moments, and runs it again."""
    rng = random.Random(f"{seed} {bench.job.name}")
    for i in range(n):
        share = rng.random()
        tally.case(f"killed: {bench.job.name}", f"kill {i}, at {share:.3f}", _killed(bench, share))


def _killed(bench: Bench, share: float) -> Callable[[], None]:
    def check() -> None:
        at = share
        while True:
            folder = bench.folder()
            child = bench.start(folder)
            time.sleep(at * bench.seconds)
            child.process.kill()
            status = child.end().status
            if status == -signal.SIGKILL:
                return bench.finish(folder)
            if status != 0:
                raise Failed(f"the first run ended with {status}")
            # It was sooner ready than it was killed.
            at *= 0.8

    return check


def race(bench: Bench, n: int, tally: Acceptance) -> None:
    """Starts a job twice at once: one does it, and the other says so, or comes after it."""

    def check() -> None:
        folder = bench.folder()
        children = [bench.start(folder) for _ in range(2)]
        ended = [child.end() for child in children]
        late = [each for each in ended if each.status != 0]
        if len(late) == 2 or not all(each.is_refusal and "another process is" in each.text for each in late):
            raise Failed(" | ".join(f"{each.status}: {each.text[-1000:]}" for each in ended))
        bench.check(folder)

    for i in range(n):
        tally.case(f"raced: {bench.job.name}", f"race {i}", check)
