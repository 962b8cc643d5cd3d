"""The noise of a differentially private fit, by the accountant of `dp-accounting`.

The accountant composes Gaussian mechanisms with Poisson subsampling by their privacy loss distributions (Koskela et al.
2020, arXiv 1906.03049), for tables that differ in one added or removed row.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

RELATION = "one row added or removed"

MARGIN = 0.01
"""Fraction of δ for what the accountant does not see: a batch larger than its padded shape."""

_GRID = 1e-3
"""Width of the accountant's grid of privacy losses, which are rounded up."""

_ORDERS = (*range(2, 65), 128, 256, 512)
"""Orders of moments; integer orders need no series."""


def check_accountant() -> str:
    """Return the accountant's name and version; raise a ValueError if it is not installed."""
    try:
        return f"dp-accounting {version('dp-accounting')}, privacy loss distributions"
    except PackageNotFoundError as error:
        raise ValueError("epsilon needs dp-accounting: install pointillist[privacy]") from error


def spent_epsilon(gaussians: Sequence[float], sampling: float, noise: float, steps: int, delta: float) -> float:
    """Compute ε at δ of Gaussian mechanisms on all rows and the steps of a training.

    `gaussians` and `noise`, of a step, are noise multipliers: standard deviation over sensitivity. A step draws each
    row with the probability `sampling`.
    """
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(value_discretization_interval=_GRID)
    return float(accountant.compose(_event(gaussians, sampling, noise, steps)).get_epsilon(delta))


def noise_for(gaussians: Sequence[float], sampling: float, steps: int, epsilon: float, delta: float) -> float:
    """Compute the least noise multiplier of a step, to three digits, with which all mechanisms spend at most ε at δ.

    Raise a ValueError if the mechanisms before the training already spend more.
    """
    from dp_accounting.rdp import RdpAccountant

    def by_moments(noise: float) -> bool:
        accountant = RdpAccountant(orders=_ORDERS).compose(_event(gaussians, sampling, noise, steps))
        return bool(accountant.get_epsilon(delta) <= epsilon)

    # Moments are fast and a little pessimistic: they narrow the search.
    above = _smallest(by_moments, 0.2, 1e4, 1.02)
    return _smallest(lambda noise: spent_epsilon(gaussians, sampling, noise, steps, delta) <= epsilon, above / 2, above)


def _smallest(is_enough: Callable[[float], bool], low: float, high: float, ratio: float = 1.005) -> float:
    """Return the smallest number that is enough, up to a factor of `ratio`."""
    if not is_enough(high):
        raise ValueError("epsilon is too small for this table: give a larger one, or more rows")
    while high / low > ratio:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def gaussian_noise(epsilon: float, delta: float) -> float:
    """Compute the noise multiplier of one Gaussian mechanism that spends ε at δ (Balle and Wang 2018, theorem 8)."""
    from dp_accounting import get_sigma_gaussian

    return float(get_sigma_gaussian(epsilon, delta))


def _event(gaussians: Sequence[float], sampling: float, noise: float, steps: int) -> Any:
    import dp_accounting as dp

    step = dp.PoissonSampledDpEvent(sampling, dp.GaussianDpEvent(noise))
    return dp.ComposedDpEvent([*map(dp.GaussianDpEvent, gaussians), dp.SelfComposedDpEvent(step, steps)])
