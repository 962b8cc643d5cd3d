"""Fast execution of training and sampling: compiled, stacked, and sharded over devices."""
