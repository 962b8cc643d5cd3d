"""Conditional sampling: observed values, ranges and sets of values, by sequential Monte Carlo."""
