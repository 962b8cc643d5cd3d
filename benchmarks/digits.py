"""Fits digits of 8 × 8 pixels, draws new ones, and evaluates these with held-out digits as a baseline."""

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.datasets import load_digits

from machine import report
from pointillist import Diffusion
from pointillist.evaluation import evaluate, print_evaluation

SETTINGS = {"width": 256, "depth": 3, "epochs": 2000}


def main() -> None:
    """Fits two thirds of the digits, draws as many, and compares them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", type=Path, help="where to draw the picture")
    options = parser.parse_args()
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    pixels, labels = pixels[order].astype(int), labels[order]
    train, held_out = slice(0, 1198), slice(1198, None)
    started = time.perf_counter()
    model = Diffusion(**SETTINGS, process="gaussian", random_state=0).fit(pixels[train], labels[train])
    fitted = time.perf_counter()
    rows, drawn = model.sample(1198, return_labels=True, random_state=0)
    sampled = time.perf_counter()
    sides = [(pixels[train], labels[train]), (rows, drawn), (pixels[held_out], labels[held_out])]
    data, generated, holdout = (
        {**{f"pixel{i}": column.astype(float) for i, column in enumerate(side.T)}, "digit": digits.astype(float)}
        for side, digits in sides
    )
    found = evaluate(data, generated, holdout=holdout, target="digit")
    print_evaluation(found, Console(width=110))
    print(f"fit {fitted - started:.0f} s, sample {sampled - fitted:.1f} s")
    if options.figure is not None:
        draw(model, pixels, labels, options.figure)
    report("digits", {"settings": SETTINGS, "fit_s": fitted - started, "evaluation": found.to_json()})


def draw(model: Diffusion, pixels: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Draws three rows of real digits above three of generated ones, with a column for each class."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    classes = np.repeat(np.arange(10), 3)
    real = np.concatenate([pixels[labels == digit][:3] for digit in range(10)])
    made = model.sample(labels=classes, random_state=1)
    figure = Figure(figsize=(8, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, rows, title in zip(figure.subplots(2, 1), (real, made), ("digits", "generated"), strict=True):
        framed = np.pad(rows.reshape(10, 3, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
        axes.imshow(framed.transpose(1, 2, 0, 3).reshape(30, 100), cmap="gray_r", vmax=16)
        axes.set_title(title, loc="left", fontsize=10)
        axes.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
