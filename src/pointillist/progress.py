"""A progress bar for long work, and a Ctrl-C that waits until nothing is lost by stopping."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from pointillist.foreign_text import printable

_LINE_EVERY, _OVERWRITE_EVERY = 15.0, 0.2
"""Seconds between lines of output that is not a terminal, and between changes of a notebook's line."""


def shows_progress(verbose: bool | int | None) -> bool:
    """Return whether to show progress; None means yes in a terminal or notebook, and no elsewhere."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter if verbose is None else bool(verbose)


class Bar:
    """A progress bar: the fraction done of a total in any unit, the time left, and the current step.

    A notebook shows it as a single line that is overwritten; output to a file gets a line every 15 seconds.
    """

    def __init__(self, console: Console, total: float, *, is_shown: bool = True) -> None:
        self._console = console
        self._is_shown = is_shown
        self._last_line = 0.0 if console.is_jupyter else time.monotonic()
        self._progress = Progress(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not is_shown or not console.is_terminal or console.is_jupyter,
            speed_estimate_period=60,
            get_time=time.monotonic,
        )
        self._task = self._progress.add_task("starting", total=max(total, 1.0))

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._is_shown and self._console.is_jupyter:
            _overwrite(" " * 79 + "\r")

    def say(self, what: str) -> None:
        """Show the current step; control characters in its text are escaped."""
        self._update(description=printable(what))

    def advance(self, work: float) -> None:
        """Add finished work to the bar."""
        self._update(advance=work)

    def expect(self, total: float) -> None:
        """Change the amount of work in all."""
        self._update(total=total)

    def _update(self, **changes: Any) -> None:
        self._progress.update(self._task, **changes)
        now, is_notebook = time.monotonic(), self._console.is_jupyter
        is_due = now - self._last_line >= (_OVERWRITE_EVERY if is_notebook else _LINE_EVERY)
        if not (self._is_shown and self._progress.disable and is_due):
            return
        self._last_line = now
        task = self._progress.tasks[0]
        done, seconds = task.percentage / 100, task.time_remaining
        # The time before the first advance, when programs are compiled, does not count.
        line = f"{done:4.0%}{'' if seconds is None else f'  {seconds:.0f} s left'}  {task.description}"
        if is_notebook:
            _overwrite(f"{'█' * round(24 * done):░<24} {line}".ljust(79))
        else:
            self._console.print(line, highlight=False, markup=False)


def _overwrite(line: str) -> None:
    # Plain text with a carriage return: widgets need a package that not every notebook has.
    sys.stderr.write(f"\r{line}")
    sys.stderr.flush()


@contextmanager
def waiting(console: Console, what: str, *, is_shown: bool = True) -> Iterator[None]:
    """Show that work of unknown length goes on: by a spinner, or without a terminal by a line every 15 seconds."""
    what, started, ended = printable(what), time.monotonic(), threading.Event()

    def report() -> None:
        while not ended.wait(_LINE_EVERY):
            console.print(f"{what}, {time.monotonic() - started:.0f} s", highlight=False, markup=False)

    if not is_shown:
        yield
    elif console.is_terminal and not console.is_jupyter:
        with console.status(Text(what)):
            yield
    else:
        thread = threading.Thread(target=report, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Interruption:
    """A request to stop: Ctrl-C was pressed, or the system asked the process to end (SIGTERM)."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raise KeyboardInterrupt or SystemExit if a stop was requested; called where stopping loses nothing."""
        if self.signal is not None:
            raise KeyboardInterrupt if self.signal == signal.SIGINT else SystemExit(128 + self.signal)


class Keeping:
    """Keeps the state of long work every so many seconds, and before a requested stop."""

    def __init__(self, every: float, interruption: Interruption) -> None:
        self._every = every
        self._interruption = interruption
        self._kept_at = time.monotonic()

    def now_and_then(self, keep: Callable[[], None]) -> None:
        """Call `keep` if it is time to, or if a stop was requested, which then raises its exception."""
        if self._interruption.signal is not None or time.monotonic() - self._kept_at > self._every:
            keep()
            self._kept_at = time.monotonic()
        self._interruption.check()


@contextmanager
def deferred_interrupt(console: Console) -> Iterator[Interruption]:
    """Turn the first Ctrl-C or SIGTERM into a request that the work checks for; the second stops at once."""
    interruption = Interruption()

    def handle(signum: int, frame: FrameType | None) -> None:
        is_second, interruption.signal = interruption.signal is not None, signum
        if is_second:
            interruption.check()
        console.print("stopping at the next safe point; press Ctrl-C again to stop now")

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
