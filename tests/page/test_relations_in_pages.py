"""Products that hold in a page's rows, against Python's."""

import numpy as np
import pytest

from browsers import IN_CHROMIUM
from pointillist.points.column_code import ColumnCode
from pointillist.points.mixed import Cells
from pointillist.points.relations import Relation, restored

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
    [Relation(2, (0, 1), (1.0,), 0.0, 1), Relation(2, (3, 0, 1), (0.5,), 0.0, -1)],
    ids=["product", "quotient"],
)
def test_products_are_restored_as_in_python(mixed_model, page_of, relation):
    rng = np.random.default_rng(0)
    made = [np.round(rng.gamma(4, 5, N) + 1, 2) for _ in range(4)]
    made[0] = np.ceil(made[0])
    cells = [Cells(values, np.zeros(N, bool)) for values in made]
    codes = [ColumnCode.fit(str(i), each) for i, each in enumerate(cells)]
    is_fixed = rng.random((N, 4)) < 0.3
    expected = restored(cells, codes, (relation,), is_fixed)
    columns = [
        {
            "minimum": code.ends[0],
            "maximum": code.ends[1],
            "step": float(code.step or 0),
            "decimals": code.decimals,
            "scores": code.scores is not None,
            "values": values.tolist(),
        }
        for code, values in zip(codes, made, strict=True)
    ]
    found = page_of(mixed_model).evaluate(RESTORE, [[relation.to_json()], columns, is_fixed.tolist()])
    for i, own in enumerate(found):
        np.testing.assert_allclose(own, expected[i].values, atol=1e-9)
    assert np.abs(np.array(found[2]) - made[2]).max() > 1
