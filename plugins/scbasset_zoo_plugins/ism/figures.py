"""Figures of `ism`: sequence logos of importance, with a row for each group and the matches of motifs marked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo_plugins.ism.tables import MAX_Q, table
from scbasset_zoo_plugins.labels import label_text
from scbasset_zoo_plugins.palette import BLUE, GREEN, ORANGE, VERMILION

if TYPE_CHECKING:
    import xarray as xr

MAX_REGIONS, MAX_ROWS, MAX_MATCHES = 3, 8, 6
WIDTH = 80
COLOUR_OF_BASE = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": VERMILION}


def figures(result: xr.Dataset) -> Mapping[str, Figure]:
    """Return a figure of logos for each of the first regions, by name; none for latent scores."""
    dimension = str(result["scores"].dims[3])
    if dimension == "latent":
        return {}
    matches = table(result, "match") if "match" in result.dims else pd.DataFrame()
    names = result["region"].to_numpy()[:MAX_REGIONS]
    return {figure_name(number, str(name)): _logos(result, number, dimension, matches) for number, name in enumerate(names)}


def figure_name(number: int, region: str) -> str:
    """Return the name of the figure of a region."""
    return f"logo_{number}_{_file_name(region)}"


def _logos(result: xr.Dataset, number: int, dimension: str, matches: pd.DataFrame) -> Figure:
    """Draw the most important bases of a region, for the groups in which they are most important."""
    region = str(result["region"].to_numpy()[number])
    values = result["importance"][number].to_numpy()
    codes = result["reference"][number].to_numpy()
    first = _most_important(np.abs(values).sum(axis=1))
    stretch = slice(first, first + WIDTH)
    rows = np.sort(np.argsort(-np.abs(values[stretch]).sum(axis=0), kind="stable")[:MAX_ROWS])
    marked = _matches_to_mark(matches, region, first)
    figure = Figure(figsize=(12, 0.9 + 1.0 * len(rows) + 0.22 * len(marked)), layout="constrained")
    heights = [1.0] * len(rows) + ([0.25 * len(marked)] if len(marked) else [])
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
    low, high = float(min(values[stretch][:, rows].min(), 0)), float(values[stretch][:, rows].max())
    names = result[dimension].to_numpy()
    spread = result["random_spread"].to_numpy() if "random_spread" in result else np.zeros(len(names))
    for ax, row in zip(axes, rows, strict=False):
        ax.axhspan(-spread[row], spread[row], color="0.9", linewidth=0, zorder=-1)
        draw_logo(ax, values[stretch, row], codes[stretch])
        ax.set_ylim(low * 1.05, high * 1.05 or 1)
        ax.set_ylabel(label_text(names[row]), rotation=0, ha="right", va="center")
        ax.spines[["top", "right"]].set_visible(False)
    if len(marked):
        _mark(axes[-1], marked)
    axes[-1].set_xlim(-0.5, len(codes[stretch]) - 0.5)
    on_genome = "window_start" in result.variables
    shift = first + (int(result["window_start"].to_numpy()[number]) if on_genome else 0)
    ticks = np.arange(-shift % 10, min(WIDTH, len(codes)), 10)
    axes[-1].set_xticks(ticks, [f"{shift + tick:,}" for tick in ticks])
    axes[-1].set_xlabel(
        f"position on {result['chrom'].to_numpy()[number]}, bp from 0"
        if on_genome
        else f"position in {label_text(region)}, bp from 0"
    )
    axes[0].set_title(label_text(region), loc="left", size="medium")
    figure.supylabel("importance of the base (logit)", size="medium")
    return figure


def draw_logo(ax: Axes, values: np.ndarray, codes: np.ndarray) -> None:
    """Draw bases, given as codes, in the height of their values (length,)."""
    from logomaker import Logo

    if not values.any():
        return
    heights = np.zeros((len(values), 4))
    is_base = codes < dna.N
    heights[np.flatnonzero(is_base), codes[is_base]] = values[is_base]
    Logo(pd.DataFrame(heights, columns=list(dna.ALPHABET)), ax=ax, color_scheme=COLOUR_OF_BASE, flip_below=False, show_spines=True)


def _matches_to_mark(matches: pd.DataFrame, region: str, first: int) -> pd.DataFrame:
    """Choose the matches with the smallest p in the drawn bases; a match that overlaps a chosen one by half is not chosen."""
    if matches.empty:
        return matches
    inside = matches[(matches["region"] == region) & (matches["start"] >= first) & (matches["end"] <= first + WIDTH)]
    inside = inside[inside["q"] <= MAX_Q].sort_values(["p", "score"], ascending=[True, False], kind="stable")
    start, end = inside["start"].to_numpy() - first, inside["end"].to_numpy() - first
    kept: list[int] = []
    for row in range(len(inside)):
        overlap = np.minimum(end[kept], end[row]) - np.maximum(start[kept], start[row])
        if not (overlap > (end[row] - start[row]) / 2).any():
            kept.append(row)
    kept = sorted(kept[:MAX_MATCHES], key=lambda row: start[row])
    return inside.iloc[kept].assign(start=start[kept], end=end[kept])


def _mark(ax: Axes, matches: pd.DataFrame) -> None:
    """Draw a bar with a name for each match."""
    starts, ends = matches["start"].to_numpy(), matches["end"].to_numpy()
    texts = matches["tf"].map(label_text) + " " + matches["strand"] + "  (" + matches["group"].map(label_text) + ")"
    for row, (start, end, text) in enumerate(zip(starts, ends, texts, strict=True)):
        ax.plot([start - 0.5, end - 0.5], [-row, -row], color="0.2", linewidth=4, solid_capstyle="butt")
        text_is_right = end < WIDTH * 0.75
        ax.text(end if text_is_right else start - 1, -row, text, va="center", ha="left" if text_is_right else "right", size=9)
    ax.set(ylim=(-len(matches) + 0.4, 0.6), yticks=[])
    ax.spines[["top", "right", "left"]].set_visible(False)


def _most_important(importance: np.ndarray) -> int:
    """Return the first of the WIDTH positions with the largest sum of importance."""
    sums = np.convolve(importance, np.ones(min(WIDTH, len(importance))), mode="valid")
    return int(sums.argmax())


def _file_name(name: str) -> str:
    """Return a name with only letters that file names may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60]
