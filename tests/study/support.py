"""What several test files of the study use."""

import json


def dump(store):
    """Everything in a store that an interruption must not change, bit for bit."""
    connection = store._connection
    tables = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("cells", "measures", "floors")}
    assert connection.execute("SELECT COUNT(*) FROM checkpoints").fetchone() == (0,)
    return {name: sorted(rows, key=lambda row: json.dumps(row[:3])) for name, rows in tables.items()}
