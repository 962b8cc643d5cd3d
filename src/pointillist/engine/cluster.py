"""Tasks on many machines: a thin layer over Ray, which the extra `ray` installs.

A task is a pure function of its arguments, so a task whose worker is lost is simply run again.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

Result = TypeVar("Result")

RETRIES = 5
"""Number of times that a task is run again when its worker is lost."""

CONNECTING, LOOK_EVERY = 10.0, 0.5
"""Seconds that a cluster may take to answer, and seconds between checks for Ctrl-C."""


def check_engine(engine: str, address: str | None) -> None:
    """Raise a ValueError if Ray is asked for and not installed, or if the address is unused or does not answer."""
    if engine != "ray":
        if address is not None:
            raise ValueError("--address is for a Ray cluster: give --engine ray with it")
        return
    _ray()
    host, _, port = (address or "").rpartition(":")
    # If nothing listens at HOST:PORT, Ray itself would keep trying for minutes.
    if host and "://" not in str(address):
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
    """Connect to a cluster, or start one on this machine if there is no address; shut down what was started.

    A ValueError in one line says that Ray is not installed, or that nothing answers at the address.
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
    arguments: Iterable[tuple[Any, ...]],
    *,
    in_order: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """Yield function(shared, *each) for each of the arguments, as they finish; to be called within `cluster`.

    The function is one of a module that the workers can import; a task takes one core, and `shared` is sent to each
    machine once. At most two tasks per core are submitted at a time, so that few wait to run and few results wait to be
    used. `check` is called twice a second, and may raise an exception to end the iteration. Submitted tasks then end
    with the connection: to cancel one that is just finishing can abort this process. A task that is lost more than
    `RETRIES` times is an OSError, and exceptions of the function itself are raised too.
    """
    ray = _ray()
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
    common = ray.put(shared)
    todo = iter(arguments)
    waiting: list[Any] = []
    while True:
        n_free = 2 * max(1, int(ray.cluster_resources().get("CPU", 1))) - len(waiting)
        waiting += [task.remote(common, *each) for each in islice(todo, max(0, n_free))]
        if not waiting:
            return
        ready, _ = ray.wait(waiting[:1] if in_order else waiting, timeout=LOOK_EVERY)
        check()
        for reference in ready:
            waiting.remove(reference)
            try:
                yield ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                # The error of the function, without the traceback of the machine that it was raised on.
                raise error.cause from None
            except ray.exceptions.RayError as error:
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                raise OSError(f"a task was lost {RETRIES + 1} times: {reason}") from error
