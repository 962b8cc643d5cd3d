import io
import sys
import time

import pytest
from rich.console import Console

from pointillist.progress import Bar, waiting


class Clock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("pointillist.progress.time.monotonic", lambda: self.now)


def test_a_file_gets_occasional_lines(monkeypatch):
    clock, out = Clock(monkeypatch), io.StringIO()
    with Bar(Console(file=out), 100) as bar:
        for _ in range(100):
            clock.now += 1.0
            bar.say("training")
            bar.advance(1)
    lines = out.getvalue().splitlines()
    assert 4 <= len(lines) <= 7 and lines[0].split() == ["14%", "86", "s", "left", "training"]


def test_a_notebook_gets_one_line_that_is_overwritten(monkeypatch):
    clock, shown = Clock(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    console = Console(file=io.StringIO())
    console.is_jupyter = True
    with Bar(console, 4) as bar:
        for _ in range(4):
            clock.now += 1.0
            bar.say("loss 0.1")
            bar.advance(1)
    text = shown.getvalue()
    assert "\n" not in text
    assert "50%  2 s left  loss 0.1" in text
    assert text.rsplit("\r", 2)[-2].strip() == ""


@pytest.mark.parametrize("kind", ["file", "notebook", "terminal"])
def test_untrusted_text_is_shown_escaped(monkeypatch, kind):
    clock, shown = Clock(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    console = Console(file=shown, width=200, force_terminal=kind == "terminal")
    console.is_jupyter = kind == "notebook"
    with Bar(console, 4) as bar:
        clock.now += 99.0
        bar.say("[/b] [red]{x} \x1b[2J\n")
    assert r"[/b] [red]{x} \x1b[2J\n" in shown.getvalue()


def test_nothing_is_shown_by_default(monkeypatch):
    clock, out = Clock(monkeypatch), io.StringIO()
    with Bar(Console(file=out), 10, is_shown=False) as bar:
        clock.now += 99
        bar.say("training")
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar():
    out = io.StringIO()
    with Bar(Console(file=out, force_terminal=True, width=90), 10) as bar:
        bar.say("sampling")
        bar.advance(5)
    assert "━" in out.getvalue() and "sampling" in out.getvalue()


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_file_reports_only_long_waits(monkeypatch, is_shown):
    out, what = io.StringIO(), "reading [/b]\x1b[2J.csv"
    with waiting(Console(file=out, width=200), what, is_shown=is_shown):
        pass
    assert out.getvalue() == ""
    monkeypatch.setattr("pointillist.progress._LINE_EVERY", 0.05)
    with waiting(Console(file=out, width=200), what, is_shown=is_shown):
        time.sleep(0.3)
    assert (r"reading [/b]\x1b[2J.csv, 0 s" in out.getvalue()) is is_shown


def test_a_terminal_reports_waits_at_once():
    out = io.StringIO()
    with waiting(Console(file=out, width=90, force_terminal=True), "reading [/b].csv"):
        pass
    assert "reading [/b].csv" in out.getvalue()
