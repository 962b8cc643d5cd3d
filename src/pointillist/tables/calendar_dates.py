"""Dates written as integers, for example 20240320: recognizes them, and rounds numbers to the nearest date."""

import numpy as np
from jaxtyping import Float

FIRST_YEAR, LAST_YEAR = 1800, 2199
"""First and last year of integers that are read as dates."""

_ENDS = 1000_01_01, 9999_12_31


def are_dates(values: np.ndarray) -> bool:
    """Whether there are numbers, and all of them are dates."""
    if not len(values) or values.min() < FIRST_YEAR * 10_000 or values.max() >= (LAST_YEAR + 1) * 10_000:
        return False
    return bool((dates_before(values) == values).all())


def has_dates(rows: Float[np.ndarray, "n d"]) -> bool:
    """Whether a column holds only dates, with more than two different ones."""
    return any(are_dates(column) and len(np.unique(column)) > 2 for column in rows.T)


def dates_before(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Returns the last date at or before each number, for years with four digits."""
    return _written(_days_before(values))


def dates_after(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Returns the first date at or after each number, for years with four digits."""
    days = _days_before(values)
    return np.where(_written(days) >= values, _written(days), _written(days + 1))


def nearest_dates(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Returns the date nearest to each number; the earlier one for ties."""
    before, after = dates_before(values), dates_after(values)
    return np.where(values - before <= after - values, before, after)


def day_numbers(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Returns the number of days from 1970 to the last date at or before each number."""
    return _days_before(values).astype(np.float64)


def date_of_days(days: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Returns the date of each number of days from 1970, as an integer plus the fraction of the day."""
    whole = np.floor(days + 0.5)
    return _written(whole.astype("datetime64[D]")) + days - whole


def month_ends(low: float, high: float) -> Float[np.ndarray, " m"]:
    """Returns the ends of months between two numbers of days from 1970, each halfway to the first of the next month."""
    months = np.arange(np.datetime64(int(low), "D"), np.datetime64(int(high) + 1, "D")).astype("datetime64[M]")
    ends = np.unique(months).astype("datetime64[D]").astype(np.float64) - 0.5
    return ends[(ends > low) & (ends < high)]


def _days_before(values: np.ndarray) -> np.ndarray:
    year, rest = np.divmod(np.clip(np.floor(values), *_ENDS).astype(np.int64), 10_000)
    month, day = np.divmod(rest, 100)
    # The last day of December comes before month 13 and, a year earlier, before month 0.
    day = np.where((month < 1) | (month > 12), 31, day)
    months = (12 * (year - 1970) + np.minimum(month, 12) - 1).astype("datetime64[M]")
    length = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
    return months.astype("datetime64[D]") + np.minimum(day, length.astype(np.int64)) - 1


def _written(days: np.ndarray) -> np.ndarray:
    months = days.astype("datetime64[M]")
    year, month = np.divmod(months.astype(np.int64), 12)
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    return ((year + 1970) * 10_000 + (month + 1) * 100 + day).astype(np.float64)
