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
