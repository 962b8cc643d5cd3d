"""System calls that fail, or are the last of their process: by a library that is loaded before the C library."""

import errno
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from torture.children import Fault
from torture.kills import Bench
from torture.tally import Acceptance, Failed

KINDS = "write", "rename", "fsync", "unlink"
ERRORS = errno.ENOSPC, errno.EIO, errno.EIO, errno.EIO
DIE = -1


def build(folder: Path) -> str | None:
    """Compiles the library; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return str(library)


def make_faults(bench: Bench, library: str, most: int, tally: Acceptance) -> None:
    """Makes calls of each kind fail, and others end the process, at up to `most` places spread over the job."""
    folder = bench.folder()
    ended = bench.start(folder, Fault(library, -1, 0, 0)).end()
    bench.check(folder)
    counts = [int(n) for n in ended.text.rpartition("COUNTS")[2].split()]
    for kind, (name, error, count) in enumerate(zip(KINDS, ERRORS, counts, strict=True)):
        places = sorted({1 + i * (count - 1) // max(1, min(most, count) - 1) for i in range(min(most, count))})
        for action, what in ((DIE, "killed at"), (error, errno.errorcode[error] + " at")):
            for place in places:
                check = _with(bench, Fault(library, kind, place, action))
                tally.case(f"{what} {name}: {bench.job.name}", f"{name} {place} of {count}", check)


def _with(bench: Bench, fault: Fault) -> Callable[[], None]:
    def check() -> None:
        folder = bench.folder()
        ended = bench.start(folder, fault).end()
        is_expected = ended.status == 0 or ended.is_refusal
        if fault.action == DIE:
            # Threads may come to the place in another order, and the last of the calls not at all.
            is_expected = ended.status in (-signal.SIGKILL, 0)
        if not is_expected:
            raise Failed(f"ended with {ended.status}: {ended.text[-2000:]}")
        bench.finish(folder)

    return check
