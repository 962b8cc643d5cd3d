"""Tasks on many machines: a thin layer over Ray, which the extra `ray` installs.

A task is a pure function of its arguments, so that one whose worker is lost is simply run again.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")

ENGINES = ("local", "ray")
"""Where work is done: in this process, or as tasks of Ray."""

RETRIES = 5
"""How often a task is run again whose worker is lost."""

CONNECTING = 10.0
"""Seconds that a cluster may take to answer."""

LOOK_EVERY = 0.5
"""Seconds between looks at Ctrl-C."""


def check_engine(engine: str, address: str | None) -> None:
    """Refuses an engine that is not there, and an address that nothing would use."""
    if engine not in ENGINES:
        raise ValueError(f"--engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if address is not None and engine != "ray":
        raise ValueError("--address is that of a Ray cluster: give --engine ray with it")
    if engine == "ray":
        _ray()
        _check_answers(address)


def _check_answers(address: str | None) -> None:
    """Raises a ValueError if nothing listens at HOST:PORT, of which Ray itself would try for minutes to make sure."""
    host, _, port = (address or "").rpartition(":")
    if not host or "://" in str(address):
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECTING).close()
    except (OSError, ValueError) as error:
        raise ValueError(f"no Ray cluster at {address}: {error}") from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ValueError("--engine ray needs Ray, which is not installed: pip install ray") from error
    return ray


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Connects to a cluster, or starts one of this machine's cores where no address is given; ends what it began.

    Raises:
        ValueError: In one line, if Ray is not installed or nothing answers at the address.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"no Ray cluster at {address}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def results(
    function: Callable[..., Result],
    shared: object,
    arguments: Sequence[tuple[Any, ...]] | Iterator[tuple[Any, ...]],
    *,
    in_order: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Result]]:
    """(i, function(shared, *arguments[i])) for every i, as they are done; within `cluster`.

    Not all tasks are handed out at once: what waits for its turn, and what waits to be used, stays small.

    Args:
        function: Of a module that the workers can import; a task takes one core.
        shared: Sent to each machine once.
        arguments: Of the tasks.
        in_order: Whether i goes up by one from one result to the next.
        check: Called twice a second; what it raises cancels all tasks.

    Raises:
        RuntimeError: If a task is lost more than `RETRIES` times. What the function itself raises is raised here.
    """
    ray = _ray()
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
    common = ray.put(shared)
    waiting: dict[Any, int] = {}
    done: dict[int, Result] = {}
    todo = enumerate(arguments)
    first = 0
    try:
        while True:
            at_once = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while len(waiting) + len(done) < at_once and (following := next(todo, None)) is not None:
                waiting[task.remote(common, *following[1])] = following[0]
            if not waiting and not done:
                return
            if waiting:
                ready, _ = ray.wait(list(waiting), timeout=LOOK_EVERY)
                for reference in ready:
                    done[waiting.pop(reference)] = _value(ray, reference)
            check()
            while done and (not in_order or first in done):
                i = first if in_order else next(iter(done))
                yield i, done.pop(i)
                first += 1
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _value(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # The function's own error, without the traceback of the machine that it was raised on.
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"a task was lost {RETRIES + 1} times: {str(error).splitlines()[0]}") from error
