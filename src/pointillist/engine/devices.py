"""Devices, one per core on a CPU and otherwise all GPUs, and the cache of programs that are compiled for them.

Import this module before the first use of JAX, which fixes the number of CPU devices.
"""

import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

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

MOST_DEVICES = 1024
"""Most CPU devices; each has several threads."""


def configure() -> None:
    """Set JAX up once per process: CPU devices and the compilation cache.

    `POINTILLIST_DEVICES` sets the number of CPU devices (one per available core by default; at least 2),
    `POINTILLIST_CACHE` the cache's folder, or "off". If a program has used JAX before, its number of devices stays.

    Raises:
        RuntimeError: If the process was forked after JAX had started: it would wait forever for threads that
            a fork leaves behind.
        ValueError: If `POINTILLIST_DEVICES` is not a number of devices.
    """
    if _set_up() != os.getpid():
        raise RuntimeError(
            "this process was forked after JAX had started, and cannot use it: start processes with "
            "multiprocessing.get_context('spawn')"
        )


@cache
def _set_up() -> int:
    """Set JAX up, and return the id of the process that it is set up in."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = os.environ.get("POINTILLIST_DEVICES") or str(cores)
    if not (text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST_DEVICES):
        raise ValueError(f"POINTILLIST_DEVICES must be a number of devices from 1 to {MOST_DEVICES}, not {text!r:.40}")
    # A RuntimeError says that the devices exist already.
    with suppress(RuntimeError):
        # A program for one device is compiled differently, and rounds differently, from one for several.
        jax.config.update("jax_num_cpu_devices", max(2, int(text)))
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = os.environ.get("POINTILLIST_CACHE") or Path(cache_home, "pointillist", "compiled")
    if folder != "off":
        keep_programs(Path(folder))
    return os.getpid()


def are_cores() -> bool:
    """Whether the devices are a CPU's cores."""
    configure()
    return jax.devices()[0].platform == "cpu"


def first() -> list[jax.Device]:
    """The first device alone; a program for it is compiled faster than one for several."""
    configure()
    return jax.devices()[:1]


def mesh(axis: str, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make a mesh of one axis over the given devices, all by default."""
    configure()
    return Mesh(np.array(jax.devices() if devices is None else list(devices)), (axis,))


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
