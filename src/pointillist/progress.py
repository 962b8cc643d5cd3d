"""A progress bar for long work, and a Ctrl-C that waits until nothing is lost by stopping."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from pointillist.foreign_text import printable

_LINE_EVERY = 15.0
"""Seconds between lines where there is no terminal to draw a bar on."""

_OVERWRITE_EVERY = 0.2
"""Seconds between changes of a notebook's line."""


def shows_progress(verbose: bool | int | None) -> bool:
    """Returns whether to show progress; None means yes in a terminal or notebook, and no elsewhere."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter if verbose is None else bool(verbose)


class Bar:
    """A progress bar: the fraction done, the time left, and the current step.

    A notebook shows it as a single line that is overwritten; output to a file gets a line every 15 seconds.

    Args:
        console: The console that shows the bar.
        total: Amount of work in all, in any unit.
        is_shown: Whether to show anything at all.
    """

    def __init__(self, console: Console, total: float, *, is_shown: bool = True) -> None:
        self._console = console
        self._total = max(total, 1.0)
        self._done = 0.0
        self._is_shown = is_shown
        self._started = time.monotonic()
        self._last_line = 0.0 if console.is_jupyter else self._started
        self._what = ""
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
        )
        self._task = self._progress.add_task("starting", total=self._total)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._is_shown and self._console.is_jupyter:
            self._write_over("")

    def say(self, what: str) -> None:
        """Shows the current step, in which the name of a file may hold anything."""
        self._what = printable(what)
        self._progress.update(self._task, description=self._what)
        self._show_line()

    def advance(self, work: float) -> None:
        """Adds finished work to the bar."""
        self._done += work
        self._progress.advance(self._task, work)
        self._show_line()

    def _show_line(self) -> None:
        now = time.monotonic()
        if not self._is_shown or not self._progress.disable:
            return
        if now - self._last_line < (_OVERWRITE_EVERY if self._console.is_jupyter else _LINE_EVERY):
            return
        self._last_line = now
        share = self._done / self._total
        if self._console.is_jupyter:
            left = f"  {(now - self._started) * (1 - share) / share:.0f} s left" if share > 0 else ""
            self._write_over(f"{'█' * round(24 * share):░<24} {share:4.0%}{left}  {self._what}")
        else:
            self._console.print(f"{share:4.0%}  {self._what}", highlight=False, markup=False)

    def _write_over(self, line: str) -> None:
        # Plain text with a carriage return: widgets need a package that not every notebook has.
        sys.stderr.write(f"\r{line:<79}\r" if not line else f"\r{line:<79}")
        sys.stderr.flush()


@contextmanager
def waiting(console: Console, what: str, *, is_shown: bool = True) -> Iterator[None]:
    """Shows that work of unknown length goes on: by a spinner, or without a terminal by a line every 15 seconds."""
    what, started, ended = printable(what), time.monotonic(), threading.Event()

    def tell() -> None:
        while not ended.wait(_LINE_EVERY):
            console.print(f"{what}, {time.monotonic() - started:.0f} s", highlight=False, markup=False)

    if not is_shown:
        yield
    elif console.is_terminal and not console.is_jupyter:
        with console.status(Text(what)):
            yield
    else:
        thread = threading.Thread(target=tell, daemon=True)
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

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self.signal is not None

    def check(self) -> None:
        """Raises KeyboardInterrupt or SystemExit if a stop was requested; called where stopping loses nothing."""
        if self.signal is not None:
            raise _stopped_by(self.signal)


class Keeping:
    """Keeps the state of long work every so many seconds, and before a requested stop."""

    def __init__(self, every: float, interruption: Interruption) -> None:
        self._every = every
        self._interruption = interruption
        self._kept_at = time.monotonic()

    def now_and_then(self, keep: Callable[[], None]) -> None:
        """Calls `keep` if it is time to, or if a stop was requested, which then raises its exception."""
        if self._interruption.requested or time.monotonic() - self._kept_at > self._every:
            keep()
            self._kept_at = time.monotonic()
        self._interruption.check()


def _stopped_by(signum: int) -> BaseException:
    return KeyboardInterrupt() if signum == signal.SIGINT else SystemExit(128 + signum)


@contextmanager
def deferred_interrupt(console: Console) -> Iterator[Interruption]:
    """Turns the first Ctrl-C or SIGTERM into a request that the work checks for; the second stops at once."""
    interruption = Interruption()

    def handle(signum: int, frame: FrameType | None) -> None:
        if interruption.requested:
            raise _stopped_by(signum)
        interruption.signal = signum
        console.print("stopping at the next safe place; press Ctrl-C again to stop now")

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
