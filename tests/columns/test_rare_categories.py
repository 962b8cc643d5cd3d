"""Columns with very many categories: rare ones are drawn as often as in the training rows."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pointillist import Diffusion, one_of, present, rules
from pointillist.columns import kinds
from pointillist.columns.kinds import encoder_from_json, fit_encoder
from pointillist.columns.rare_categories import FEWEST_ROWS, LARGEST_POSITION, MOST_FREQUENT, RARE
from pointillist.columns.table_encoder import TableEncoder
from pointillist.columns.unlearned import separated
from pointillist.diffusion.tokens import token_sampling
from pointillist.metrics.inputs import columns_of
from pointillist.rules.combinations import Combination
from pointillist.rules.declared import NamedColumns
from pointillist.tables.table import Column, Table

N, M = 400_000, 100_000
WEIGHTS = 1 / np.arange(1, M + 1)


@pytest.fixture(scope="module")
def column():
    """Makes a column in which the frequency of the category of rank r is proportional to 1 / r."""
    values = np.random.default_rng(0).choice(M, N, p=WEIGHTS / WEIGHTS.sum())
    return Column(values, np.arange(N) % 100 == 0, tuple(f"c{i}" for i in range(M)))


@pytest.fixture(scope="module")
def encoder(column):
    return fit_encoder("code", column)


def test_frequent_categories_have_a_token_and_rare_ones_share_one(column, encoder):
    counts = np.bincount(column.values[~column.is_missing], minlength=M)
    frequent = set(encoder.categories[: encoder.n_frequent])
    assert frequent == {f"c{i}" for i in np.flatnonzero(counts >= FEWEST_ROWS)} and len(frequent) < MOST_FREQUENT
    assert set(encoder.categories) == {f"c{i}" for i in np.flatnonzero(counts)}
    assert encoder.size == encoder.n_frequent + 2 and encoder.has_missing


def test_cells_are_encoded_and_decoded_at_every_position(column, encoder):
    cells = column.take(np.arange(20_000))
    for position in (0.001, 0.5, 0.999):
        decoded = encoder.decode(*encoder.encode(cells, np.full(20_000, position)))
        np.testing.assert_array_equal(decoded.is_missing, cells.is_missing)
        there = ~cells.is_missing
        assert [decoded.categories[i] for i in decoded.values[there]] == [
            cells.categories[i] for i in cells.values[there]
        ]


def test_positions_of_samplers_draw_rare_categories_as_often_as_training_rows_have_them(encoder):
    assert LARGEST_POSITION == token_sampling.LARGEST_POSITION
    rng, n = np.random.default_rng(1), 1_000_000
    positions = rng.random(n, dtype=np.float32) * np.float32(LARGEST_POSITION)
    drawn = np.bincount(encoder.decode(RARE + positions, np.empty((n, 0))).values, minlength=len(encoder.categories))
    expected = encoder.counts * (np.arange(len(encoder.counts)) >= encoder.n_frequent)
    expected *= n / expected.sum()
    assert not drawn[: encoder.n_frequent].any()
    # Groups of categories with similar counts, and the largest of them alone.
    for part in [*np.array_split(np.arange(encoder.n_frequent, len(drawn)), 20), *range(encoder.n_frequent, 1020)]:
        total = expected[part].sum()
        assert abs(drawn[part].sum() - total) < 4.5 * np.sqrt(total)


def test_the_encoder_is_rebuilt_from_a_file(column, encoder):
    content, cells = json.loads(json.dumps(encoder.to_json())), column.take(np.arange(1000))
    rebuilt = encoder_from_json(content, encoder.arrays)
    for one, other in zip(encoder.encode(cells), rebuilt.encode(cells), strict=True):
        np.testing.assert_array_equal(one, other)
    for damaged in ({"n_frequent": 0}, {"n_frequent": M}, {"lengths": [10**6 + 1]}, {"lengths": [0]}):
        with pytest.raises(ValueError, match=r"column 'code'|counts of 'code'|1000001 is not a number of values"):
            TableEncoder.from_json([{**content, **damaged}], encoder.arrays[0][: (content | damaged)["lengths"][0]])


def table(n=3000):
    rng = np.random.default_rng(2)
    code = np.minimum(rng.geometric(0.02, n), 200)
    return pd.DataFrame({"code": [f"c{i}" for i in code], "x": rng.normal(size=n).round(2) + (code < 10)})


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "MAX_CATEGORIES", 100)
        X = table().astype({"code": "category"})
        return Diffusion(width=32, depth=1, epochs=30, random_state=0).fit(X)


def test_new_rows_have_the_frequent_categories_and_the_mass_of_the_rare_ones(model, tmp_path):
    X, rows = table(), model.sample(5000, random_state=1)
    encoder = model.model_.codec.encoding.encoder("code")
    frequent = set(encoder.categories[: encoder.n_frequent])
    assert encoder.kind == "rare_categories" and 1 < len(frequent) < len(encoder.categories)
    assert rows["code"].isin(X["code"]).all() and rows["code"].dtype == "category"
    p = X["code"].isin(frequent).mean()
    assert abs(rows["code"].isin(frequent).mean() - p) < 0.05
    rare = rows["code"][~rows["code"].isin(frequent)].value_counts(normalize=True)
    real = X["code"][~X["code"].isin(frequent)].value_counts(normalize=True)
    error = np.sqrt(real * (1 - real) / ((1 - p) * 5000))
    assert ((rare.reindex(real.index, fill_value=0) - real).abs() < 4.5 * error).all()
    model.save(tmp_path / "m.safetensors")
    pd.testing.assert_frame_equal(Diffusion.load(tmp_path / "m.safetensors").sample(5000, random_state=1), rows)


def test_the_masses_of_all_categories_add_up_to_one(model):
    encoder = model.model_.codec.encoding.encoder("code")
    # A new category has the mass that the rarest one lost.
    codes = [*encoder.categories, "new"]
    density = model.conditional("code").log_prob(pd.DataFrame({"code": codes, "x": 0.5}))
    assert np.exp(density).sum() == pytest.approx(1, abs=1e-5)
    # The rarest one, the first of those with the lowest count, keeps a part of its mass.
    is_rare = np.arange(len(encoder.counts)) >= encoder.n_frequent
    is_rare[encoder.counts.argmin()] = False
    masses, counts = np.exp(density[:-1][is_rare]), encoder.counts[is_rare]
    np.testing.assert_allclose(masses / masses.sum(), counts / counts.sum(), rtol=1e-5)


def test_conditions_on_rare_categories(model):
    encoder = model.model_.codec.encoding.encoder("code")
    frequent, rare = encoder.categories[0], encoder.categories[-1]
    assert (model.sample(50, where={"code": rare}, random_state=0)["code"] == rare).all()
    allowed = [frequent, encoder.categories[1]]
    assert model.sample(50, where={"code": one_of(*allowed)}, random_state=0)["code"].isin(allowed).all()
    assert model.sample(50, where={"code": present}, random_state=0)["code"].notna().all()
    with pytest.raises(ValueError, match=rf"^column 'code': '{rare}' is one of its .* ask for it alone$"):
        model.sample(50, where={"code": one_of(frequent, rare)})
    cells = pd.DataFrame({"code": [rare, None], "x": [np.nan, 1.0]}).astype({"code": model.sample(1)["code"].dtype})
    filled = model.impute(cells, random_state=0)
    assert filled["code"][0] == rare and filled.notna().all(axis=None)


def test_what_needs_probabilities_of_all_categories_is_refused(model, tmp_path):
    rare = model.model_.codec.encoding.encoder("code").categories[-1]
    with pytest.raises(ValueError, match=r"^column 'code' has .* too rare for probabilities: choose another column"):
        model.conditional("code").predict(table(10))
    with pytest.raises(ValueError, match=r"^column 'code' has .* too rare for probabilities"):
        model.sample(10, shares={"code": {rare: 0.5}})
    with pytest.raises(ValueError, match=r"^a page cannot hold the .* categories of column 'code': fit without it"):
        model.page(tmp_path / "model.html")


def test_classes_are_not_rare(monkeypatch):
    monkeypatch.setattr(kinds, "MAX_CATEGORIES", 100)
    with pytest.raises(ValueError, match=r"^the label column 'label' has 150 classes, .*: merge some, or leave"):
        Diffusion(epochs=1).fit(table(400), y=[f"c{i % 150}" for i in range(400)])


def test_rules_may_list_rare_categories(model):
    codec = model.model_.codec
    columns = NamedColumns(Table(pa.Table.from_pandas(table())), codec.encoding.columns)
    bound = rules.expression("code != 'c300' or x > -9").bind(columns)
    for each in (*bound, Combination((0, 1), np.array([[len(codec.encoding.columns[0].categories) - 1.0, 0.5]]), "")):
        each.check(codec.encoding.columns)


def test_columns_of_many_repeating_categories_are_learned_and_evaluated(monkeypatch):
    code = np.random.default_rng(3).integers(0, 10_500, 40_000)
    X = pd.DataFrame({"code": [f"c{i}" for i in code], "x": np.arange(40_000) % 7})
    assert not separated(X).reasons
    assert "code" in columns_of({"data": X, "rows": X[39_500:]})["rows"]
    # In half the rows, most of them differ, as names do.
    assert [*separated(X[:10_000]).reasons] == ["code"]
