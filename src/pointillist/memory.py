"""Memory that a process has freed and still holds."""

import ctypes
import sys
from contextlib import suppress


def release_memory() -> None:
    """Give free memory back to the system, which Arrow's allocator and the GNU C library do not do by themselves."""
    # Not imported for this: the table may be an array.
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    # Other C libraries lack the function, and some systems cannot load a library without a name.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
