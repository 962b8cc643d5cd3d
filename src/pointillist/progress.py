"""Progress of a study on a terminal, one bar; and a Ctrl-C that waits for a state worth keeping."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY = 15.0
"""Seconds between lines where there is no terminal to draw a bar on."""


class Bar:
    """One bar over the whole study: share done, time left, and what is being done now.

    Where the output is no terminal it prints a line now and then instead.
    """

    def __init__(self, console: Console, total: float) -> None:
        self._console = console
        self._total = total
        self._done = 0.0
        self._last_line = 0.0
        self._progress = Progress(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=60,
        )
        self._task = self._progress.add_task("starting", total=total)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, what: str) -> None:
        """Shows what is being done now."""
        self._progress.update(self._task, description=what)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last_line > _LINE_EVERY:
            self._last_line = now
            self._console.print(f"{self._done / self._total:4.0%}  {what}", highlight=False)

    def advance(self, work: float) -> None:
        """Moves the bar."""
        self._done += work
        self._progress.advance(self._task, work)


class Interruption:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if it was; called where stopping loses nothing."""
        if self.requested:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupt(console: Console) -> Iterator[Interruption]:
    """Turns the first Ctrl-C into a request that the work looks at; the second stops at once."""
    interruption = Interruption()

    def handle(signum: int, frame: FrameType | None) -> None:
        if interruption.requested:
            raise KeyboardInterrupt
        interruption.requested = True
        console.print("stopping at the next safe place; press Ctrl-C again to stop now")

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
