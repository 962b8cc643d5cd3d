"""Private fits: what they store, what they refuse, and that audits stay within the stated epsilon."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import jax
import numpy as np
import pandas
import pyarrow as pa
import pytest

from pointillist import Diffusion, audit
from pointillist.columns.domain import ColumnDomain, domain_from_json, domain_to_json
from pointillist.models.container import read_model
from pointillist.privacy.private_fits import plan_privately, prepare
from pointillist.tables.table import cells_in

pytest.importorskip("dp_accounting")

RNG = np.random.default_rng(0)
DOMAIN = {"kind": ["a", "b", "c"], "x": (-4.0, 4.0), "n": (0, 5), "part": (0.0, 1.0, None), "yes": [False, True]}
SMALL = {"width": 16, "depth": 1, "epochs": 2}


def frame(n=200):
    part = np.where(RNG.random(n) < 0.2, np.nan, RNG.random(n))
    columns = {"kind": RNG.choice(["a", "b"], n), "x": RNG.normal(size=n), "n": RNG.integers(0, 6, n), "part": part}
    return pandas.DataFrame(columns | {"yes": RNG.random(n) < 0.3})


TABLE = frame()


def fit(seed):
    return Diffusion(epsilon=3.0, domain=DOMAIN, random_state=seed, **SMALL).fit(TABLE)


@pytest.fixture(scope="module")
def fitted():
    return fit(0)


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("private") / "p.model"
    fitted.save(path)
    return path


def test_rows_lie_in_the_domain(fitted):
    rows = fitted.sample(300, random_state=0)
    assert list(rows.columns) == list(DOMAIN) and set(rows["kind"]) <= set("abc")
    assert rows["x"].between(-4, 4).all() and rows["n"].isin(range(6)).all() and rows["n"].dtype == np.int64
    assert rows["part"].dropna().between(0, 1).all() and rows["part"].isna().any()


def test_the_file_states_the_guarantee_and_nothing_of_the_rows(fitted, saved):
    facts, _ = read_model(saved)
    stated = facts["privacy"]
    assert stated["epsilon"] == 3 and 0 < stated["delta"] < 0.01 and stated["relation"] == "one row added or removed"
    assert stated["accountant"].startswith("dp-accounting") and stated["is_seeded"] and len(stated["mechanisms"]) == 3
    assert facts["seed"] == 0 and facts["fingerprint"] == "private" and facts["parameters"]["random_state"] is None
    assert facts["rules"] == [] and not fitted.history_.any() and not len(fitted.validation_history_)
    again = Diffusion.load(saved)
    assert again.domain == {**DOMAIN} and again.model_.record.guarantee == fitted.model_.record.guarantee
    pandas.testing.assert_frame_equal(again.sample(20, random_state=1), fitted.sample(20, random_state=1))


def test_one_more_row_changes_only_noised_values():
    """Without noise in counts, neighboring tables give the same codec and file, whatever the extra row contains."""
    table = frame(100)
    strange = pandas.DataFrame({"kind": ["c"], "x": [3.99], "n": [5], "part": [np.nan], "yes": [True]})
    asked = Diffusion(epsilon=1.0, domain={**DOMAIN, "x": [-4.0, 0.0, 4.0], "part": [0.0, 1.0, None]}, random_state=0)
    with pytest.warns(UserWarning, match="moved into it"):
        plans = [plan_privately(asked, each, None, ()).plan for each in (table, pandas.concat([table, strange]))]
    (one, two), codecs = plans, [plan.codec for plan in plans]
    assert json.dumps(codecs[0].facts()) == json.dumps(codecs[1].facts())
    assert all(np.array_equal(a, b) for a, b in zip(*(c.tensors().values() for c in codecs), strict=True))
    np.testing.assert_array_equal(one.rows, two.rows[:100])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_no_seed_another_model(fitted):
    same, other = fit(0).model_, fit(None).model_
    assert not other.record.guarantee.is_seeded
    leaves, *both = (jax.tree.leaves(model.network) for model in (fitted.model_, same, other))
    for leaf, repeated, another in zip(leaves, *both, strict=True):
        np.testing.assert_array_equal(leaf, repeated)
        assert not leaf.size or not np.array_equal(leaf, another)


@pytest.mark.slow
def test_numbers_in_ranges_get_gaussian_diffusion():
    rows = np.clip(RNG.normal(size=(150, 2)), -3, 3)
    model = Diffusion(epsilon=5.0, delta=1e-3, domain={0: (-3.0, 3.0), 1: (-3.0, 3.0)}, random_state=0, **SMALL)
    model.fit(rows)
    assert model.model_.trained_with["process"] == "gaussian" and model.model_.record.guarantee.delta == 1e-3
    assert model.sample(10, random_state=0).shape == (10, 2) and np.isfinite(model.score_samples(rows[:2])).all()


def test_cells_outside_are_moved_inside_and_counted():
    table = pandas.DataFrame({"kind": ["a", "z", None, "b"] * 10, "x": [0.0, 9.0, -9.0, 1.0] * 10})
    asked = Diffusion(epsilon=3.0, domain={"kind": ["a", "b"], "x": (-4.0, 4.0)}, random_state=0)
    with pytest.warns(UserWarning, match=r"'kind' \(20\), 'x' \(20\)"):
        plan = plan_privately(asked, table, None, ()).plan
    assert plan.rows[:4, 0].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("options", "fit", "message"),
    [
        ({}, {}, "epsilon needs a domain for column 'kind'"),
        ({"domain": {**DOMAIN, "z": [1]}}, {}, "domain names column 'z'"),
        ({"domain": {**DOMAIN, "x": (4, -4)}}, {}, "low below high"),
        ({"domain": {**DOMAIN, "x": 4}}, {}, "must be a tuple"),
        ({"domain": DOMAIN, "early_stopping": True}, {}, "early_stopping looks at rows without noise"),
        ({"domain": DOMAIN}, {"checkpoint": "c"}, "cannot be continued"),
        ({"domain": DOMAIN}, {"categorical": ["n"]}, "leave categorical out"),
        ({"domain": DOMAIN}, {"y": [0, 1] * 100}, "leave y out"),
        ({"domain": DOMAIN, "process": "gaussian"}, {}, "needs columns of floats"),
        ({"domain": DOMAIN, "epsilon": 0}, {}, "epsilon must be a number above 0"),
        ({"domain": DOMAIN, "delta": 1}, {}, "delta must be a number above 0 and below 1"),
        ({"domain": DOMAIN, "epsilon": None}, {}, "give epsilon too"),
        ({"domain": DOMAIN | {"x": (0.0, "4")}}, {}, "domain of 'x' must hold values of one kind"),
        ({"domain": DOMAIN | {"n": [[1, 2]]}}, {}, "domain of 'n' must hold values of one kind"),
    ],
)
def test_options_that_would_reveal_rows_are_refused_in_one_line(options, fit, message):
    with pytest.raises(ValueError, match=message) as caught:
        Diffusion(**({"epsilon": 3.0} | options)).fit(frame(), **fit)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({0: (-4.0, 4.0), 1: (-4.0, 4.0)}, "numbers, which does not use scaling$"),
        ({0: (-4.0, 4.0), 1: [-1, 1]}, "tokens, which does not use timesteps, scaling$"),
    ],
)
def test_options_that_a_private_fit_does_not_use_are_named(domain, message):
    asked = Diffusion(epsilon=3.0, domain=domain, timesteps=50, scaling="minmax", random_state=0)
    with pytest.warns(UserWarning, match=message):
        prepare(asked, np.stack([RNG.normal(size=100), RNG.choice([-1.0, 1.0], 100)], axis=1))


def test_domains_survive_json():
    assert domain_from_json(json.loads(json.dumps(domain_to_json(DOMAIN)))) == DOMAIN
    with pytest.raises(ValueError):
        domain_from_json([["x", True, False, [3]]])
    # Ends that JSON cannot represent are written as text.
    days = {"d": (timedelta(days=2), timedelta(days=10)), "m": (Decimal("9.5"), Decimal("10.5"))}
    assert domain_from_json(domain_to_json(days)) == {
        "d": ("2 days, 0:00:00", "10 days, 0:00:00"),
        "m": ("9.5", "10.5"),
    }


def test_categories_may_be_more_than_those_of_the_rows(tmp_path):
    """Their type has room for fewer."""
    table = pandas.DataFrame({"c": pandas.Categorical([f"v{i % 60}" for i in range(240)]), "x": np.arange(240) / 240})
    domain = {"c": [f"v{i}" for i in range(250)], "x": (0.0, 1.0)}
    Diffusion(epsilon=3.0, domain=domain, random_state=0, **SMALL).fit(table).save(tmp_path / "m")
    rows = Diffusion.load(tmp_path / "m").sample(400, random_state=0)
    assert rows["c"].nunique() > 60


def test_categories_may_be_numbers():
    table = pandas.DataFrame({"c": pandas.Categorical(np.resize([1, 2, 5], 240)), "x": np.arange(240) / 240})
    asked = Diffusion(epsilon=50.0, domain={"c": [1, 2, 3, 5], "x": (0.0, 1.0)}, random_state=0, **SMALL)
    rows = asked.fit(table).sample(300, random_state=0)
    assert rows["c"].dtype == "category" and {1, 2, 5} <= {*rows["c"]} <= {1, 2, 3, 5}
    assert min(rows["c"].value_counts()[[1, 2, 5]]) > 40
    with pytest.raises(ValueError, match="domain of 'c': the column holds categories, so list its values"):
        asked.set_params(domain={"c": (1, 5), "x": (0.0, 1.0)}).fit(table)


@pytest.mark.slow
def test_the_audit_never_exceeds_the_stated_epsilon():
    """20 models of tables that are easy to memorize: the bound holds with 95 % confidence, and here for all."""
    domain = {0: (-4.0, 4.0), 1: (-4.0, 4.0)}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        members, others = np.clip(rng.normal(size=(2, 300, 2)), -4, 4)
        epsilon = (0.5, 2.0, 8.0)[seed % 3]
        model = Diffusion(epsilon=epsilon, domain=domain, epochs=10, width=16, depth=1, random_state=seed).fit(members)
        found = audit(model, members, others, n_drawn=1000)
        assert found.stated[0] == epsilon and found.epsilon <= epsilon


@pytest.mark.slow
def test_on_the_command_line(tmp_path, capsys, monkeypatch):
    from pointillist.cli import main

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["pointillist", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr()

    frame(120).to_csv(tmp_path / "t.csv", index=False)
    domain = {"kind": ["a", "b"], "x": {"low": -4, "high": 4}, "n": {"low": 0, "high": 5}}
    domain |= {"part": {"low": 0, "high": 1, "missing": True}, "yes": [False, True]}
    (tmp_path / "d.json").write_text(json.dumps(domain))
    # A private fit must leave the checkpoint of another fit alone.
    (tmp_path / "m.checkpoint").write_text("another fit's")
    fit = "fit", tmp_path / "t.csv", "-o", tmp_path / "m", "--epsilon", 2, "--epochs", 1, "--width", 16, "--seed", 0
    code, said = run(*fit, "--domain", tmp_path / "d.json")
    assert not code and "ε = 2" in said.err and ", loss" not in said.err
    assert [path.read_text() for path in tmp_path.glob("*.checkpoint*")] == ["another fit's"]
    assert "one row added or removed" in run("info", tmp_path / "m")[1].out
    assert run(*fit)[1].err.count("\n") == 1 and "needs a domain" in run(*fit)[1].err
    (tmp_path / "d.json").write_text('{"kind": 3}')
    assert "column 'kind' needs" in run(*fit, "--domain", tmp_path / "d.json")[1].err


@pytest.mark.slow
def test_columns_follow_the_noisy_counts_regardless_of_training():
    """Columns keep the fractions of the table if counts have almost no noise, even if training spoils the biases."""
    table = frame(2000)
    asked = Diffusion(epsilon=200.0, domain=DOMAIN, random_state=0, learning_rate=0.1, **SMALL)
    rows = asked.fit(table).sample(4000, random_state=3)
    for name in ("kind", "n", "yes"):
        fractions = table[name].value_counts(normalize=True)
        found = rows[name].value_counts(normalize=True).reindex(fractions.index).fillna(0)
        # Standard errors of 4,000 rows, and of 8,192 rows in the last comparison.
        assert (
            np.abs(found - fractions) < 4 * np.sqrt(fractions * (1 - fractions) * (1 / 4000 + 1 / 8192)) + 0.005
        ).all()


def test_dates_of_a_domain_may_be_text_as_in_json():
    domain = ColumnDomain.of("day", ("2020-01-01", "2020-12-31"))
    column = pa.chunked_array([pa.array(["2019-05-01", "2020-03-01"]).cast(pa.timestamp("s"))])
    moved, n_moved = domain.cells(cells_in("day", column), column.type)
    assert n_moved == 1 and moved.values.tolist() == [
        datetime(2020, 1, 1, tzinfo=UTC).timestamp(),
        datetime(2020, 3, 1, tzinfo=UTC).timestamp(),
    ]
    with pytest.raises(ValueError, match="domain of 'day'"):
        ColumnDomain.of("day", ("soon", "then")).cells(cells_in("day", column), column.type)
