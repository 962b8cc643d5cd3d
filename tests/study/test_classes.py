import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from sklearn.neighbors import KNeighborsClassifier
from support import dump

from pointillist import load_pointset
from pointillist.study import runner
from pointillist.study.grid import Cell, Dataset, check_data, load_dataset
from pointillist.study.measuring import (
    Scorer,
    held_out,
    measure_baseline,
    measure_classes,
    measure_classifier,
    measure_neighbors,
)
from pointillist.study.outputs import write_outputs
from pointillist.study.quantities import protocol
from pointillist.study.result_tables import markdown
from pointillist.study.results import Results
from pointillist.study.settings import Settings
from pointillist.study.spec import SpecError
from pointillist.study.spec_files import load_spec
from pointillist.study.store import Store

TINY = """
width = 8
depth = 1
time_embedding = 4
class_embedding = 4
epochs = 2
timesteps = 5
datasets = ["moons", "blobs"]
n_samples = 700
emd_rows = 20

[sections.guidance]
guidance = [0, 2]

[sections.reward]
datasets = "moons"
method = ["svdd_pm", "feynman_kac", "guidance"]
guidance = 2

[sections.classifier]
classifier = ["knn_100", "mlp_100_50", "elbo", "exact"]
n_held_out = 100
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A spec of small models on the first rows of two sets."""

    def first_rows(name):
        rows, labels = load_pointset(name, 400)
        return Dataset(name, rows, labels)

    monkeypatch.setattr(runner, "load_dataset", first_rows)
    path = tmp_path / "small.toml"
    path.write_text(TINY)
    return load_spec(str(path))


def run(spec, folder):
    folder.mkdir(exist_ok=True)
    with Store(folder / "study.db") as store:
        runner.run_study(spec, store, Console(quiet=True))
        return dump(store)


def assert_refused(tmp_path, text, message):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        run(load_spec(str(path)), tmp_path / "out")


@pytest.mark.slow
def test_a_study_of_classes(small, tmp_path):
    whole = run(small, tmp_path / "out")
    # Two conditional models and a plain one; two rows each of w = 0 and 2, and two steered ones.
    assert (len(whole["models"]), len(whole["rows"]), len(whole["cells"])) == (3, 6, 4 + 2 + 8)
    with Store(tmp_path / "out" / "study.db") as store:
        write_outputs(store, tmp_path / "out", Console(quiet=True))
        results = Results(store)
        guidance, reward, classifier = results.spec.sections
        assert [c.label for c in guidance.columns] == ["0", "2"] and guidance.varied == ("guidance",)
        text = markdown(results, guidance)
        for head in ("EMD", "accuracy", "coverage", "spread", "EMD, class 0", "EMD, class 1", "spread, class 1"):
            assert f"| moons | {head} |" in text
        assert "w = 0 is plain conditional sampling" in text
        assert results.generated("moons", reward.columns[1].settings).shape == (700, 2)
        text = markdown(results, classifier)
        assert "| blobs | accuracy on training rows |" in text and "prior KL" not in text
        truth = store.baselines(results.fingerprints["blobs"], protocol(classifier.columns[0].settings))
        assert 0.9 < truth["accuracy"].value < 0.99 and 0.9 < truth["training_accuracy"].value < 0.99
        assert store.baselines(results.fingerprints["moons"], protocol(classifier.columns[0].settings)) == {}
    names = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"guidance_blobs_rows.png", "reward_moons_rows.png", "classifier_metrics.png"} < names
    assert not any(name.startswith("classifier_") and name != "classifier_metrics.png" for name in names)


def test_labels_are_drawn_equally_often():
    dataset = Dataset("d", np.zeros((10, 1), np.float32), np.array([0] * 7 + [1] * 2 + [2]))
    assert np.bincount(dataset.labels_to_draw(1000)).tolist() == [334, 333, 333]
    assert (np.diff(dataset.labels_to_draw(33)) >= 0).all() and len(dataset.labels_to_draw(33)) == 33


@pytest.fixture(scope="module", params=["moons", pytest.param("manycircles", marks=pytest.mark.slow)])
def scored(request):
    dataset = Dataset(request.param, *load_pointset(request.param, 1000))
    return dataset, Scorer.fit(dataset)


