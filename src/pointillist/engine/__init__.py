"""How it runs fast: compiled, stacked, sharded over devices."""
