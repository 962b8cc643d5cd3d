"""Checks that the program of `make torture` counts errors as failures."""

import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _tools(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")


def test_checks_that_give_garbage_or_raise_are_failures():
    from torture.tally import Acceptance

    said = []
    tally = Acceptance(said.append)
    for what, check in {
        "nothing": lambda: None,
        "true": lambda: True,
        "garbage": lambda: b"\xff",
        "false": lambda: False,
        "one": lambda: 1,
        "error": Mock(side_effect=KeyError("garbage")),
    }.items():
        tally.case("row", what, check)
    tally.skip("other", "no compiler")
    row = tally.rows["row"]
    assert (row.tried, row.handled, tally.failed) == (6, 2, 4)
    assert "| row | 6 | 2 | 4 |" in tally.table() and "| other | skipped: no compiler | | |" in tally.table()
    assert len(said) == 5 and said[-1] == "*** SKIPPED: OTHER: no compiler"


@pytest.mark.parametrize(
    ("code", "text", "is_clear"),
    [
        (2, "pointillist: rows.file: is damaged\n", True),
        (2, "pointillist: warning: something\npointillist: rows.file: is damaged\n", True),
        (1, "pointillist: rows.file: is damaged\n", False),
        (2, "rows.file: is damaged\n", False),
        (2, "pointillist: n: is damaged\n", False),
        (2, "pointillist: rows.file: is damaged\nand more\n", False),
        (2, "pointillist: rows.file: not enough memory: give fewer rows\n", False),
        (2, "", False),
    ],
)
def test_a_refusal_is_one_line_that_names_the_file(monkeypatch, code, text, is_clear):
    from torture import in_process
    from torture.tally import Failed

    def main():
        print(text, end="", file=sys.stderr)
        raise SystemExit(code)

    monkeypatch.setattr(in_process, "main", main)
    if is_clear:
        assert in_process.accepts(["info", "rows.file"], Path("rows.file")) is False
    else:
        with pytest.raises(Failed):
            in_process.accepts(["info", "rows.file"], Path("rows.file"))


def test_a_traceback_is_a_failure(monkeypatch):
    from torture import in_process
    from torture.tally import Failed

    monkeypatch.setattr(in_process, "main", Mock(side_effect=ZeroDivisionError))
    with pytest.raises(Failed, match="ZeroDivisionError"):
        in_process.accepts(["info", "rows.file"], Path("rows.file"))
    monkeypatch.setattr(in_process, "main", Mock(side_effect=in_process.Reached))
    assert in_process.accepts(["info", "rows.file"], Path("rows.file")) is True


def test_changed_bits_and_leftover_files_are_reported(tmp_path):
    from torture.jobs import bits, difference

    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    wanted = bits(tmp_path)
    assert difference(wanted, wanted) == ""
    (tmp_path / "a").write_bytes(b"2")
    (tmp_path / "b").unlink()
    (tmp_path / ".c.part").touch()
    assert difference(bits(tmp_path), wanted) == ".c.part (left behind), a (other bits), b (missing)"


def test_a_silent_flip_is_a_failure():
    from torture.changes import flip
    from torture.tally import Acceptance, Failed

    whole = bytes(64)

    def check(data):
        assert np.unpackbits(np.frombuffer(data, np.uint8)).sum() == 1
        if data[:32] != whole[:32]:
            raise Failed("other rows")

    tally = Acceptance(lambda line: None)
    flip("bits", whole, 50, 0, tally, check)
    assert tally.rows["bits"].tried == 50 and 10 < tally.failed < 40
