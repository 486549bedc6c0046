"""Legends beside figures: as many columns as the height needs, and a figure that grows by their width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from scbasset_zoo_plugins.labels import distinct_labels
from scbasset_zoo_plugins.palette import Style

FONT_SIZE = 9
LINE_HEIGHT, ROW_GAP = 0.15, 0.05  # inches
LETTERS_OF_LINE = 40
MAX_COLUMNS = 2
MAX_PLAIN_LABELS = 10
"""With more labels than these, colours are hard to tell apart. Figures then show a short key at the cells of each label."""
LETTERS_OF_KEY = 3


def keys_of(labels: Iterable[str]) -> dict[str, str]:
    """Return a short key of each label, to write it into a figure: the label if all are short, and else its place from 1."""
    labels = list(labels)
    if all(0 < len(label) <= LETTERS_OF_KEY and not label.isspace() for label in labels):
        return {label: label for label in labels}
    return {label: str(place) for place, label in enumerate(labels, start=1)}


def style_handles(style_of_label: Mapping[str, Style], *, with_keys: bool = True) -> list[Line2D]:
    """Return the entries of a legend for labels with styles. With more than 10 labels, each begins with its key."""
    texts = distinct_labels(style_of_label, LETTERS_OF_LINE)
    if with_keys and len(texts) > MAX_PLAIN_LABELS:
        keys = keys_of(texts)
        texts = {label: text if keys[label] == label else f"{keys[label]}  {text}" for label, text in texts.items()}
    return [
        Line2D([], [], linestyle="", marker=style.marker, color=style.colour, label=texts[label])
        for label, style in style_of_label.items()
    ]


def add_legend(place: Axes | Figure, handles: list[Any], height: float) -> Legend:
    """Add a legend at the right of axes or of a figure, in one or two columns.

    Parameters
    ----------
    place : Axes or Figure
        A figure must have the layout "constrained".
    handles : list of Artist
        Entries, with their labels.
    height : float
        Height in inches from which on there are two columns. Call :func:`make_room` afterwards.
    """
    # Without labels, a legend leaves out names that begin with "_".
    labels = [str(handle.get_label()) for handle in handles]
    full = sum(ROW_GAP + LINE_HEIGHT * (1 + label.count("\n")) for label in labels)
    n_columns = min(MAX_COLUMNS, math.ceil(full / height))
    where: dict[str, Any] = {"loc": "outside right center"}
    if isinstance(place, Axes):
        where = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5), "borderaxespad": 0}
    return place.legend(
        handles, labels, ncols=n_columns, frameon=False, fontsize=FONT_SIZE, columnspacing=1.2, handletextpad=0.4,
        labelspacing=0.4, **where,
    )  # fmt: skip


def make_room(figure: Figure, legends: Iterable[Legend], height: float) -> None:
    """Make a figure larger for legends at the right of its axes.

    Parameters
    ----------
    figure : Figure
        It becomes wider by the widest legend, and higher by what each legend needs beside its axes.
    legends : iterable of Legend
    height : float
        Height beside the axes of each legend, in inches.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    sizes = [legend.get_window_extent(renderer) for legend in legends]
    wider = max((size.width for size in sizes), default=0) / figure.dpi
    higher = sum(max(0, size.height / figure.dpi - height) for size in sizes)
    figure.set_size_inches(figure.get_figwidth() + wider, figure.get_figheight() + higher)
