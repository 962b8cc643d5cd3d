"""Strict setup (runtime shape checks, no implicit rank promotion, two CPU devices) and browser fixtures."""

import os

os.environ.setdefault("POINTILLIST_DEVICES", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

from jaxtyping import install_import_hook

SOURCE = Path(__file__).parents[1] / "src" / "pointillist"


def _with_arrays(*packages):
    """Modules of some packages that declare shapes: elsewhere, checks would find nothing and take as long."""
    files = [path for package in packages for path in (SOURCE / package).rglob("*.py") if path.name != "__init__.py"]
    found = [path.relative_to(SOURCE).with_suffix("") for path in files if "from jaxtyping" in path.read_text()]
    return [".".join(("pointillist", *path.parts)) for path in found]


CHECKED = "columns", "rules", "models", "queries", "privacy", "estimators", "evaluation", "page", "relational", "study"
"""Packages whose arrays alone are checked."""

install_import_hook(_with_arrays("diffusion", "engine", "metrics"), "beartype.beartype")
# Constructors are checked once if what wraps them is checked.
install_import_hook([*_with_arrays(*CHECKED), "pointillist.arguments"], "shapes.check")

import gc  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
from collections import Counter  # noqa: E402
from contextlib import suppress  # noqa: E402

import hypothesis  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from browsers import launched  # noqa: E402
from pointillist.engine.devices import configure  # noqa: E402
from pointillist.memory import release_memory  # noqa: E402

# Use the same examples in every run, also on a busy machine, so that results are reproducible.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")
configure()
jax.config.update("jax_numpy_rank_promotion", "raise")
# Tracing makes many long-lived objects, which the garbage collector would scan often in vain.
gc.set_threshold(100_000, 50, 100)


def _share_mb():
    """Returns a quarter of the machine's memory divided by the number of processes."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 4e6 / processes


LARGE_MB, LEAST_MB = min(3000, max(800, _share_mb())), 150
"""Memory at which compiled programs are released (tests that need them compile them again), and how much must have
been added since the last release."""

_left_mb = 0.0


@pytest.fixture(autouse=True)
def _forget_programs():
    """Releases compiled programs once they take much memory: they would take gigabytes by the end of a run."""
    global _left_mb
    yield
    if _held_mb() > max(LARGE_MB, _left_mb + LEAST_MB):
        jax.clear_caches()
        gc.collect()
        release_memory()
        _left_mb = _held_mb()


@pytest.fixture(scope="session")
def started():
    """Starts browsers, each one once for all tests."""
    from playwright.sync_api import sync_playwright

    running = {}
    with sync_playwright() as playwright:

        def start(name):
            if name not in running:
                running[name] = launched(playwright, name)
            return running[name]

        yield start
        for browser in running.values():
            browser.close()


@pytest.fixture(scope="module", params=["chromium", pytest.param("firefox", marks=pytest.mark.slow)])
def browser(request, started):
    """A browser to test a page in."""
    return started(request.param)


@pytest.fixture
def opened(browser):
    """Opens a page from the disk; an error in it, or a request to anywhere else, fails the test."""
    contexts, wrong = [], []

    def check(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(request.url)

    def build(path, fragment="", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", check)
        page.goto(f"{path.as_uri()}{fragment}")
        return page

    yield build
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def violations():
    """Returns the violations that axe-core finds in a page: rules with the offending elements."""
    from axe_playwright_python.sync_playwright import Axe

    def found(page):
        # Hidden parts are not checked.
        page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        broken = Axe().run(page).response["violations"]
        return {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in broken}

    return found


LIGHT = ("tests/columns", "tests/evaluation", "tests/files", "tests/metrics", "tests/rules", "tests/tables")


def pytest_collection_modifyitems(items):
    """Puts packages of quick tests last, so that no process ends with a file of slow tests."""
    items.sort(key=lambda item: item.nodeid.startswith(LIGHT))


_peaks: list[float] = []
"""Peak memory of each process of a run, in MB."""


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _held_mb():
    """Returns the memory of the process now, or its peak on systems that do not report it."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    return _peak_mb()


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["peak_mb"] = _peak_mb()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    _peaks.append(getattr(node, "workeroutput", {}).get("peak_mb", 0.0))


def pytest_terminal_summary(terminalreporter):
    """Prints the seconds of each package's tests and the peak memory of the processes."""
    seconds = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration"):
                folder, *rest = report.nodeid.partition("::")[0].removeprefix("tests/").split("/")
                seconds[folder if rest else "files"] += report.duration
    packages = ", ".join(f"{package} {total:.0f}" for package, total in seconds.most_common())
    terminalreporter.write_line(f"seconds by package: {packages}; peak MB by process: {[round(p) for p in _peaks]}")
