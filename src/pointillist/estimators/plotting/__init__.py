"""Pictures of a fitted model and of its rows, with Matplotlib.

The functions that are named here are methods of `Diffusion`: the model, which no docstring lists, is their `self`.
"""

from pointillist.estimators.plotting.animation import animate
from pointillist.estimators.plotting.density import plot_density
from pointillist.estimators.plotting.rows import plot
from pointillist.estimators.plotting.trajectories import plot_trajectory

__all__ = ["animate", "plot", "plot_density", "plot_trajectory"]
