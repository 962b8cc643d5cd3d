"""Draws the pictures of the documentation that no benchmark draws: `.venv/bin/python docs/make_images.py`.

With `--adult FOLDER` also the README's, of rows like those of Adult: FOLDER holds the table as train.csv.gz.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from pyarrow import csv
from sklearn.datasets import load_wine

from pointillist import Diffusion, load_pointset
from pointillist.diffusion.registries import SCHEDULES
from pointillist.diffusion.schedules import LOWEST_LAMBDA
from pointillist.evaluation import draw_evaluation

IMAGES = Path(__file__).parent / "images"
DATA, ROWS = "0.35", "#1f5fa8"


def schedules() -> Figure:
    """The share of signal, and log(alpha/sigma), of the three schedules."""
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    signal, log_snr = figure.subplots(1, 2)
    for name in SCHEDULES:
        schedule = SCHEDULES[name](200)
        t = np.arange(201)
        signal.plot(t, schedule.alpha_bar, label=name)
        log_snr.plot(t[1:], np.log(schedule.alpha[1:] / schedule.sigma[1:]))
    log_snr.axhline(LOWEST_LAMBDA, color="0.5", linestyle=":")
    signal.legend(frameon=False)
    signal.set_ylabel(r"$\bar\alpha_t$")
    log_snr.set_ylabel(r"$\lambda_t$")
    for axes in (signal, log_snr):
        axes.set_xlabel("$t$")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def moons(model: Diffusion, X: np.ndarray) -> Figure:
    """Rows of moons beside those of the model that tutorials/getting-started.md fits to them."""
    panels = {
        "data": (X[:2000], DATA),
        "generated": (model.sample(2000, random_state=0), ROWS),
        "generated, class 1": (model.sample(1000, labels=1, random_state=0), ROWS),
    }
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    grid = figure.subplots(1, 3, sharex=True, sharey=True)
    for axes, (title, (rows, color)) in zip(grid, panels.items(), strict=True):
        axes.scatter(*rows.T, s=2, color=color, linewidths=0)
        axes.set_title(title, fontsize=10)
        axes.set_aspect("equal")
    return figure


def plot(model: Diffusion, X: np.ndarray) -> Figure:
    """What `plot` draws of two columns, and of thirteen."""
    wine, kind = load_wine(return_X_y=True)
    of_wine = Diffusion(random_state=0).fit(wine, kind)
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    two, many = figure.subplots(1, 2)
    model.plot(X, ax=two, random_state=0)
    of_wine.plot(wine, ax=many, random_state=0)
    return figure


def adult(folder: Path) -> None:
    """Four columns of Adult, and of as many generated rows."""
    data = csv.read_csv(folder / "train.csv.gz")
    rows = Diffusion(random_state=0).fit(data).sample(len(data), random_state=0)
    names = ["age", "education_num", "marital_status", "hours_per_week"]
    draw_evaluation(data.select(names), rows.select(names), IMAGES / "adult.png")


def main() -> None:
    """Fits the model of tutorials/getting-started.md, and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adult", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.adult is not None:
        adult(options.adult)
    X, y = load_pointset("moons")
    model = Diffusion(random_state=0).fit(X, y)
    figures = {
        "schedules": schedules(),
        "moons": moons(model, X),
        "plot": plot(model, X),
    }
    for name, figure in figures.items():
        figure.savefig(IMAGES / f"{name}.png", dpi=100)


if __name__ == "__main__":
    main()
