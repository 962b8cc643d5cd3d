"""A study as tasks of a real Ray cluster on this machine, of several worker processes."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from support import dump

from pointillist.study.runner import run_study, run_study_on_ray
from pointillist.study.spec_files import load_spec
from pointillist.study.store import Store

ray = pytest.importorskip("ray")
CONSOLE = Console(quiet=True)


def workers():
    """Returns the ids of processes that work on a part of a study."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                name = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if name.startswith(b"ray::computed"):
                found.append(int(process.name))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork")
def test_a_study_survives_a_killed_worker_and_is_the_same_bit_for_bit(tiny, tmp_path):
    spec = load_spec(str(tiny))
    with Store(tmp_path / "here.db") as store:
        run_study(spec, store, CONSOLE)
        expected = dump(store)
    killed = []

    def kill_one():
        until = time.monotonic() + 120
        while not killed and time.monotonic() < until:
            for process in workers():
                # After it starts, and long before a worker that still imports JAX can finish.
                time.sleep(0.2)
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                return
            time.sleep(0.02)

    with Store(tmp_path / "there.db") as store:
        killer = threading.Thread(target=kill_one)
        killer.start()
        run_study_on_ray(spec, store, CONSOLE)
        killer.join()
        assert len(killed) == 1
        assert dump(store) == expected
