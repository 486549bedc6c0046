"""Figures of `batch-correction`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd

from scbasset_zoo_plugins import maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MIXING = ("iLISI, rescaled", "kBET acceptance")


KEPT = "label score at 50"


MAPS_A_ROW = 4


def trade_off_figure(table: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    kinds = list(dict.fromkeys(table["kind"]))
    for ax, mixing in zip(figure.subplots(1, 2, sharey=True), MIXING, strict=True):
        for i, name in enumerate(table.index):
            kind = kinds.index(table["kind"].iloc[i])
            ax.scatter(
                table[mixing].iloc[i], table[KEPT].iloc[i],
                s=70, color=maps.COLOURS[i % len(maps.COLOURS)], marker=maps.MARKERS[kind % len(maps.MARKERS)],
                edgecolors="black", linewidths=0.5, label=name if mixing == MIXING[0] else None, zorder=3,
            )  # fmt: skip
        sweep = table[table["kind"] == "scBasset-BC"].sort_values("lambda_cell")
        ax.plot(sweep[mixing], sweep[KEPT], color="0.6", linewidth=1, zorder=2)
        ax.set(xlabel=f"{mixing} (right: batches mix)")
        ax.margins(0.12)
        ax.grid(color="0.92")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(f"{KEPT} neighbours (up: types kept)")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def map_figures(result: ad.AnnData, table: pd.DataFrame, columns: list[str]) -> Figure:
    from matplotlib.figure import Figure

    width = min(len(table), MAPS_A_ROW)
    height = -(-len(table) // width)
    figure = Figure(figsize=(3.4 * width + 1.5, 3.3 * height * len(columns)), layout="constrained")
    blocks = figure.subplots(height * len(columns), width, squeeze=False).reshape(len(columns), height * width)
    for block, column in zip(blocks, columns, strict=True):
        for i, (ax, name, key) in enumerate(zip(block, table.index, table["obsm"], strict=False)):
            points = np.asarray(result.obsm[key.replace("X_", "X_umap_", 1)])
            maps.draw_cells(figure, ax, points, result.obs[column].astype(str), name, legend=i == width - 1)
            ax.set(title=name, xlabel="", ylabel=f"coloured by {column}" if i % width == 0 else "")
        for ax in block[len(table) :]:
            ax.set_axis_off()
    return figure
