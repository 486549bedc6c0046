"""Draws cells in two dimensions, coloured by labels or by numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from scbasset_zoo_plugins.labels import label_text
from scbasset_zoo_plugins.palette import Style, styles

MAX_LEGEND_VALUES = 40
LEGEND_ROWS = 16


def draw_cells(figure: Figure, ax: Axes, points: NDArray[Any], values: pd.Series, title: str, *, legend: bool = True) -> None:
    """Draw cells on axes.

    Parameters
    ----------
    figure : Figure
    ax : Axes
    points : array (n_cells, 2)
    values : Series of n_cells
        Numbers are shown with a colour bar; all else are labels, which are shown with a legend beside the axes. Labels that
        are numbers must be given as texts.
    title : str
        Title of the axes, or of the colour bar.
    legend : bool
        Show the legend. More than 40 labels have none.
    """
    x, y = points.T
    title = label_text(title)
    size = float(np.clip(6_000 / len(points), 0.3, 14))
    order = np.random.default_rng(0).permutation(len(points))  # so that no label lies on top of all others
    look: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True}
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy()
        dots = ax.scatter(x[order], y[order], c=numbers[order], cmap="viridis", **look)
        figure.colorbar(dots, ax=ax, label=title, shrink=0.8, pad=0.02)
    else:
        labels = values.astype(str)
        style_of_label = styles(labels)
        codes = pd.Categorical(labels, categories=list(style_of_label)).codes
        colours, markers = (np.array(part) for part in zip(*style_of_label.values(), strict=True))
        for marker in dict.fromkeys(markers):
            cells = order[markers[codes[order]] == marker]
            ax.scatter(x[cells], y[cells], c=colours[codes[cells]], marker=marker, **look)
        n_labels = len(style_of_label)
        if legend and n_labels <= MAX_LEGEND_VALUES:
            _add_legend(ax, style_of_label)
        ax.set_title(title if n_labels <= MAX_LEGEND_VALUES else f"{title} ({n_labels:,} values)")
    ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    ax.spines[["top", "right"]].set_visible(False)


def _add_legend(ax: Axes, style_of_label: dict[str, Style]) -> None:
    handles = [
        Line2D([], [], linestyle="", marker=style.marker, color=style.colour, label=label_text(value))
        for value, style in style_of_label.items()
    ]
    n_columns = -(-len(handles) // LEGEND_ROWS)
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, ncols=n_columns)
