"""Figures of `denoise`: heat maps of counts and denoised values, correlation with RNA, and rank distances."""

from __future__ import annotations

from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from scbasset_zoo_plugins.denoise.comparison import RNA_OVER_CELLS, RNA_OVER_GENES
from scbasset_zoo_plugins.legends import add_legend, make_room, style_handles
from scbasset_zoo_plugins.palette import DIVERGING, GREY, SKY_BLUE, VERMILION, Style, centred_limits, label_column, styles
from scbasset_zoo_plugins.sentences import score_of

COLOUR_OF_SIDE = {"counts": GREY, "denoised": SKY_BLUE}
HEIGHT = 5.0  # inches


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Return every figure for which the result has data, by name."""
    drawn = {"heat_map": _heat_map(result)}
    if "correlation_with_RNA" in result.uns:
        drawn["correlation_with_RNA"] = _correlations(result)
    if "rank_distance" in result.obs and result.obs["rank_distance"].notna().any():
        drawn["rank_distance"] = _rank_distances(result.obs["rank_distance"].dropna())
    return drawn


def _heat_map(result: ad.AnnData) -> Figure:
    """Draw counts and denoised values of some cells side by side, with the groups of the cells as a strip of colours."""
    data = result.uns["heat_map"]
    sides = [side for side in ("counts", "denoised") if side in data]
    figure = Figure(figsize=(5 * len(sides) + 1, HEIGHT), layout="constrained")
    has_labels = "labels" in data
    widths = [0.04] * has_labels + [1.0] * len(sides)
    axes = list(figure.subplots(1, len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})[0])
    if has_labels:
        style_of_label = styles(label_column(result.obs, str(result.uns["denoise"]["group_by"])))
        _label_strip(figure, axes.pop(0), [str(label) for label in data["labels"]], style_of_label)
    n_cells, n_peaks = data["denoised"].shape
    for ax, side in zip(axes, sides, strict=True):
        values = np.asarray(data[side])
        if side == "counts":
            ax.imshow(values, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
            ax.set_title("counts (black: open)")
        else:
            unit = "logit" if values.min() < 0 or values.max() > 1 else "accessibility"
            values = values - values.mean(axis=0)
            low, high = centred_limits(values, 0.98)
            image = ax.imshow(values, aspect="auto", cmap=DIVERGING, vmin=low, vmax=high, interpolation="nearest")
            ax.set_title("denoised, less each peak's mean")
            figure.colorbar(image, ax=ax, label=unit, pad=0.01, extend="both")
        ax.set(xlabel=f"{n_peaks:,} most variable peaks, clustered", xticks=[], yticks=[])
    figure.axes[0].set_ylabel(f"{n_cells:,} cells, clustered")
    return figure


def _label_strip(figure: Figure, ax: Axes, labels: list[str], style_of_label: dict[str, Style]) -> None:
    ax.imshow(np.array([[to_rgb(style_of_label[label].colour)] for label in labels]), aspect="auto", interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    shown = {label: style._replace(marker="s") for label, style in style_of_label.items() if label in set(labels)}
    legend = add_legend(figure, style_handles(shown, with_keys=False), HEIGHT - 0.5)
    make_room(figure, [legend], HEIGHT - 0.5)


def _correlations(result: ad.AnnData) -> Figure:
    """Draw the correlations with RNA, per cell and per gene, as box plots, and their means by chance as dashed lines."""
    per_cell = result.obs.filter(like="rna_correlation_").rename(columns=lambda name: name.removeprefix("rna_correlation_"))
    panels = (
        ("of each cell, over genes", per_cell, RNA_OVER_GENES),
        ("of each gene, over cells", result.uns["correlation_with_RNA"], RNA_OVER_CELLS),
    )
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    for ax, (title, table, metric) in zip(figure.subplots(1, 2), panels, strict=True):
        sides = [side for side in ("counts", "denoised") if side in table]
        values = [table[side].dropna().to_numpy() for side in sides]
        plot = ax.boxplot(values, tick_labels=sides, widths=0.5, showfliers=False, patch_artist=True)
        for box, median, side in zip(plot["boxes"], plot["medians"], sides, strict=True):
            box.set_facecolor(COLOUR_OF_SIDE[side])
            median.set_color("black")
        ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        for place, side in enumerate(sides, 1):
            if (chance := score_of(result.uns["metrics"], metric, f"chance_{side}")) is not None:
                ax.hlines(chance, place - 0.4, place + 0.4, color=VERMILION, linestyle="--", zorder=3, label="mean by chance")
        ax.set(title=f"{title} (n = {len(values[-1]):,})", ylabel="Pearson r with RNA")
        ax.spines[["top", "right"]].set_visible(False)
    if lines := figure.axes[0].get_legend_handles_labels()[0]:
        figure.legend(handles=lines[:1], loc="outside upper right", frameon=False)
    return figure


def _rank_distances(distances: pd.Series) -> Figure:
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    ax = figure.subplots()
    ax.hist(distances, bins=40, range=(0, 1), color=COLOUR_OF_SIDE["denoised"])
    ax.axvline(distances.mean(), color="black", label=f"mean, {distances.mean():.3f}")
    ax.axvline(0.5, color=VERMILION, linestyle="--", label="chance, 0.5")
    ax.set(xlabel="rank of a cell's own RNA by distance from its ATAC (0: nearest)", ylabel="cells", xlim=(0, 1))
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure
