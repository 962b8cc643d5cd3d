"""`python -m pointillist` is the command `pointillist`."""

import os
import signal
import sys
import threading
from types import FrameType

_AGAIN_SECONDS = 0.05
"""Time after which an interrupt during an import is repeated."""


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise a KeyboardInterrupt; during an import, which might swallow it, try again a moment later."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            again = threading.Timer(_AGAIN_SECONDS, os.kill, [os.getpid(), signal.SIGINT])
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; on Ctrl-C, end with exit status 130 and without a traceback."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from pointillist.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
