"""The plot of a training run: loss and AUROC by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_history(history: pd.DataFrame, best_epoch: int, baselines: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Plot loss and AUROC over epochs to a PNG file, with lines at their baselines.

    Parameters
    ----------
    history : DataFrame
        A row for each epoch: epoch, loss, auroc, validation_loss and validation_auroc.
    best_epoch : int
        The epoch of the best training AUROC.
    baselines : mapping of "loss" and "auroc" to mappings of str to float
        What each line stands for, and its value on the validation peaks.
    path : Path
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the user's settings may need LaTeX or fonts that this machine lacks
        draw_history(Figure(figsize=(10, 4.4), layout="constrained"), history, best_epoch, baselines).savefig(
            path, dpi=150, format="png"
        )


def draw_history(figure: Figure, history: pd.DataFrame, best_epoch: int, baselines: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw loss and AUROC side by side; see :func:`plot_history`."""
    marker = "." if len(history) < 60 else None
    labels = ("cross-entropy, mean over peaks and cells", "AUROC, mean over cells")
    for axes, column, label in zip(figure.subplots(1, 2), ("loss", "auroc"), labels, strict=True):
        axes.plot(history["epoch"], history[column], label="training peaks", marker=marker)
        axes.plot(history["epoch"], history[f"validation_{column}"], label="validation peaks", marker=marker)
        for (name, value), style in zip(baselines.get(column, {}).items(), ("--", "-."), strict=False):
            axes.axhline(value, color="0.4", linestyle=style, linewidth=1, label=f"{name} ({value:.3f})")
        axes.axvline(best_epoch, color="0.6", linestyle=":", label=f"best training AUROC (epoch {best_epoch})")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        # Below the axes, the legend hides no curve.
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize="small")
    return figure
