"""The cache of compiled programs."""

import mmap
import os
import sys
from pathlib import Path

import jax
import pytest

from pointillist.engine import devices


def test_the_programs_that_were_not_used_for_the_longest_time_are_removed(tmp_path, monkeypatch):
    for i in range(10):
        path = tmp_path / f"program{i}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1000 + i * 7 % 10, 1000))
    monkeypatch.setattr(devices, "LIMIT", 350)
    devices._trim(tmp_path)
    # The latest times are 9, 8 and 7 after the first: 7 × 7 = 49, 7 × 4 = 28 and 7 × 1 = 7.
    assert {path.name for path in tmp_path.iterdir()} == {"program7-cache", "program4-cache", "program1-cache"}
    devices._trim(tmp_path / "none")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the number of memory areas")
def test_programs_are_forgotten_before_a_process_has_too_many_memory_areas():
    compiled = jax.jit(lambda x: x + 1)
    compiled(1.0)
    devices.make_room()
    assert compiled._cache_size() == 1
    most = int(Path("/proc/sys/vm/max_map_count").read_text())
    # Neighbouring areas differ in protection, so Linux keeps them apart.
    areas = [mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE * (i % 2)) for i in range(most // 2 + 2)]
    devices.make_room()
    assert compiled._cache_size() == 0
    for area in areas:
        area.close()
    assert compiled(1.0) == 2
