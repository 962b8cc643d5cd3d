"""How programs are compiled: options for short ones, and JAX's cache in a folder, which is seldom measured."""

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax

QUICKLY: dict[str, bool | int | str] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
"""Options of `jax.jit` for a program that takes longer to optimise than to run: it is compiled in a third of the time,
and runs two to three times longer."""

LIMIT = 512 * 2**20
"""Most bytes that the cache may take; the least recently used programs are removed first."""

SPARE = LIMIT // 16
"""Most bytes that a process writes before it measures the folder."""


def keep_programs(folder: Path) -> None:
    """Have JAX keep compiled programs in a folder, and remove files that were written only in part."""
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", LIMIT)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    _measure_seldom(min(SPARE, LIMIT - _held(folder)))
    # A cache that cannot be used costs time and nothing else.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache", UserWarning)


def _held(folder: Path) -> int:
    """Remove what a full disk or a killed process left, which JAX would neither use nor replace; return bytes kept."""
    sizes = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                sizes[entry.name] = entry.stat().st_size
    total = 0
    for name, size in sizes.items():
        if not name.endswith("-cache"):
            continue
        # The time is written last.
        atime = f"{name.removesuffix('-cache')}-atime"
        if atime in sizes:
            total += size
            continue
        with suppress(OSError):
            # Another process may have written the time since.
            if not (folder / atime).exists():
                (folder / name).unlink()
    return total


def _measure_seldom(left: int) -> None:
    """Have JAX measure the folder once `left` bytes are written, and then seldom, rather than before each program.

    With 4,000 programs in it, that takes 0.2 s, while other processes wait: longer than to compile most programs.
    """
    # A private interface: if it changes, JAX measures as often as it does by itself.
    with suppress(ImportError, AttributeError):
        from jax._src.lru_cache import LRUCache

        measure = LRUCache._evict_if_needed

        def seldom(self: Any, *, additional_size: int = 0) -> None:
            nonlocal left
            left -= additional_size
            if left < 0:
                measure(self, additional_size=max(SPARE, additional_size))
                left = SPARE - additional_size

        LRUCache._evict_if_needed = seldom  # type: ignore[method-assign]
