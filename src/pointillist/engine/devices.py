"""Devices: one per core on a CPU, otherwise all GPUs.

Import this module before the first use of JAX, which fixes the number of CPU devices.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from pointillist.engine.compiled import keep_programs


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cache_folder() -> Path | None:
    chosen = os.environ.get("POINTILLIST_CACHE")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pointillist" / "compiled"


MOST_DEVICES = 1024
"""Most CPU devices; each has threads of its own."""


def configure() -> None:
    """Sets JAX up once per process: CPU devices and the compilation cache.

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


def _wanted_devices() -> int:
    text = os.environ.get("POINTILLIST_DEVICES") or str(_available_cores())
    if not (text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST_DEVICES):
        raise ValueError(f"POINTILLIST_DEVICES must be a number of devices from 1 to {MOST_DEVICES}, not {text!r:.40}")
    # A program for one device is compiled otherwise, and rounds otherwise, than one for several.
    return max(2, int(text))


@cache
def _set_up() -> int:
    """Sets JAX up, and returns the process that it is set up in."""
    wanted = _wanted_devices()
    # A RuntimeError says that the devices exist already.
    with suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", wanted)
    folder = _cache_folder()
    if folder is not None:
        keep_programs(folder)
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
    """Makes a mesh of one axis over the given devices, all by default."""
    configure()
    return Mesh(np.array(jax.devices() if devices is None else list(devices)), (axis,))
