"""Colours and markers of figures: a value of a column of cells looks the same in every figure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

# Okabe and Ito's colours, which colour-blind readers can tell apart; grey takes the place of their black.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY_BLUE, GREY, YELLOW = "#CC79A7", "#56B4E9", "#999999", "#F0E442"
# Each further colour is the one furthest in OKLab from all before it, of lightness 0.32 to 0.84 and chroma 0.05 to 0.19.
COLOURS = (
    BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY_BLUE, GREY, YELLOW,
    "#580058", "#383800", "#201090", "#800800", "#8858D8", "#50E888", "#807000", "#785068",
    "#003858", "#B02070", "#D0C0F8", "#90B000", "#006800", "#F8B0A0", "#A8D8B8", "#386860",
    "#D880F8", "#6088F8", "#F86070", "#504898", "#882898", "#00E0E8", "#482838", "#8078B0",
)  # fmt: skip
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
"""Colour map of numbers with a meaning at 0, such as z-scores: white at 0, with limits of :func:`centred_limits`."""


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
        A style for each text, in the order of :func:`ordered_values`. Markers change after every 32 values.
    """
    return {value: style(place) for place, value in enumerate(ordered_values(column))}


def style(place: int) -> Style:
    """Return the style of the value at a place in an order, from 0."""
    return Style(COLOURS[place % len(COLOURS)], MARKERS[place // len(COLOURS) % len(MARKERS)])


def ordered_values(column: pd.Series | Iterable[Any]) -> list[str]:
    """Return the distinct values of a column as texts, in the order in which all figures show them.

    Categories have their own order, unless that is the alphabetical order of pandas. Other values are sorted: numbers by size, and
    texts so that numbers in them are compared by size ("C2" is before "C10"). A missing value is the last.
    """
    series = column if isinstance(column, pd.Series) else pd.Series(list(column), dtype=object)
    missing = [str(series[series.isna()].iloc[0])] if series.isna().any() else []
    if isinstance(series.dtype, pd.CategoricalDtype):
        texts = list(dict.fromkeys(series.cat.remove_unused_categories().cat.categories.map(str)))
        if texts != sorted(texts):
            return texts + missing
    else:
        texts = list(dict.fromkeys(map(str, series.dropna().unique())))
    return _sorted(texts) + missing


def label_column(obs: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of cells as categories of text in the order of :func:`ordered_values`.

    In a file, the column "donor/id" has the name "donor_id", and is returned for both.
    """
    column = obs[name if name in obs else re.sub(r"[/\\\0]", "_", name)]
    return pd.Series(pd.Categorical(column.astype(str), categories=ordered_values(column)), index=obs.index, name=name)


def centred_limits(values: ArrayLike, share: float = 0.99) -> tuple[float, float]:
    """Return limits of a diverging colour map: the same distance below and above 0, which a share of the values do not exceed."""
    sizes = np.abs(np.asarray(values, dtype=float))
    finite = sizes[np.isfinite(sizes)]
    limit = float(np.quantile(finite, share)) if finite.size else 1.0
    limit = limit or float(finite.max(initial=0)) or 1.0
    return -limit, limit


def _sorted(texts: list[str]) -> list[str]:
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        return sorted(texts, key=_by_numbers_in_text)
    if not np.isfinite(numbers).all():
        return sorted(texts, key=_by_numbers_in_text)
    return sorted(texts, key=lambda text: (float(text), text))


def _by_numbers_in_text(text: str) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", text)
    return [int(part) if place % 2 else part.casefold() for place, part in enumerate(parts)], text
