"""Figures of ism: sequence logos of importance, a row for each group, with matches of motifs marked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo_plugins.ism.tables import table

if TYPE_CHECKING:
    import xarray as xr

MOST_REGIONS, MOST_ROWS, MOST_MARKED = 3, 8, 6
WIDTH = 80
# Okabe & Ito's colours, told apart by the colour-blind.
BASES = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}


def figures(result: xr.Dataset) -> Mapping[str, Figure]:
    """Logos of the first regions; none of latent scores, which have no direction."""
    dimension = str(result["scores"].dims[3])
    if dimension == "latent":
        return {}
    matches = table(result, "match") if "match" in result.dims else pd.DataFrame()
    names = result["region"].to_numpy()[:MOST_REGIONS]
    return {f"logo_{number}_{_plain(str(name))}": _logos(result, number, dimension, matches) for number, name in enumerate(names)}


def _logos(result: xr.Dataset, number: int, dimension: str, matches: pd.DataFrame) -> Figure:
    """The stretch of a region that matters most, in the groups where it matters most."""
    region = str(result["region"].to_numpy()[number])
    values = result["importance"][number].to_numpy()
    codes = result["reference"][number].to_numpy()
    first = _most_important(np.abs(values).sum(axis=1))
    stretch = slice(first, first + WIDTH)
    rows = np.sort(np.argsort(-np.abs(values[stretch]).sum(axis=0), kind="stable")[:MOST_ROWS])
    marked = _marked(matches, region, first)
    figure = Figure(figsize=(12, 0.9 + 1.0 * len(rows) + 0.22 * len(marked)), layout="constrained")
    heights = [1.0] * len(rows) + ([0.25 * len(marked)] if len(marked) else [])
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
    low, high = float(min(values[stretch][:, rows].min(), 0)), float(values[stretch][:, rows].max())
    names = result[dimension].to_numpy()
    for ax, row in zip(axes, rows, strict=False):
        _logo(ax, values[stretch, row], codes[stretch])
        ax.set_ylim(low * 1.05, high * 1.05 or 1)
        ax.set_ylabel(str(names[row]), rotation=0, ha="right", va="center")
        ax.spines[["top", "right"]].set_visible(False)
    if len(marked):
        _mark(axes[-1], marked)
    axes[-1].set_xlim(-0.5, len(codes[stretch]) - 0.5)
    on_genome = "window_start" in result.variables
    shift = first + (int(result["window_start"].to_numpy()[number]) if on_genome else 0)
    places = np.arange(-shift % 10, min(WIDTH, len(codes)), 10)
    axes[-1].set_xticks(places, [f"{shift + place:,}" for place in places])
    axes[-1].set_xlabel(
        f"position on {result['chrom'].to_numpy()[number]}, bp from 0" if on_genome else f"position in {region}, bp from 0"
    )
    axes[0].set_title(region, loc="left", size="medium")
    figure.supylabel("importance of the base (logit)", size="medium")
    return figure


def _logo(ax: Axes, values: np.ndarray, codes: np.ndarray) -> None:
    from logomaker import Logo

    heights = np.zeros((len(values), 4))
    known = codes < dna.N
    heights[np.flatnonzero(known), codes[known]] = values[known]
    Logo(pd.DataFrame(heights, columns=list(dna.ALPHABET)), ax=ax, color_scheme=BASES, flip_below=False, show_spines=True)


def _marked(matches: pd.DataFrame, region: str, first: int) -> pd.DataFrame:
    """The surest matches in the stretch, none over a surer one of the same place."""
    if matches.empty:
        return matches
    inside = matches[(matches["region"] == region) & (matches["start"] >= first) & (matches["end"] <= first + WIDTH)]
    inside = inside[inside["q"] <= 0.05].sort_values(["p", "score"], ascending=[True, False], kind="stable")
    start, end = inside["start"].to_numpy() - first, inside["end"].to_numpy() - first
    kept: list[int] = []
    for row in range(len(inside)):
        overlap = np.minimum(end[kept], end[row]) - np.maximum(start[kept], start[row])
        if not (overlap > (end[row] - start[row]) / 2).any():
            kept.append(row)
    kept = sorted(kept[:MOST_MARKED], key=lambda row: start[row])
    return inside.iloc[kept].assign(start=start[kept], end=end[kept])


def _mark(ax: Axes, matches: pd.DataFrame) -> None:
    starts, ends = matches["start"].to_numpy(), matches["end"].to_numpy()
    texts = matches["tf"] + " " + matches["strand"] + "  (" + matches["group"].astype(str) + ")"
    for row, (start, end, text) in enumerate(zip(starts, ends, texts, strict=True)):
        ax.plot([start - 0.5, end - 0.5], [-row, -row], color="0.2", linewidth=4, solid_capstyle="butt")
        right = end < WIDTH * 0.75
        ax.text(end if right else start - 1, -row, text, va="center", ha="left" if right else "right", size=9)
    ax.set(ylim=(-len(matches) + 0.4, 0.6), yticks=[])
    ax.spines[["top", "right", "left"]].set_visible(False)


def _most_important(importance: np.ndarray) -> int:
    """First position of the WIDTH that hold most of it."""
    sums = np.convolve(importance, np.ones(min(WIDTH, len(importance))), mode="valid")
    return int(sums.argmax())


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60]
