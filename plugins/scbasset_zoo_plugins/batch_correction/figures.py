"""Figures of `batch-correction`: mixing of batches against groups kept, and a UMAP for each correction."""

from __future__ import annotations

from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scbasset_zoo_plugins.labels import label_text
from scbasset_zoo_plugins.maps import draw_cells
from scbasset_zoo_plugins.palette import COLOURS, MARKERS

MIXING_SCORES = ("iLISI, rescaled", "kBET acceptance")
LABEL_SCORE = "label score at 50"
MAPS_PER_ROW = 4


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Return every figure for which the result has data, by name."""
    table, recorded = result.uns["comparison"], result.uns["batch_correction"]
    mixing = [score for score in MIXING_SCORES if _has_values(table, score)]
    drawn = {"trade_off": _trade_off(table, mixing)} if mixing and _has_values(table, LABEL_SCORE) else {}
    if _umap_key(table["obsm"].iloc[0]) in result.obsm:
        drawn["umaps"] = _umaps(result, table, [column for column in (recorded["batch_key"], recorded["group_by"]) if column])
    return drawn


def _has_values(table: pd.DataFrame, score: str) -> bool:
    return score in table and bool(table[score].notna().any())


def _trade_off(table: pd.DataFrame, mixing_scores: list[str]) -> Figure:
    """Draw each correction by how well it mixes batches (x) and keeps groups (y); a line joins the models by their penalty."""
    figure = Figure(figsize=(1 + 4 * len(mixing_scores), 4.2), layout="constrained")
    kinds = list(dict.fromkeys(table["kind"]))
    for ax, mixing in zip(figure.subplots(1, len(mixing_scores), sharey=True, squeeze=False)[0], mixing_scores, strict=True):
        for i, name in enumerate(table.index):
            kind = kinds.index(table["kind"].iloc[i])
            ax.scatter(
                table[mixing].iloc[i], table[LABEL_SCORE].iloc[i],
                s=70, color=COLOURS[i % len(COLOURS)], marker=MARKERS[kind % len(MARKERS)],
                edgecolors="black", linewidths=0.5, label=name if mixing == mixing_scores[0] else None, zorder=3,
            )  # fmt: skip
        sweep = table[table["kind"] == "scBasset-BC"].sort_values("l2_cell")
        ax.plot(sweep[mixing], sweep[LABEL_SCORE], color="0.6", linewidth=1, zorder=2)
        ax.set(xlabel=f"{mixing} (right: batches mix)")
        ax.margins(0.12)
        ax.grid(color="0.92")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(f"{LABEL_SCORE} neighbours (up: types kept)")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _umaps(result: ad.AnnData, table: pd.DataFrame, columns: list[str]) -> Figure:
    """Draw the UMAP of each correction, coloured by each of some columns of the cells."""
    width = min(len(table), MAPS_PER_ROW)
    height = -(-len(table) // width)
    figure = Figure(figsize=(3.4 * width + 1.5, 3.3 * height * len(columns)), layout="constrained")
    blocks = figure.subplots(height * len(columns), width, squeeze=False).reshape(len(columns), height * width)
    for block, column in zip(blocks, columns, strict=True):
        values = result.obs[column].astype(str)
        for i, (ax, name, key) in enumerate(zip(block, table.index, table["obsm"], strict=False)):
            draw_cells(figure, ax, np.asarray(result.obsm[_umap_key(key)]), values, name, legend=i == width - 1)
            ax.set(title=name, xlabel="", ylabel=f"coloured by {label_text(column)}" if i % width == 0 else "")
        for ax in block[len(table) :]:
            ax.set_axis_off()
    return figure


def _umap_key(key: str) -> str:
    """Key of the UMAP of the embedding with a key."""
    return key.replace("X_", "X_umap_", 1)
