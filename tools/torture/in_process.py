"""Commands in this process, for what needs none of its own."""

import io
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from pointillist.cli import main
from torture.tally import Failed

LONGEST = 1000
"""Most characters of a clear line."""


class Reached(Exception):
    """Raised in the place of long work: the input was accepted."""


def accepts(arguments: list[str], about: Path) -> bool:
    """Runs a command that reads a file.

    Args:
        arguments: Arguments of `pointillist`.
        about: The file that a refusal must name.

    Returns:
        Whether the command ended well or got as far as to `Reached`; else it refused the file in one clear line.

    Raises:
        Failed: If it did neither.
    """
    shown = io.StringIO()
    before = sys.argv
    sys.argv = ["pointillist", *arguments]
    try:
        with redirect_stderr(shown), redirect_stdout(io.StringIO()):
            main()
    except SystemExit as stop:
        if not stop.code:
            return True
        check_refusal(stop.code, shown.getvalue(), about)
        return False
    except Reached:
        return True
    except BaseException:
        raise Failed(traceback.format_exc()) from None
    finally:
        sys.argv = before
    raise Failed("the command returned")


def check_refusal(code: object, text: str, about: Path) -> None:
    """Checks that a command refused a file with status 2 and one line that names it.

    Raises:
        Failed: If it did not.
    """
    lines = [line for line in text.splitlines() if not line.startswith("pointillist: warning: ")]
    is_clear = len(lines) == 1 and lines[0].startswith("pointillist: ") and about.name in lines[0]
    if code != 2 or not is_clear or len(lines[0]) > LONGEST or "not enough memory" in lines[0]:
        raise Failed(f"ended with {code}: {text[:2000]}")
