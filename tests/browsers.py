"""Browsers for tests of pages: those that Debian ships, controlled by Playwright."""

import shutil
import warnings

import pytest

BROWSERS = {
    "chromium": {"executable_path": shutil.which("chromium"), "args": ["--no-sandbox"]},
    "firefox": {"executable_path": shutil.which("firefox-esr") or shutil.which("firefox"), "channel": "moz-firefox"},
}
"""Options of `launch`; Playwright drives a Firefox that it has not changed by another protocol."""

IN_BOTH = pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)
"""For quick tests: all others run in Firefox only among the slow ones."""

IN_CHROMIUM = pytest.mark.parametrize("browser", ["chromium"], indirect=True)
"""For tests that download, set what media queries find, or fill in numbers, which that other protocol cannot yet."""

UNNAMED = """[...document.querySelectorAll('button, select, input:not([hidden])')].filter(e =>
    !(e.ariaLabel || e.textContent.trim() && e.tagName === 'BUTTON' || e.labels?.length)).map(e => e.outerHTML)"""
"""The controls of a page without a name. A label names the first control within it, which an output would be."""


def launched(playwright, name):
    """Starts a browser; skips the test, loudly, if there is none."""
    if BROWSERS[name]["executable_path"] is None:
        missing = f"NO {name.upper()}: PAGES ARE NOT TESTED IN IT; see `make browser`"
        warnings.warn(missing, stacklevel=1)
        pytest.skip(missing)
    return getattr(playwright, name).launch(**BROWSERS[name])
