"""Checks that `audit` finds members of models that memorize them, and no others."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas
import pyarrow as pa
import pytest
from rich.console import Console
from scipy.stats import kstest, norm

from pointillist import Diffusion, audit
from pointillist.metrics import nearest_share
from pointillist.privacy.attacks import ATTACKS, Knowledge, row_losses
from pointillist.privacy.auditing import MIN_ROWS
from pointillist.privacy.inputs import count_strangers, drawn_columns, side_of
from pointillist.privacy.rates import area

RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(4, 4))


def numbers(n, rng=RNG):
    return rng.normal(size=(n, 4)) @ MIXING


def mixed(n):
    kind = RNG.integers(0, 3, n)
    x = RNG.normal(size=n) + kind
    return pandas.DataFrame({"kind": np.array(list("abc"))[kind], "x": x, "y": 0.8 * x + 0.3 * RNG.normal(size=n)})


MEMBERS, OTHERS = numbers(60), numbers(400)


@pytest.fixture(scope="module")
def by_heart():
    """Returns a model that has memorized its 60 training rows."""
    return Diffusion(epochs=4000, batch_size=60, averaging=0.0, random_state=0).fit(MEMBERS)


@pytest.fixture(scope="module")
def model():
    """Returns a smaller model that has memorized some of its training rows."""
    options = {"epochs": 1000, "width": 64, "depth": 2, "learning_rate": 3e-3}
    return Diffusion(**options, batch_size=60, averaging=0.0, random_state=0).fit(MEMBERS)


@pytest.fixture(scope="module")
def report(model):
    return audit(model, MEMBERS, OTHERS, n_drawn=1000)


@pytest.mark.slow
def test_members_of_a_small_model_are_found(report):
    assert report.is_exposed and report.epsilon > 0.2
    assert report.attacks[-1].name == "loss" and report.attacks[-1].auc > 0.65
    assert "Members are distinguishable" in report.verdict and "ε is at least" in report.verdict
    assert {row.row for row in report.exposed} <= set(range(60)) and report.exposed[0].false_positives <= 0.01


@pytest.mark.slow
def test_members_of_a_model_that_knows_them_are_found(by_heart):
    report = audit(by_heart, MEMBERS, OTHERS, n_drawn=1000)
    assert report.is_exposed and report.epsilon > 0.2
    loss = report.attacks[-1]
    assert loss.name == "loss" and loss.rates[1].value >= 0.5 and loss.auc > 0.8
    assert "Members are distinguishable" in report.verdict and "ε is at least" in report.verdict
    assert {row.row for row in report.exposed} <= set(range(60)) and report.exposed[0].false_positives <= 0.01


def test_rows_that_the_same_model_never_saw_are_not_found(model):
    found = audit(model, numbers(60), OTHERS, n_drawn=1000)
    assert not found.is_exposed and found.adjusted_p_values["loss"] > 0.01
    assert "of the 60 members are not training rows, by the counts in the model." in found.verdict


@pytest.mark.parametrize(
    ("members", "others", "said"),
    [
        (OTHERS, MEMBERS, "of the 400 members are not training rows, by the counts in the model; the model knows non-"),
        (MEMBERS, MEMBERS, ": 60 of the 60 non-members are among the members (0.0 % of the members equal another)."),
        (MEMBERS, np.vstack([OTHERS, MEMBERS[:9]]), "9 of the 60 members are among the non-members (0.0 % of the non-"),
    ],
)
def test_swapped_tables_are_reported(model, members, others, said):
    found = audit(model, members, others, n_drawn=1000)
    assert said in found.verdict
    assert found.is_exposed or found.verdict.startswith("The audit shows nothing, because its tables are not what ")


def test_counts_of_a_mixed_model_fit_its_rows_and_no_others():
    frame, others = mixed(400), mixed(400)
    fitted = Diffusion(epochs=1, width=8, depth=1, random_state=0).fit(frame)
    text = pandas.read_csv(io.StringIO(frame.to_csv(index=False)))
    counts = [
        count_strangers(fitted.model_, side_of(fitted.model_, each, None, "members"))
        for each in (frame, text, frame[:90], others, pandas.concat([frame, others]))
    ]
    assert counts[:3] == [0, 0, 0] and 4 < counts[3] < 400 and counts[4] == 400


def test_the_verdict_states_an_area_that_is_found_nine_times_in_ten(report):
    """Returns scores of two normal distributions with this difference."""
    rng, found = np.random.default_rng(1), 0
    m, n = report.n_members, report.n_non_members
    unseen = replace(report, attacks=tuple(replace(attack, p_value=1.0) for attack in report.attacks))
    assert f"an AUC of {report.detectable_auc:.2f} is detected nine times in ten, and a smaller one" in unseen.verdict
    apart = np.sqrt(2) * norm.ppf(report.detectable_auc)
    for _ in range(400):
        attack = replace(report.attacks[0], p_value=area(rng.normal(apart, 1, m), rng.normal(size=n))[1])
        others = [replace(each, p_value=1.0) for each in report.attacks[1:]]
        found += replace(report, attacks=(attack, *others)).is_exposed
    assert abs(found / 400 - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 400) + 0.02


@pytest.mark.slow
def test_p_values_of_members_never_seen_are_uniform(by_heart):
    rng = np.random.default_rng(6)
    model = by_heart.model_
    pool = side_of(model, numbers(40 * 80, rng), None, "members")
    reference = side_of(model, numbers(200, rng), None, "non_members")
    known = Knowledge(model, drawn_columns(model, 500, pool.columns, 0), reference, 0)
    for score in ATTACKS.values():
        groups = score(known, pool).reshape(40, 80)
        assert kstest([area(group[:30], group[30:])[1] for group in groups], "uniform").pvalue > 0.01


def test_a_seed_decides_everything(model, report):
    again = audit(model, MEMBERS, OTHERS, n_drawn=1000).to_json()
    assert {**again, "seconds": 0} == {**report.to_json(), "seconds": 0}


def test_the_loss_of_a_row_does_not_depend_on_other_rows(model):
    side = side_of(model.model_, numbers(70), None, "members")
    all_of_them = row_losses(model.model_, side.rows, None, 0, draws=8)
    alone = row_losses(model.model_, side.rows[66:], None, 0, draws=8)
    np.testing.assert_allclose(all_of_them[66:], alone, rtol=1e-4)


@pytest.fixture(scope="module")
def mixed_fit():
    frame = mixed(80)
    return frame, Diffusion(epochs=800, width=48, batch_size=80, averaging=0.0, random_state=0).fit(frame)


@pytest.mark.slow
def test_mixed_tables_in_any_container(mixed_fit):
    frame, model = mixed_fit
    others = mixed(200)
    found = audit(model, frame, others, n_drawn=500)
    assert found.is_exposed
    arrow = audit(model, pa.Table.from_pandas(frame), pa.Table.from_pandas(others[["y", "x", "kind"]]), n_drawn=500)
    assert arrow.to_json()["attacks"] == found.to_json()["attacks"]


@pytest.mark.slow
def test_a_row_with_an_unknown_category_is_not_a_member(mixed_fit):
    frame, model = mixed_fit
    others = mixed(200)
    others.loc[:3, "kind"] = "z"
    side = side_of(model.model_, others, None, "non_members")
    assert side.is_foreign.tolist() == [True] * 4 + [False] * 196
    assert audit(model, frame, others, n_drawn=300).attacks[-1].other_scores.min() == -5


@pytest.mark.slow
def test_labels_may_be_separate_or_a_column():
    y = RNG.integers(0, 2, 60)
    model = Diffusion(epochs=3, random_state=0).fit(MEMBERS, y)
    labels = y, RNG.integers(0, 2, 400)
    assert "label" in side_of(model.model_, MEMBERS, y, "members").columns
    assert not audit(model, MEMBERS, OTHERS, labels=labels, n_drawn=300).is_exposed
    with pytest.raises(ValueError, match="has labels, the other has none: give both, or neither"):
        audit(model, MEMBERS, OTHERS, labels=(y, None), n_drawn=300)
    assert audit(model, MEMBERS, OTHERS, n_drawn=300).n_members == 60


def test_a_column_may_be_called_label():
    frame = mixed(80).rename(columns={"kind": "label"})
    frame["code"] = np.resize([1, 2, 3], 80)
    y = RNG.choice(["yes", "no"], 80)
    asked = Diffusion(process="masked", epochs=1, width=8, depth=1, random_state=0)
    for labels in (None, y):
        model = asked.fit(frame, labels, categorical=["code"]).model_
        side = side_of(model, frame, labels, "members")
        drawn = drawn_columns(model, 50, side.columns, 0)
        assert list(drawn) == list(side.columns) and len(drawn) == 4 + (labels is not None)
        assert {*drawn["label"]} <= {*frame["label"]} and {*side.columns["label"]} == {*frame["label"]}
        if labels is not None:
            assert {*drawn["label_1"]} <= {"yes", "no"}
    # A numeric category that occurs in no training row.
    others = frame.assign(code=[7] + [1] * 79)
    assert side_of(model, others, y, "others").is_foreign.tolist() == [True] + [False] * 79


def test_the_report_and_its_json(report):
    console = Console(width=200, record=True)
    report.print_on(console)
    text = console.export_text()
    assert "the model's own loss" in str(report) and repr(report) == f"Audit({report.verdict!r})"
    assert "the model's own loss" in text and report.verdict.split(":")[0] in text and "Most exposed" in text
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert next(iter(content)) == "verdict" and content["attacks"][0].keys() == {
        *("name", "auc", "p_value", "p_value_below", "rates", "epsilon")
    }
    assert content["attacks"][2]["rates"][1]["false_positives"] == 0.1


@pytest.mark.parametrize(
    ("members", "others", "message"),
    [
        (MEMBERS[: MIN_ROWS - 1], OTHERS, "members has 29 rows"),
        (MEMBERS, OTHERS[:, :3], "non_members: X has 3 columns, and the model has 4"),
        (
            MEMBERS,
            pandas.DataFrame(OTHERS).assign(a="x")[["a", 0, 1, 2]],
            "column 0 of X holds .*string, and it held double in fit",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(model, members, others, message):
    with pytest.raises(ValueError, match=message) as caught:
        audit(model, members, others)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="model must be a fitted Diffusion"):
        audit(None, MEMBERS, OTHERS)


@pytest.mark.slow
def test_40_models_that_never_saw_their_members_have_uniform_p_values():
    """The models have memorized other rows, which must not be mistaken for these members."""
    found = {name: [] for name in ATTACKS}
    for seed in range(40):
        rng = np.random.default_rng([seed, 40])
        model = Diffusion(epochs=400, batch_size=60, averaging=0.0, random_state=seed).fit(numbers(60, rng))
        report = audit(model, numbers(60, rng), numbers(120, rng), n_drawn=500, random_state=seed)
        for attack in report.attacks:
            found[attack.name].append(attack.p_value)
    for p_values in found.values():
        assert len(p_values) == 40 and kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.slow
def test_an_overtrained_model_with_blurred_copies_is_detected():
    """5,000 epochs over 500 rows; jitter makes the nearest-record share pass, and the audit finds the members."""
    rng = np.random.default_rng(9)
    members, others, holdout = numbers(500, rng), numbers(1000, rng), numbers(500, rng)
    # All steps use complete rows: if a fifth had observed columns, only 47 % of the members would be found.
    model = Diffusion(epochs=5000, p_given=0.0, random_state=0).fit(members)
    rows = model.sample(500, random_state=0)
    jittered = rows + 0.5 * members.std(axis=0) * rng.normal(size=rows.shape)
    tables = [dict(zip("abcd", each.T, strict=True)) for each in (members, jittered, holdout)]
    assert nearest_share(*tables).is_inside
    found = audit(model, members, others)
    assert found.strongest.rates[1].value >= 0.5 and found.is_exposed


def test_columns_named_by_integers_are_found_by_their_names():
    rows = numbers(90)[:, :2]
    model = Diffusion(epochs=2, width=16, depth=1, random_state=0).fit(pandas.DataFrame(rows, columns=[1, 0]))
    for frame in (pandas.DataFrame(rows, columns=[1, 0]), pandas.DataFrame(rows[:, ::-1], columns=[0, 1])):
        np.testing.assert_array_equal(
            side_of(model.model_, frame, None, "members").rows, side_of(model.model_, rows, None, "members").rows
        )
