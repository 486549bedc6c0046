"""The plot of a training run: loss and AUROC by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_history(history: pd.DataFrame, best_epoch: int, path: Path) -> None:
    """Plot loss and AUROC over epochs, training and validation, to a PNG file."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the user's settings may need LaTeX or fonts that this machine lacks
        _draw(Figure(figsize=(9, 3.6), layout="constrained"), history, best_epoch).savefig(path, dpi=150, format="png")


def _draw(figure: Figure, history: pd.DataFrame, best_epoch: int) -> Figure:
    for axes, column, label in zip(figure.subplots(1, 2), ("loss", "auroc"), ("loss", "AUROC, mean over cells"), strict=True):
        axes.plot(history["epoch"], history[column], label="training", marker="." if len(history) < 60 else None)
        axes.plot(history["epoch"], history[f"validation_{column}"], label="validation", marker="." if len(history) < 60 else None)
        axes.axvline(best_epoch, color="0.6", linestyle=":", label="best training AUROC")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure
