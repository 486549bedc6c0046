"""Figures of a denoised result: counts against denoised as heat maps, correlation with RNA, rank distances."""

from __future__ import annotations

from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

# Okabe & Ito's colours, told apart by the colour-blind; black is left for more labels than these.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_COUNTS, _DENOISED = COLOURS[7], COLOURS[4]


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Every figure that the result has data for."""
    found = {"heat_map": _heat_map(result)}
    if "correlation_with_RNA" in result.uns:
        found["correlation_with_RNA"] = _correlations(result)
    if "rank_distance" in result.obs:
        found["rank_distance"] = _ranks(result.obs["rank_distance"].dropna())
    return found


def _heat_map(result: ad.AnnData) -> Figure:
    data = result.uns["heat_map"]
    sides = [side for side in ("counts", "denoised") if side in data]
    figure = Figure(figsize=(5 * len(sides) + 1, 5), layout="constrained")
    has_labels = "labels" in data
    widths = [0.04] * has_labels + [1.0] * len(sides)
    axes = list(figure.subplots(1, len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})[0])
    if has_labels:
        _label_strip(figure, axes.pop(0), [str(label) for label in data["labels"]])
    n_cells, n_peaks = data["denoised"].shape
    for ax, side in zip(axes, sides, strict=True):
        values = np.asarray(data[side])
        if side == "counts":
            ax.imshow(values, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
            ax.set_title("counts (black: open)")
        else:
            unit = "logit" if values.min() < 0 or values.max() > 1 else "accessibility"
            values = values - values.mean(axis=0)
            most = np.percentile(np.abs(values), 98)
            image = ax.imshow(values, aspect="auto", cmap="PuOr_r", vmin=-most, vmax=most, interpolation="nearest")
            ax.set_title("denoised, less each peak's mean")
            figure.colorbar(image, ax=ax, label=unit, pad=0.01)
        ax.set(xlabel=f"{n_peaks:,} most variable peaks, clustered", xticks=[], yticks=[])
    if not has_labels:
        axes[0].set_ylabel(f"{n_cells:,} cells, clustered")
    return figure


def _label_strip(figure: Figure, ax: Axes, labels: list[str]) -> None:
    distinct = sorted(set(labels))
    colours = dict(zip(distinct, (COLOURS * (len(distinct) // len(COLOURS) + 1)), strict=False))
    ax.imshow(np.array([[to_rgb(colours[label])] for label in labels]), aspect="auto", interpolation="nearest")
    ax.set(xticks=[], yticks=[], ylabel=f"{len(labels):,} cells, clustered")
    figure.legend(
        handles=[Patch(color=colours[label], label=label) for label in distinct],
        loc="outside lower center", ncols=min(len(distinct), 8), frameon=False,
    )  # fmt: skip


def _correlations(result: ad.AnnData) -> Figure:
    of_cell = result.obs.filter(like="rna_correlation_").rename(columns=lambda name: name.removeprefix("rna_correlation_"))
    panels = {"of each cell, over genes": of_cell, "of each gene, over cells": result.uns["correlation_with_RNA"]}
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    for ax, (title, table) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        sides = [side for side in ("counts", "denoised") if side in table]
        values = [table[side].dropna().to_numpy() for side in sides]
        drawn = ax.boxplot(values, tick_labels=sides, widths=0.5, showfliers=False, patch_artist=True)
        for box, median, side in zip(drawn["boxes"], drawn["medians"], sides, strict=True):
            box.set_facecolor(_COUNTS if side == "counts" else _DENOISED)
            median.set_color("black")
        ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        ax.set(title=f"{title} (n = {len(values[-1]):,})", ylabel="Pearson r with RNA")
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _ranks(distances: pd.Series) -> Figure:
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    ax = figure.subplots()
    ax.hist(distances, bins=40, range=(0, 1), color=_DENOISED)
    ax.axvline(distances.mean(), color="black", label=f"mean, {distances.mean():.3f}")
    ax.axvline(0.5, color=COLOURS[5], linestyle="--", label="chance, 0.5")
    ax.set(xlabel="rank of a cell's own RNA by distance from its ATAC (0: nearest)", ylabel="cells", xlim=(0, 1))
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure
