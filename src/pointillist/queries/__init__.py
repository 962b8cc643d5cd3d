"""Queries to a fitted model: samples, conditional distributions, imputation and log-densities."""
