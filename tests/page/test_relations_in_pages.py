"""Products, functions and lookups that hold in a page's rows, against Python's."""

import numpy as np
import pytest

from browsers import IN_CHROMIUM
from pointillist.points.column_code import ColumnCode
from pointillist.points.functions import FUNCTIONS
from pointillist.points.lookups import Lookup
from pointillist.points.mixed import Cells
from pointillist.points.relation import Relation
from pointillist.points.relations import restored

N = 400

RESTORE = """([relations, columns, fixed]) => {
  const own = columns.map((column) => ({ ...column, kind: "number", values: Float64Array.from(column.values) }));
  for (const column of own) {
    const scale = column.step ? 1 / column.step : 10 ** column.decimals;
    column.round = (value) => pointillist.rounded(value * scale) / scale;
  }
  pointillist.mixed.restore(relations, own, 0, own[0].values.length, (row, token) => fixed[row][token]);
  return own.map(({ values }) => Array.from(values));
}"""


@IN_CHROMIUM
@pytest.mark.parametrize(
    "relation",
    [
        Relation(2, (0, 1), (1.0,), 0.0, 1),
        Relation(2, (3, 0, 1), (0.5,), 0.0, -1),
        *(Relation(2, (1,), (3.0,), 5.0, 0, name) for name in FUNCTIONS if name != "exp"),
        Relation(2, (1,), (1e-9,), 5.0, 0, "exp"),
    ],
    ids=["product", "quotient", *(name or "multiple" for name in FUNCTIONS if name != "exp"), "exp"],
)
def test_products_and_functions_are_restored_as_in_python(mixed_model, page_of, relation):
    rng = np.random.default_rng(0)
    made = [np.round(rng.gamma(4, 5, N) + 1, 2) for _ in range(4)]
    made[0] = np.ceil(made[0])
    found = restored_in_page(page_of(mixed_model), (relation,), made, rng.random((N, 4)) < 0.3)
    assert np.abs(np.array(found[2]) - made[2]).max() > 1


@IN_CHROMIUM
def test_functions_of_any_numbers_and_chains_are_restored_as_in_python(mixed_model, page_of):
    rng = np.random.default_rng(0)
    made = [np.round(rng.normal(0, 3, N), 2) for _ in range(5)]
    made[0][:9] = 0
    page, is_fixed = page_of(mixed_model), rng.random((N, 5)) < 0.4
    for name in FUNCTIONS:
        factor = 1e-3 if name == "exp" else -2.0
        chain = (
            Relation(1, (0,), (factor,), 0.5, 0, name),
            Relation(3, (1, 2), (1.0, 1.0)),
            Relation(4, (3,), (0.1,), 1.0),
        )
        restored_in_page(page, chain, made, is_fixed)


@IN_CHROMIUM
def test_lookups_are_restored_as_in_python(mixed_model, page_of):
    rng = np.random.default_rng(0)
    table = np.stack([np.arange(8.0), rng.permutation(8), np.arange(8) // 2, np.arange(8) % 3], axis=1)
    made = [table[rng.integers(0, 8, N), i] for i in (2, 0, 1, 3)]
    made[1][::9] = 8
    found = restored_in_page(page_of(mixed_model), (Lookup(1, (2, 0, 3), table),), made, rng.random((N, 4)) < 0.3)
    assert (np.array(found[0]) != made[0]).any() and (np.array(found[1]) != made[1]).any()


def restored_in_page(page, relations, made, is_fixed):
    """Rows that a page restores, which are those of Python."""
    cells = [Cells(values, np.zeros(N, bool)) for values in made]
    codes = [ColumnCode.fit(str(i), each) for i, each in enumerate(cells)]
    expected = restored(cells, codes, relations, is_fixed)
    columns = [
        {
            "ends": code.ends,
            "step": float(code.step or 0),
            "decimals": code.decimals,
            "scores": code.scores is not None,
            "values": values.tolist(),
        }
        for code, values in zip(codes, made, strict=True)
    ]
    found = page.evaluate(RESTORE, [[each.to_json() for each in relations], columns, is_fixed.tolist()])
    for i, own in enumerate(found):
        np.testing.assert_allclose(own, expected[i].values, atol=1e-9)
    return found
