"""What several test files of the study use."""

from pointillist.study.store import Model


def dump(store):
    """Everything in a store that an interruption must not change, bit for bit."""
    connection = store._connection
    names = ("cells", "models", "rows", "floors")
    tables = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    for temporary in ("checkpoints", "parts"):
        assert connection.execute(f"SELECT COUNT(*) FROM {temporary}").fetchone() == (0,)
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


def add_whole(store, cell, losses, rows, measures):
    """A finished cell with its model and its rows."""
    store.add_models({cell.model_key: Model(losses, b"weights")})
    store.add_rows(cell.rows_key, rows)
    store.add_result(cell, measures)
