"""Figures of `batch-correction`: mixing of batches against groups kept, and a UMAP for each correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scbasset_zoo_plugins.labels import wrapped_label
from scbasset_zoo_plugins.legends import add_legend, make_room, style_handles
from scbasset_zoo_plugins.maps import MAX_LEGEND_VALUES, draw_cells
from scbasset_zoo_plugins.palette import COLOURS, MARKERS, label_column, styles

MIXING_SCORES = ("iLISI, rescaled", "kBET acceptance")
LABEL_SCORE = "label score at 50"
MAPS_PER_ROW = 4
PANEL, MAP, MAP_HEIGHT = 4.0, 3.1, 3.2  # inches
LETTERS_OF_TITLE = 30
MIN_SPAN = 0.2


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Return every figure for which the result has data, by name."""
    table, recorded = result.uns["comparison"], result.uns["batch_correction"]
    mixing = [score for score in MIXING_SCORES if has_values(table, score)]
    drawn = {"trade_off": _trade_off(table, mixing, _chance(result))} if mixing and has_values(table, LABEL_SCORE) else {}
    if _umap_key(table["obsm"].iloc[0]) in result.obsm:
        drawn["umaps"] = _umaps(result, table, [column for column in (recorded["batch_key"], recorded["group_by"]) if column])
    return drawn


def has_values(table: pd.DataFrame, score: str) -> bool:
    """Return whether a comparison has a score that is defined for some correction."""
    return score in table and bool(table[score].notna().any())


def _chance(result: ad.AnnData) -> dict[str, float]:
    """Return what each score would be by chance; empty if the result does not have it."""
    return dict(result.uns["chance"]["chance"].dropna()) if "chance" in result.uns else {}


def _trade_off(table: pd.DataFrame, mixing_scores: list[str], chance: Mapping[str, float]) -> Figure:
    """Draw each correction by how well it mixes batches (x) and keeps groups (y).

    A line joins the models by their penalty, and dotted lines show the scores by chance.
    """
    figure = Figure(figsize=(0.6 + PANEL * len(mixing_scores), 4.2), layout="constrained")
    kinds = list(dict.fromkeys(table["kind"]))
    look: dict[Any, dict[str, Any]] = {
        name: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[kinds.index(kind) % len(MARKERS)]}
        for i, (name, kind) in enumerate(table["kind"].items())
    }
    edges: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.5, "markersize": 8, "linestyle": ""}
    axes = figure.subplots(1, len(mixing_scores), sharey=True, squeeze=False)[0]
    for ax, mixing in zip(axes, mixing_scores, strict=True):
        for name, x, y in zip(table.index, table[mixing], table[LABEL_SCORE], strict=True):
            ax.plot([x], [y], zorder=3, **look[name], **edges)
        sweep = table[table["kind"] == "scBasset-BC"].sort_values("l2_cell")
        ax.plot(sweep[mixing], sweep[LABEL_SCORE], color="0.6", linewidth=1, zorder=2)
        for score, draw in ((mixing, ax.axvline), (LABEL_SCORE, ax.axhline)):
            if score in chance:
                draw(chance[score], color="0.5", linestyle=":", zorder=1)
        ax.set(xlabel=f"{mixing} (right: batches mix)")
        ax.set_xlim(_limits(table[mixing], chance.get(mixing)))
        ax.grid(color="0.92")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(_limits(table[LABEL_SCORE], chance.get(LABEL_SCORE)))
    axes[0].set_ylabel(f"{LABEL_SCORE} neighbours (up: types kept)")
    handles = [Line2D([], [], label=wrapped_label(name, LETTERS_OF_TITLE), **look[name], **edges) for name in table.index]
    make_room(figure, [add_legend(figure, handles, figure.get_figheight() - 0.6)], figure.get_figheight() - 0.6)
    return figure


def _limits(scores: pd.Series, chance: float | None) -> tuple[float, float]:
    """Return limits of an axis around scores and chance, so that small differences look small."""
    values = scores.tolist() + ([] if chance is None else [chance])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    centre, span = (low + high) / 2, max(high - low, MIN_SPAN)
    return centre - 0.6 * span, centre + 0.6 * span


def _umaps(result: ad.AnnData, table: pd.DataFrame, columns: list[str]) -> Figure:
    """Draw the UMAP of each correction, coloured by each of some columns of the cells."""
    width = min(len(table), MAPS_PER_ROW)
    height = -(-len(table) // width)
    figure = Figure(figsize=(MAP * width + 0.5, MAP_HEIGHT * height * len(columns)), layout="constrained")
    blocks = figure.subplots(height * len(columns), width, squeeze=False).reshape(len(columns), height * width)
    legends = []
    for block, column in zip(blocks, columns, strict=True):
        values = label_column(result.obs, column)
        coloured_by = f"coloured by {wrapped_label(column, LETTERS_OF_TITLE)}"
        for i, (ax, name, key) in enumerate(zip(block, table.index, table["obsm"], strict=False)):
            draw_cells(figure, ax, np.asarray(result.obsm[_umap_key(key)]), values, name, legend=False)
            ax.set(title="", xlabel="", ylabel=coloured_by if i % width == 0 else "")
            ax.set_title(wrapped_label(name, LETTERS_OF_TITLE), size="medium")
        for ax in block[len(table) :]:
            ax.set_axis_off()
        if len(styles(values)) <= MAX_LEGEND_VALUES:
            legends.append(add_legend(block[width - 1], style_handles(styles(values)), MAP_HEIGHT - 0.4))
    make_room(figure, legends, MAP_HEIGHT - 0.4)
    return figure


def _umap_key(key: str) -> str:
    """Key of the UMAP of the embedding with a key."""
    return key.replace("X_", "X_umap_", 1)
