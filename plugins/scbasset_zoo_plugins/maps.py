"""Draws cells in two dimensions, coloured by labels or by numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from scbasset_zoo_plugins.labels import label_text
from scbasset_zoo_plugins.legends import MAX_PLAIN_LABELS, add_legend, keys_of, make_room, style_handles
from scbasset_zoo_plugins.palette import DIVERGING, SEQUENTIAL, Style, centred_limits, styles

MAX_LEGEND_VALUES = 40
KEY_SIZE = 0.025  # share of the extent of the cells
MAX_COVERED = 0.8  # share of the labels whose key is near another one
MARGIN = 0.5  # inches above and below the axes of a figure


def draw_cells(
    figure: Figure,
    ax: Axes,
    points: NDArray[Any],
    values: pd.Series,
    title: str,
    *,
    legend: bool = True,
    diverging: bool = False,
) -> None:
    """Draw cells on axes.

    Parameters
    ----------
    figure : Figure
    ax : Axes
    points : array (n_cells, 2)
    values : Series of n_cells
        Numbers are shown with a colour bar, which ends at the 1st and 99th percentile. All else are labels, with a legend beside
        the axes. Labels that are numbers must be given as texts or categories.
    title : str
        Title of the axes, or of the colour bar.
    legend : bool
        Show the legend, and make the figure wider by it. More than 40 labels have none.
    diverging : bool
        Numbers have a meaning at 0, such as z-scores. Their colours are centred there.
    """
    look: dict[str, Any] = {"s": float(np.clip(6_000 / len(points), 0.3, 14)), "linewidths": 0, "rasterized": True}
    order = np.random.default_rng(0).permutation(len(points))  # so that no label lies on top of all others
    title = label_text(title)
    if pd.api.types.is_numeric_dtype(values):
        _draw_numbers(figure, ax, points[order], values.to_numpy()[order].astype(float), title, look, diverging=diverging)
    else:
        style_of_label = styles(values)
        n_labels = len(style_of_label)
        _draw_labels(ax, points[order], values.astype(str).to_numpy()[order], style_of_label, look)
        if legend and n_labels <= MAX_LEGEND_VALUES:
            height = figure.get_figheight() - MARGIN
            make_room(figure, [add_legend(ax, style_handles(style_of_label), height)], height)
        ax.set_title(title if n_labels <= MAX_LEGEND_VALUES else f"{title} ({n_labels:,} values)")
    ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    ax.spines[["top", "right"]].set_visible(False)


def _draw_numbers(
    figure: Figure, ax: Axes, points: NDArray[Any], numbers: NDArray[Any], title: str, look: dict[str, Any], *, diverging: bool
) -> None:
    finite = numbers[np.isfinite(numbers)]
    low, high = centred_limits(finite) if diverging else np.quantile(finite, [0.01, 0.99]) if finite.size else (0.0, 1.0)
    below, above = bool((finite < low).any()), bool((finite > high).any())
    extend = "both" if below and above else "min" if below else "max" if above else "neither"
    colours = DIVERGING if diverging else SEQUENTIAL
    dots = ax.scatter(points[:, 0], points[:, 1], c=numbers, cmap=colours, norm=Normalize(low, high), plotnonfinite=False, **look)
    figure.colorbar(dots, ax=ax, label=title, shrink=0.8, pad=0.02, extend=extend)


def _draw_labels(
    ax: Axes, points: NDArray[Any], labels: NDArray[Any], style_of_label: dict[str, Style], look: dict[str, Any]
) -> None:
    codes = pd.Categorical(labels, categories=list(style_of_label)).codes
    colours, markers = (np.array(part) for part in zip(*style_of_label.values(), strict=True))
    for marker in dict.fromkeys(markers):
        chosen = markers[codes] == marker
        x, y = points[chosen].T
        ax.scatter(x, y, c=colours[codes[chosen]], marker=marker, **look)
    if MAX_PLAIN_LABELS < len(style_of_label) <= MAX_LEGEND_VALUES:
        _write_keys(ax, [points[codes == code] for code in range(len(style_of_label))], list(keys_of(style_of_label).values()))


def _write_keys(ax: Axes, points_of_label: list[NDArray[Any]], keys: list[str]) -> None:
    """Write a key on the cell that is nearest to the median of each label, where it covers no other key.

    Labels that lie in the same places, such as batches that mix, have no keys.
    """
    places = np.array([points[_nearest_to_median(points)] for points in points_of_label])
    extent = np.ptp(np.concatenate(points_of_label), axis=0)
    is_near = (np.abs(places[:, None] - places) < KEY_SIZE * np.where(extent > 0, extent, 1)).all(axis=2)
    if (is_near.sum(axis=1) > 1).mean() > MAX_COVERED:
        return
    outline = [withStroke(linewidth=2.5, foreground="white")]
    written: list[int] = []
    for label, (place, key) in enumerate(zip(places, keys, strict=True)):
        if not is_near[label, written].any():
            written.append(label)
            ax.text(place[0], place[1], key, size=8, weight="bold", ha="center", va="center", path_effects=outline, clip_on=True)


def _nearest_to_median(points: NDArray[Any]) -> int:
    return int(np.square(points - np.median(points, axis=0)).sum(axis=1).argmin())
