"""The cache of compiled programs."""

import os

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
