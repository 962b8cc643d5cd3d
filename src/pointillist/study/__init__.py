"""Grids of experiments: a spec defines cells, cells write results to a store, and tables and figures read the store."""
