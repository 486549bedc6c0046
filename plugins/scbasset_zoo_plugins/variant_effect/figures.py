"""Figures of `variant-effect`: effects of the top variants by group, and logos of their surroundings with both alleles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scbasset_zoo_plugins.ism.figures import draw_logo
from scbasset_zoo_plugins.labels import label_text
from scbasset_zoo_plugins.palette import DIVERGING
from scbasset_zoo_plugins.variant_effect.top_variants import BEFORE, BEYOND, WIDTH, figure_name

if TYPE_CHECKING:
    import anndata as ad

MOST_IN_FIGURE = 40
LONGEST_LABEL = 48  # letters: a variant and its peak


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Return the heat map, and a figure of two logos for each of the first top variants; none for latent effects."""
    if result.uns["variant_effect"]["dimension"] == "latent":
        return {}
    drawn = {"effects": _heat_map(result)}
    if "importance_ref" in result.uns:
        for number, name in enumerate(result.uns["top_variants"].index[: len(result.uns["importance_ref"])]):
            drawn[figure_name(number, str(name))] = _logos(result, number)
    return drawn


def _heat_map(result: ad.AnnData) -> Figure:
    top = result.uns["top_variants"]
    names = list(top.index[:MOST_IN_FIGURE])
    effects = np.asarray(result.X[:])[:, result.var_names.get_indexer(names)].T
    limit = float(np.abs(effects).max()) or 1.0
    n_rows, n_columns = effects.shape
    figure = Figure(figsize=(5.2 + 0.3 * n_columns, 1.6 + 0.22 * n_rows), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(effects, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(n_columns), [label_text(name) for name in result.obs_names], rotation=90)
    ax.set_yticks(range(n_rows), [label_text(name, LONGEST_LABEL) for name in names], fontsize=8)
    dimension = result.uns["variant_effect"]["dimension"]
    n_all = int(result.uns["variant_effect"]["n_rows"])
    ax.set(xlabel=dimension, ylabel="all variants" if n_rows == n_all else f"{n_rows} of {n_all:,} variants: the largest effects")
    bar = figure.colorbar(image, ax=ax, label="change of the logit by the alternative")
    if "null_scale" in result.uns:
        large = result.uns["null_scale"][BEYOND].to_numpy(float)
        row, column = np.nonzero(np.abs(effects) > large)
        ax.plot(column, row, linestyle="", marker=".", color="black", markersize=4)
        ax.set_title("dots: larger than 99% of effects by chance", fontsize=9, loc="left")
        for value in (-np.median(large), np.median(large)):
            bar.ax.axhline(value, color="black", linewidth=1)
    return figure


def _logos(result: ad.AnnData, number: int) -> Figure:
    row: pd.Series[Any] = result.uns["top_variants"].iloc[number]
    values = {allele: np.asarray(result.uns[f"importance_{allele}"])[number] for allele in ("ref", "alt")}
    bases = {allele: np.asarray(result.uns[f"bases_{allele}"])[number] for allele in ("ref", "alt")}
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    low = min(0.0, *(float(v.min()) for v in values.values()))
    high = max(float(v.max()) for v in values.values()) or 1.0
    for ax, (allele, label) in zip(axes, (("ref", "reference"), ("alt", "alternative")), strict=True):
        letters = str(row[allele])
        n_changed = max(1, len(letters) - int(row["start"] - (row["pos"] - 1)))
        ax.axvspan(BEFORE - 0.5, min(WIDTH, BEFORE + n_changed) - 0.5, color="0.88", linewidth=0, zorder=-1)
        draw_logo(ax, values[allele], bases[allele])
        ax.set(ylim=(low * 1.05, high * 1.05), xlim=(-0.5, WIDTH - 0.5))
        ax.set_ylabel(f"{label}\n{letters if len(letters) < 12 else letters[:10] + '…'}", rotation=0, ha="right", va="center")
        ax.spines[["top", "right"]].set_visible(False)
    first = int(row["start"]) - BEFORE
    ticks = np.arange(-(first + 1) % 10, WIDTH, 10)
    axes[1].set_xticks(ticks, [f"{first + tick + 1:,}" for tick in ticks])
    axes[1].set_xlabel(f"position on {row['chrom']} (of the reference), bp from 1")
    name, group = result.uns["top_variants"].index[number], row["largest_in"]
    strands = "mean of both strands" if result.uns["variant_effect"]["both_strands"] else "forward strand"
    axes[0].set_title(f"{label_text(name, LONGEST_LABEL)}: effect on {label_text(group)}, {strands}", loc="left")
    figure.supylabel("importance of the base (logit)", size="medium")
    return figure
