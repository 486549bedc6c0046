"""Figures of `motif-insertion`: factors by group, cells coloured by a factor, precision-recall curves, and expression."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scbasset_zoo_plugins.labels import label_text
from scbasset_zoo_plugins.maps import draw_cells
from scbasset_zoo_plugins.motif_insertion.factor_scores import parse_contrast
from scbasset_zoo_plugins.neighbours import add_neighbours
from scbasset_zoo_plugins.palette import BLUE, COLOURS, VERMILION

MAX_CELLS = 20_000
FACTORS_PER_GROUP, MAX_FACTORS = 4, 40
MAX_ROWS = 300  # the height of the heat map stops growing here, since an image has a largest size
N_SHOWN = 6
MAX_NAMED_POINTS = 8
MIN_EFFECT = 0.05  # share of the largest effect; a factor with less is not shown for a group


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Return every figure for which the result has data, by name."""
    drawn = {}
    if "group_means" in result.uns and any(_outstanding(result, FACTORS_PER_GROUP)):
        drawn["factors_by_group"] = _heat_map(result)
    shown = _shown_motifs(result)
    if result.n_obs > 2 and shown:
        drawn["umap"] = _maps(result, shown)
    if "contrast" in result.uns:
        drawn["precision_recall"] = _curves(result, str(result.uns["motif_insertion"]["contrast"]))
    if "expression" in result.uns:
        drawn["expression"] = _expression(result.uns["expression"])
    return drawn


