"""The page of a model, opened in a browser."""

import pytest


@pytest.fixture
def page_of(opened, tmp_path):
    """Opens the page of a model, and waits for its first rows."""

    def build(model, **options):
        model.page(tmp_path / "model.html")
        page = opened(tmp_path / "model.html", **options)
        page.wait_for_function("() => !document.querySelector('#csv').disabled")
        return page

    return build