def test_the_reward_is_the_probability_by_the_classifier(scored):
    dataset, scorer = scored
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    expected = scorer.classifier.predict_proba(rows)
    for label in range(dataset.n_classes):
        found = scorer.reward().given(jnp.asarray(label))(jnp.asarray(rows))
        np.testing.assert_allclose(found, expected[:, label], atol=1e-5)


def test_held_out_accuracy_is_measured_on_fresh_rows(scored):
    dataset, scorer = scored
    rows, labels = held_out(dataset.name)
    assert len(rows) == 8000 and not (rows[:1000] == dataset.rows).all()
    fractions = [scorer.classifier.score(rows[labels == k], labels[labels == k]) for k in range(dataset.n_classes)]
    assert scorer.held_out_accuracy == pytest.approx(np.mean(fractions))


def test_held_out_accuracy_weights_classes_equally_like_generated_rows():
    dataset = Dataset("blobs", *load_pointset("blobs", 1000))
    scorer = Scorer.fit(dataset)
    settings = Settings(method="guidance", n_samples=4000, emd_rows=50)
    (baseline,) = measure_baseline("accuracy", dataset, settings, lambda: scorer).values()
    # Fresh rows of the distribution with equal classes: the reference of the baseline.
    rows, labels = load_pointset("blobs", 40_000, random_state=7)
    n = [int((dataset.labels_to_draw(4000) == k).sum()) for k in range(2)]
    chosen = np.concatenate([rows[labels == k][: n[k]] for k in range(2)])
    cell = Cell(dataset.fingerprint, settings, 0)
    found = measure_classes(cell, dataset, chosen, scorer)["accuracy"]
    assert abs(found - baseline.value) < 4 * np.hypot(found.standard_error, baseline.spread)
    # With the class fractions of the data, 80 % and 20 %, it would be far higher.
    assert scorer.classifier.score(*held_out("blobs")) > baseline.value + 0.02


@pytest.mark.slow
def test_of_a_fixed_table_a_fifth_is_held_out():
    dataset = load_dataset("digits")
    assert held_out("digits") is None and held_out("/a/file.npy") is None
    scorer = Scorer.fit(dataset)
    assert 0.9 < scorer.held_out_accuracy < 1 and 0 < scorer.held_out_error < 0.02


def test_measures_of_classes_are_means_over_classes(scored):
    dataset, scorer = scored
    settings = Settings(method="guidance", emd_rows=50, n_samples=4000)
    cell = Cell(dataset.fingerprint, settings, 0)
    fresh, labels = held_out(dataset.name)
    # Fresh rows in the order that rows are drawn in.
    rows = np.concatenate(
        [fresh[labels == k][: (dataset.labels_to_draw(4000) == k).sum()] for k in range(dataset.n_classes)]
    )
    settings_labels = dataset.labels_to_draw(len(rows))
    measures = measure_classes(cell, dataset, rows, scorer)
    by_class = [measures[f"emd, class {k}"] for k in range(dataset.n_classes)]
    assert measures["emd"] == pytest.approx(np.mean(by_class))
    expected = np.sqrt(sum(m.standard_error**2 for m in by_class)) / len(by_class)
    assert measures["emd"].standard_error == pytest.approx(expected)
    assert measures["accuracy"] == (scorer.classifier.predict(rows) == settings_labels).mean()
    for name in ("emd", "energy_distance", "coverage", "spread"):
        record = measure_baseline(name, dataset, settings, lambda: scorer)[name]
        error = np.hypot(measures[name].standard_error, record.spread)
        assert abs(measures[name] - record.value) < 4 * error, name
    coverages = [measures[f"coverage, class {k}"] for k in range(dataset.n_classes)]
    assert measures["coverage"] == pytest.approx(np.mean(coverages))
    # One class has the rows of another: all measures show it.
    wrong = measure_classes(cell, dataset, rows[::-1], scorer)
    assert wrong["accuracy"] < 0.3 and wrong["coverage"] < 0.6
    assert wrong["energy_distance"] > 10 * abs(measures["energy_distance"])


def test_measures_of_classifiers():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    measures = measure_classifier(probabilities, np.array([0, 1, 1]))
    assert measures["accuracy"] == pytest.approx(2 / 3)
    assert np.isnan(measure_classifier(np.full((3, 2), np.nan), np.array([0, 1, 1]))["accuracy"])