def _heat_map(result: ad.AnnData) -> Figure:
    """Draw mean z-scores of the factors that stand out most in each group.

    Factors are chosen by raw scores, since weak and strong factors have z-scores of the same size.
    """
    means = result.uns["group_means"]
    values = means.drop(columns="tf")
    scores = values.to_numpy()
    chosen = list(dict.fromkeys(row for rows in _outstanding(result, FACTORS_PER_GROUP) for row in rows))[:MAX_FACTORS]
    figure = Figure(figsize=(2.2 + 0.32 * len(chosen), 1.8 + 0.32 * min(values.shape[1], MAX_ROWS)), layout="constrained")
    ax = figure.subplots()
    limit = float(np.abs(scores[chosen]).max()) or 1.0
    image = ax.imshow(scores[chosen].T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.set_xticks(range(len(chosen)), means["tf"].iloc[chosen].map(label_text), rotation=90)
    ax.set_yticks(range(values.shape[1]), values.columns.map(label_text))
    ax.set_ylabel(label_text(result.uns["motif_insertion"]["group_by"]))
    figure.colorbar(image, ax=ax, label="mean activity (z)", pad=0.01)
    return figure


def _maps(result: ad.AnnData, motifs: list[int]) -> Figure:
    """Draw a UMAP for each of some motifs, coloured by its z-scores."""
    cells = np.arange(result.n_obs)
    if len(cells) > MAX_CELLS:
        cells = np.sort(np.random.default_rng(0).choice(cells, MAX_CELLS, replace=False))
    if "X_umap" in result.obsm:
        points = np.asarray(result.obsm["X_umap"])[cells]
    else:
        embedded = ad.AnnData(obsm={"X_scbasset": np.asarray(result.obsm["X_scbasset"])[cells]})
        add_neighbours(embedded, "X_scbasset", min(15, len(cells) - 1), 0)
        points = embedded.obsm["X_umap"]
    columns = min(3, len(motifs))
    rows = -(-len(motifs) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, motif in zip(axes, motifs, strict=False):
        values = pd.Series(_scores(result, cells, motif))
        draw_cells(figure, ax, points, values.clip(*np.quantile(values, [0.01, 0.99])), "activity (z)")
        ax.set_title(_label(result, motif))
    for ax in axes[len(motifs) :]:
        ax.set_axis_off()
    return figure


def _curves(result: ad.AnnData, contrast: str) -> Figure:
    """Draw precision against recall of some motifs for the first group of a contrast."""
    from sklearn.metrics import precision_recall_curve

    column, first, second = parse_contrast(contrast, result.obs)
    table = result.uns["contrast"]
    values = result.obs[column].astype(str).to_numpy()
    cells = np.flatnonzero((values == first) | (values == second))
    figure = Figure(figsize=(6.2, 3.8), layout="constrained")
    ax = figure.subplots()
    shown = table.index[table["auroc"] > 0.5]
    if str(result.uns["motif_insertion"]["show"]):
        shown = result.var_names[_shown_motifs(result)]
    for colour, name in zip(COLOURS, shown[:N_SHOWN], strict=False):
        motif = result.var_names.get_loc(name)
        precision, recall, _ = precision_recall_curve(values[cells] == first, _scores(result, cells, motif))
        text = f"{_label(result, motif)} ({table.loc[name, 'aupr']:.2f})"
        ax.step(recall, precision, where="post", color=colour, label=text)
    ax.axhline(float(table["aupr_by_chance"].iloc[0]), color="0.5", linestyle=":", label="by chance")
    ax.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1.01),
        ylim=(0, 1.03),
        title=f"cells of {label_text(first)} among those of {label_text(first)} and {label_text(second)}",
    )
    # Without handles, a legend leaves out names that begin with "_".
    ax.legend(handles=ax.get_lines(), title="factor (AUPR)", loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _expression(table: pd.DataFrame) -> Figure:
    """Draw correlations with expression: by rank, or against the correlations of other scores."""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    ax = figure.subplots()
    compared = "r_other" in table
    x = table["r_other"].abs().to_numpy() if compared else np.arange(len(table))
    y = (table["r"].abs() if compared else table["r"]).to_numpy()
    for kind, colour in (("activating", VERMILION), ("repressive", BLUE)):
        chosen = (table["kind"] == kind).to_numpy()
        ax.scatter(x[chosen], y[chosen], s=18, color=colour, linewidths=0, label=f"{kind} ({chosen.sum():,})")
    if compared:
        top = float(max(x.max(initial=0.1), y.max(initial=0.1))) * 1.05
        ax.plot([0, top], [0, top], color="0.5", linestyle=":")
        ax.set(xlabel="|r| of the other scores with expression", ylabel="|r| of motif insertion with expression")
    else:
        ax.axhline(0, color="0.7", linewidth=0.8)
        ax.set(xlabel="factors, by correlation", ylabel="correlation of activity and expression")
    _name_points(ax, table, x, y)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _name_points(ax: Axes, table: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> None:
    """Write the names of the factors with the largest correlations beside their points, where names do not overlap."""
    points = np.stack([values / np.abs(values).max(initial=1e-9) for values in (x, y)], axis=1)
    named: list[int] = []
    for row in np.argsort(-np.abs(y)):
        is_apart = all(np.abs(points[row] - points[other]).max() > 0.05 for other in named)
        if is_apart and len(named) < MAX_NAMED_POINTS:
            named.append(int(row))
            ax.annotate(
                label_text(table["tf"].iloc[row]), (x[row], y[row]), xytext=(4, 0), textcoords="offset points", va="center", size=8
            )


def _shown_motifs(result: ad.AnnData) -> list[int]:
    """Positions of the motifs of the option `show`, or of those that stand out most in each group, or of those that vary most.

    Motifs without z-scores are left out.
    """
    deviation = result.var["deviation"].to_numpy()
    names = [name for name in str(result.uns["motif_insertion"]["show"]).split(",") if name]
    if names:
        return [motif for motif in map(result.var_names.get_loc, names[:N_SHOWN]) if deviation[motif] > 0]
    if "group_means" in result.uns:
        best_of_groups = zip_longest(*_outstanding(result, N_SHOWN))  # the best of each group, then the second of each, ...
        rows = list(dict.fromkeys(row for rank in best_of_groups for row in rank if row is not None))
        return [int(result.var_names.get_loc(result.uns["group_means"].index[row])) for row in rows[:N_SHOWN]]
    return [int(motif) for motif in np.argsort(-deviation)[:N_SHOWN] if deviation[motif] > 0]


def _outstanding(result: ad.AnnData, n: int) -> list[list[int]]:
    """For each group, the up to n rows of the group means whose raw mean lies most above the mean of the other groups."""
    means = result.uns["group_means"]
    raw = np.nan_to_num(means.drop(columns="tf").to_numpy()) * result.var["deviation"].loc[means.index].to_numpy()[:, None]
    above = raw - (raw.sum(axis=1, keepdims=True) - raw) / (raw.shape[1] - 1)
    order = np.argsort(-above, axis=0, kind="stable")[:n]
    return [[int(row) for row in rows if above[row, group] > MIN_EFFECT * above.max()] for group, rows in enumerate(order.T)]


def _scores(result: ad.AnnData, cells: np.ndarray, motif: int) -> np.ndarray:
    """Read the z-scores of one motif; X may be on disk."""
    return np.asarray(result.X[:, motif : motif + 1]).ravel()[cells]


def _label(result: ad.AnnData, motif: int) -> str:
    """Return the factor of a motif, with the motif's name if the factor has several."""
    name, tf = result.var_names[motif], result.var["tf"].iloc[motif]
    return label_text(tf if (result.var["tf"] == tf).sum() == 1 else f"{tf} {name}")
