"""Colours and markers of figures: a value of a column of cells looks the same in every figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

# Okabe and Ito's colours, which colour-blind readers can tell apart; grey takes the place of their black.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY_BLUE, GREY, YELLOW = "#CC79A7", "#56B4E9", "#999999", "#F0E442"
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY_BLUE, GREY, YELLOW)
MARKERS = ("o", "^", "s", "D", "v", "P", "X")


class Style(NamedTuple):
    """The colour and the marker of a value."""

    colour: str
    marker: str


def styles(column: pd.Series | Iterable[Any]) -> dict[str, Style]:
    """Return the style of each value of a column.

    The style of a value depends on its place among all values. Give the whole column, even for a figure of some of its cells.

    Parameters
    ----------
    column : Series or iterable
        Values of all cells; they are compared as texts.

    Returns
    -------
    dict
        A style for each text, sorted: by size if all are numbers, else alphabetically. Markers change after every 8 values.
    """
    distinct = pd.Series(pd.Series(column).unique()).astype(str)
    return {value: style(place) for place, value in enumerate(_sorted(distinct))}


def style(place: int) -> Style:
    """Return the style of the value at a place in an order, from 0."""
    return Style(COLOURS[place % len(COLOURS)], MARKERS[place // len(COLOURS) % len(MARKERS)])


def _sorted(values: Iterable[str]) -> list[str]:
    texts = sorted(set(values))
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return texts
    return [texts[i] for i in np.argsort(numbers, kind="stable")] if np.isfinite(numbers).all() else texts
