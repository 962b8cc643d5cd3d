import subprocess
import sys

import pytest
from support import write_tiny


@pytest.fixture
def tiny(tmp_path):
    """A spec of five distinct models on two small files."""
    return write_tiny(tmp_path)


@pytest.fixture
def command():
    """Runs the command line in a separate process."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "pointillist", *map(str, arguments)], capture_output=True, text=True, **options
        )

    return run
