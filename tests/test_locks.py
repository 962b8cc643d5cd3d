"""One process at a time writes an output, and a killed one leaves no lock behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pointillist.cli.locks import alone

ENDLESS = "--epochs", "1000000", "--width", "4", "--depth", "1", "--seed", "0"


def fit(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "pointillist", "fit", str(folder / "rows.npy"), "-o", str(folder / "m"), *options]


def started(folder: Path) -> subprocess.Popen[bytes]:
    """Starts a fit that would take hours."""
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(64, 2)))
    process = subprocess.Popen(fit(folder, *ENDLESS), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / ".m.lock").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_the_second_fit_with_the_same_output_is_refused(tmp_path: Path) -> None:
    first = started(tmp_path)
    try:
        second = subprocess.run(fit(tmp_path, "--epochs", "1"), capture_output=True, text=True)
        line = f"pointillist: {tmp_path / 'm'}: another process is writing this file: wait until it ends\n"
        assert (second.returncode, second.stderr) == (2, line)
    finally:
        first.kill()
        first.wait()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    process = started(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with alone(tmp_path / ".m.lock", tmp_path / "m", "writing this file"):
        pass
    assert not (tmp_path / ".m.lock").exists()


def test_a_lock_that_cannot_be_created_raises_nothing(tmp_path: Path) -> None:
    with alone(tmp_path / "missing" / "lock", tmp_path / "m", "writing this file"):
        pass
