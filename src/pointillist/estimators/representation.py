"""A `Diffusion` as a notebook shows it: what differs from the defaults, and what became of the fit."""

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pointillist.estimators.estimator import Diffusion

_POINTS = 120
_CELL = "padding: 0 1em 0 0; text-align: left; vertical-align: top"


def as_html(model: "Diffusion") -> str:
    """A small table, with the training loss as a curve."""
    defaults = type(model)().get_params()
    changed = {k: v for k, v in model.get_params().items() if v != defaults[k]}
    arguments = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    lines = "".join(
        f"<tr><th style='{_CELL}'>{escape(name)}</th><td style='{_CELL}'>{value}</td></tr>"
        for name, value in _facts(model).items()
    )
    return f"<div><code>Diffusion({escape(arguments)})</code><table style='margin-top: .3em'>{lines}</table></div>"


def _facts(model: "Diffusion") -> dict[str, str]:
    """Names and their HTML."""
    if not hasattr(model, "network_"):
        return {"state": "not fitted"}
    columns: Any = [str(name) for name in model.layout_.names or ()]
    shown = ", ".join(columns[:6]) + (", …" if len(columns) > 6 else "")
    facts = {"columns": f"{model.n_features_in_}{': ' + escape(shown) if shown else ''}"}
    if hasattr(model, "classes_"):
        counts = zip(model.classes_.tolist(), model.class_counts_.tolist(), strict=True)
        shown = ", ".join(f"{label} ({n})" for label, n in list(counts)[:6])
        facts["classes"] = f"{len(model.classes_)}: {escape(shown)}{', …' if len(model.classes_) > 6 else ''}"
    epochs = "epoch" if len(model.history_) == 1 else "epochs"
    facts["training loss"] = f"{model.history_[-1]:.4f} after {len(model.history_)} {epochs} {_curve(model.history_)}"
    if len(model.validation_history_):
        best, looks = model.validation_history_.min(), len(model.validation_history_)
        facts["held-out loss"] = f"{best:.4f}, the least of {looks} looks {_curve(model.validation_history_)}"
    facts["seed"] = str(model.seed_)
    return facts


def _curve(values: np.ndarray) -> str:
    if len(values) < 2:
        return ""
    chosen = values[np.linspace(0, len(values) - 1, min(len(values), _POINTS)).astype(int)].astype(float)
    height = np.log(np.maximum(chosen, 1e-12))
    height = (height.max() - height) / (np.ptp(height) or 1.0)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(np.linspace(1, 99, len(height)), 1 + 16 * height, strict=True))
    line = f"<polyline points='{points}' fill='none' stroke='#1f77b4' stroke-width='1.2'/>"
    return f"<svg width='100' height='18' style='vertical-align: middle' role='img'>{line}</svg>"
