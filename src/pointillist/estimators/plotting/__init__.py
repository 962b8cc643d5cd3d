"""Pictures of a fitted model and of its rows, with Matplotlib.

These functions are methods of `Diffusion`: their first argument, which the docstrings do not list, is the model.
"""

from pointillist.estimators.plotting.distributions import plot_density, plot_predictions
from pointillist.estimators.plotting.rows import plot, plot_trajectory

__all__ = ["plot", "plot_density", "plot_predictions", "plot_trajectory"]
