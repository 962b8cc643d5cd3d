"""A grid of experiments: a spec gives cells, cells give results in a store, the store gives tables and figures."""
