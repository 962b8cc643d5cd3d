"""Studies with made-up numbers, and their pages."""

from dataclasses import replace
from functools import partial

import pytest
from live_study import put_study
from made_up import BASELINE, CLASSIFIER, GUIDANCE, STEPS, dataset, emd_of, fill

from pointillist.study.page import write_pages
from pointillist.study.results import Results
from pointillist.study.spec import Spec, to_json
from pointillist.study.store import Store


@pytest.fixture(scope="session")
def make(tmp_path_factory):
    """Makes a study; `value` gives a cell's main number by set and column, NaN: diverged, None: not finished."""
    stores = []
    folder = tmp_path_factory.mktemp("studies")

    def build(*sections, value=emd_of, seeds=1, baseline=BASELINE, rename=None):
        store = Store(folder / f"{len(stores)}.db")
        store.connection.execute("PRAGMA synchronous = OFF")
        stores.append(store)
        sections = sections or (STEPS, GUIDANCE, CLASSIFIER)
        rename = rename or {}
        sections = tuple(replace(s, datasets=tuple(rename.get(n, n) for n in s.datasets)) for s in sections)
        datasets = {name: dataset(name) for section in sections for name in section.datasets}
        store.set_fact("spec", to_json(Spec("made-up", "A made-up study", seeds, sections)))
        store.set_fact("fingerprints", {name: of.fingerprint for name, of in datasets.items()})
        store.set_fact("machine", {"processor": "x86_64", "devices": 2})
        store.set_fact("versions", {"pointillist": "0.1.0", "jax": "0.10"})
        for name, of in datasets.items():
            store.add_dataset(of)
            for section in sections:
                for column in section.columns if name in section.datasets else ():
                    fill(store, section, column, of, value(name, column), seeds, baseline)
        return Results(store)

    yield build
    for store in stores:
        store.close()


@pytest.fixture(scope="session")
def live_results(tmp_path_factory):
    """The study whose networks have random weights."""
    with Store(tmp_path_factory.mktemp("live") / "study.db") as store:
        put_study(store)
        yield Results(store)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Writes a study's pages once; gives their folder."""
    folders = {}

    def write(results):
        if results not in folders:
            folders[results] = tmp_path_factory.mktemp("page")
            write_pages(results, folders[results])
        return folders[results]

    return write


@pytest.fixture
def page_of(opened, written):
    """Opens a study's page from the disk; an error in it, or a request to anywhere else, fails the test."""

    def build(results, fragment="", name="index.html", **options):
        page = opened(written(results) / name, fragment, **options)
        if options.get("java_script_enabled", True):
            page.wait_for_function("() => document.documentElement.dataset.isReady")
        return page

    return build


@pytest.fixture
def results_of(page_of):
    """Opens the page of a study's results."""
    return partial(page_of, name="results.html")
