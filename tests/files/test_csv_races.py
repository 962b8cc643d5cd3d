"""Checks that no row is lost on a slow disk or with concurrent readers.

Arrow reads ahead on a separate thread. If its file were closed while that thread waits for the disk, the next open file
would get the same descriptor, and the thread would take its first rows.
"""

import csv
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

SLOW_READ = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
ssize_t read(int descriptor, void *buffer, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path);
    /* Not the modules that Python imports. */
    if (size >= 32768 && length > 4 && !memcmp(path + length - 4, ".csv", 4)) {
        struct timespec nap = {0, (100 + rand() % 100) * 1000000L};
        nanosleep(&nap, 0);
    }
    return real(descriptor, buffer, size);
}
"""

READ = """
import sys
from pathlib import Path
from pointillist.files import read_numbers, read_table

mixed, numbers = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(int(sys.argv[3])):
    try:
        read_numbers(mixed)
    except ValueError as error:
        # The next file is read while Arrow may still read ahead in a refused table.
        assert "is not a number" in str(error), error
    print(len(read_table(mixed)), len(read_numbers(numbers).rows), read_table(mixed).arrow["n"].to_numpy().sum())
"""


def written(path, n, *, is_mixed):
    numbers = np.random.default_rng(0).random(n)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["n", "x", "kind"] if is_mixed else ["n", "x"])
        kind = (["even"], ["odd"]) if is_mixed else ([], [])
        writer.writerows([i, f"{x:.5f}", *kind[i % 2]] for i, x in enumerate(numbers))
    with path.open() as file:
        assert sum(1 for _ in csv.reader(file)) == n + 1
    return path


@pytest.fixture
def slow_disk(tmp_path):
    """Returns the environment of a process with slow file reads."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux, to slow a process's reads down")
    (tmp_path / "slow.c").write_text(SLOW_READ)
    library = tmp_path / "slow.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "slow.c", "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "times"), [(300_000, 1), pytest.param(500_000, 25, marks=pytest.mark.slow)])
def test_four_processes_read_every_row_of_a_slow_disk(tmp_path, slow_disk, n, times):
    mixed, numbers = (written(tmp_path / f"{i}.csv", n, is_mixed=i == 0) for i in range(2))
    command = [sys.executable, "-c", READ, str(mixed), str(numbers), str(times)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for process in [subprocess.Popen(command, env=slow_disk, **pipes) for _ in range(4)]:
        shown, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors
        assert shown.splitlines() == [f"{n} {n} {n * (n - 1) // 2}"] * times
