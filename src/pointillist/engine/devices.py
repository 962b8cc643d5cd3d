"""Devices, one per core on a CPU and otherwise all GPUs, and the cache of programs that are compiled for them.

Import this module before the first use of JAX, which fixes the number of CPU devices.
"""

import gc
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

QUICKLY: dict[str, bool | int | str] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
"""Options of `jax.jit` for a program that takes longer to optimize than to run: it is compiled in a third of the time,
and runs two to three times longer."""

LIMIT = 512 * 2**20
"""Most bytes of the cache when a process starts."""

MOST_DEVICES = 1024
"""Most CPU devices; each has several threads."""


def configure() -> None:
    """Set JAX up once per process: CPU devices and the compilation cache.

    `POINTILLIST_DEVICES` sets the number of CPU devices (one per available core by default; at least 2),
    `POINTILLIST_CACHE` the cache's folder, or "off". If a program has used JAX before, its number of devices stays. A
    process that was forked after JAX had started would wait forever for JAX's threads, and gets a RuntimeError.
    """
    if _set_up() != os.getpid():
        raise RuntimeError(
            "this process was forked after JAX had started, and cannot use it: start processes with "
            "multiprocessing.get_context('spawn')"
        )


@cache
def _set_up() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = os.environ.get("POINTILLIST_DEVICES") or str(cores)
    if not (text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST_DEVICES):
        raise ValueError(f"POINTILLIST_DEVICES must be a number of devices from 1 to {MOST_DEVICES}, not {text!r:.40}")
    # JAX raises a RuntimeError if the devices exist already.
    with suppress(RuntimeError):
        # A program for one device is compiled differently from one for several, and rounds differently.
        jax.config.update("jax_num_cpu_devices", max(2, int(text)))
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = os.environ.get("POINTILLIST_CACHE") or Path(cache_home, "pointillist", "compiled")
    if folder != "off":
        # JAX's limit of the size costs a lock and a look at all programs for each new one.
        _trim(Path(folder))
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        # A cache that cannot be used costs only time.
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache", UserWarning)
    return os.getpid()


def first() -> list[jax.Device]:
    """Return the first device alone; a program for it is compiled faster than one for several."""
    configure()
    return jax.devices()[:1]


def mesh(axis: str, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make a mesh of one axis over the given devices, all by default."""
    configure()
    return Mesh(np.array(jax.devices() if devices is None else list(devices)), (axis,))


def make_room() -> None:
    """Forget all compiled programs if they take half of the memory areas that Linux allows a process.

    Each program takes three areas or more, and LLVM aborts the process that needs more than `vm.max_map_count` (65,530
    by default; some thirty fits of different tables). Programs that are used again are read from the cache on disk.
    """
    with suppress(OSError):
        most = int(Path("/proc/sys/vm/max_map_count").read_text())
        if Path("/proc/self/maps").read_bytes().count(b"\n") > most // 2:
            jax.clear_caches()
            gc.collect()


def _trim(folder: Path) -> None:
    """Remove the programs that were not used for the longest time, by the file system's record, beyond `LIMIT`."""
    programs, total = [], 0
    for path in folder.glob("*-cache"):
        with suppress(OSError):
            found = path.stat()
            programs.append((found.st_atime_ns, found.st_size, path))
    for _, size, path in sorted(programs, reverse=True):
        total += size
        if total > LIMIT:
            with suppress(OSError):
                path.unlink()