def test_neighbors_of_the_data_itself_are_a_good_classifier():
    dataset = load_dataset("moons")
    order = np.argsort(dataset.labels, kind="stable")
    cell = Cell(dataset.fingerprint, Settings(method="guidance", classifier="knn_100"), 0)
    measures = measure_neighbors(cell, dataset, dataset.rows[order])
    assert measures["accuracy"] > 0.99
    # Training rows count among their neighbors.
    expected = KNeighborsClassifier(100).fit(dataset.rows, dataset.labels).score(dataset.rows, dataset.labels)
    assert measures["training_accuracy"] == expected
    broken = dataset.rows.copy()
    broken[3] = np.nan
    assert np.isnan(measure_neighbors(cell, dataset, broken)["accuracy"])


def test_neighbors_vote_with_the_class_fractions_of_the_data_except_on_training_rows():
    dataset = load_dataset("blobs")
    fresh, labels = load_pointset("blobs", 40_000, random_state=7)
    drawn = dataset.labels_to_draw(10_000)
    rows = np.concatenate([fresh[labels == k][: (drawn == k).sum()] for k in range(2)])
    settings = Settings(method="guidance", classifier="knn_100")
    measures = measure_neighbors(Cell(dataset.fingerprint, settings, 0), dataset, rows)
    # For rows of the true distribution, about as good as the true class probabilities.
    baseline = measure_baseline("accuracy", dataset, settings, None)["accuracy"]
    assert measures["accuracy"] == pytest.approx(baseline.value, abs=0.005)
    equal = KNeighborsClassifier(100).fit(rows, drawn)
    assert measures["training_accuracy"] == equal.score(dataset.rows, dataset.labels)
    fresh, labels = held_out("blobs", 2000)
    assert equal.score(fresh, labels) < measures["accuracy"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('datasets = ["rows.npy"]', "has no labels, which guidance and classifiers need; the sets with labels: moons"),
        ('datasets = ["digits"]', "is a fixed table; classifiers are measured on fresh rows"),
        (
            "emd_rows = 5\nn_samples = 22",
            r"spec, moons \(8000 rows\): n_samples = 22 gives a class 11 rows; its coverage needs 12",
        ),
        (
            "emd_rows = 5000\nn_samples = 30",
            "must be at most 15, because the EMD draws that many rows from half of every class",
        ),
    ],
)
def test_data_unsuitable_for_classes_is_refused(tmp_path, change, message):
    np.save(tmp_path / "rows.npy", np.zeros((300, 2)) + np.arange(300)[:, None])
    kind = 'classifier = "elbo"' if "table" in message else "guidance = 1"
    datasets = "" if "datasets" in change else 'datasets = "moons"\n'
    assert_refused(tmp_path, f"{datasets}{change}\n{kind}\n", message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('classifier = "elbo"\nmethod = "plain"', "classifiers use a conditional model"),
        ("guidance = 1\np_uncond = 0", "guidance = 1 needs p_uncond above 0"),
        ('method = "feynman_kac"\nreward_temperature = 0', "feynman_kac needs reward_temperature above 0"),
    ],
)
def test_unusable_methods_are_refused(tmp_path, text, message):
    assert_refused(tmp_path, f'datasets = "moons"\n{text}\n', message)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0] * 300, "has a single class; guidance and classifiers need at least two"),
        ([0] * 299 + [1], "class 1 has 1 row; every class needs at least 4"),
        ([0] * 289 + [1] * 11, "reward, moons .*: class 1 has 11 rows; the coverage of a class needs 12"),
    ],
)
def test_classes_that_are_too_few_or_too_small(small, labels, message):
    rows = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    dataset = Dataset("moons", rows, np.array(labels))
    with pytest.raises(SpecError, match=message):
        check_data(small.only(["reward"]), {"moons": dataset})


def test_a_section_holds_rows_of_one_kind(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('datasets = "moons"\nmethod = ["plain", "svdd_pm"]\n')
    with pytest.raises(SpecError, match="method: a section holds plain rows, rows of classes or classifiers"):
        load_spec(str(path))
