"""Differentially private fits, and attacks that measure what a fitted model reveals about its training rows.

`audit` tries to distinguish training rows from rows that the model never saw, by three attacks of growing strength; its
result is printed as a report.
"""
