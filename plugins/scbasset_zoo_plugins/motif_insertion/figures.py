"""Figures of `motif-insertion`: factors by group, cells coloured by a factor, precision-recall curves, and expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from scbasset_zoo.extend.neighbours import add_neighbours
from scbasset_zoo_plugins.labels import label_text
from scbasset_zoo_plugins.maps import draw_cells
from scbasset_zoo_plugins.motif_insertion.factor_scores import parse_contrast
from scbasset_zoo_plugins.motif_insertion.significance import is_ignored
from scbasset_zoo_plugins.palette import BLUE, COLOURS, DIVERGING, GREY, VERMILION, centred_limits, ordered_values
from scbasset_zoo_plugins.spaces import KEYS, recorded_space

MAX_CELLS = 20_000
FACTORS_PER_GROUP, MAX_FACTORS = 4, 40
MAX_ROWS = 300  # the height of the heat map stops growing here, since an image has a largest size
N_SHOWN = 6
MAX_NAMED_POINTS = 8
MAX_GROUPS_WITH_NUMBERS = 12
EFFECTS_HEIGHT = 1.6  # inches
GREYS = LinearSegmentedColormap.from_list("greys", ["0.6", "0.97", "0.6"])
LINE_COLOURS = tuple(colour for colour in COLOURS if colour != GREY)
MIN_EFFECT = 0.05  # share of the largest effect; a factor with less is not shown for a group


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Return every figure for which the result has data, by name."""
    drawn = {}
    if "group_means" in result.uns and any(_outstanding(result, FACTORS_PER_GROUP)):
        drawn["factors_by_group"] = _heat_map(result)
    shown = _shown_motifs(result)
    # Several models have no embedding in common.
    if result.n_obs > 2 and shown and ("X_umap" in result.obsm or _space_key(result) in result.obsm):
        drawn["umap"] = _maps(result, shown)
    if "contrast" in result.uns:
        drawn["precision_recall"] = _curves(result, str(result.uns["motif_insertion"]["contrast"]))
    if "expression" in result.uns:
        drawn["expression"] = _expression(result.uns["expression"])
    return drawn


def _heat_map(result: ad.AnnData) -> Figure:
    """Draw mean z-scores of factors, below their effects: those that stand out most in a group, then all others that respond.

    Factors are chosen by raw scores, since weak and strong factors have z-scores of the same size.
    """
    outstanding = [
        *_outstanding(result, FACTORS_PER_GROUP, responding=True),
        _responding(result),
        *_outstanding(result, FACTORS_PER_GROUP),
    ]
    chosen = list(dict.fromkeys(row for rows in outstanding for row in rows))[:MAX_FACTORS]
    means = result.uns["group_means"].iloc[chosen]
    motifs = result.var_names.get_indexer(means.index)
    groups, group_by = means.columns[1:], str(result.uns["motif_insertion"]["group_by"])
    if group_by in result.obs:
        place = {name: number for number, name in enumerate(ordered_values(result.obs[group_by]))}
        groups = groups[np.argsort([place.get(name, len(place)) for name in groups], kind="stable")]
    has_numbers = len(groups) <= MAX_GROUPS_WITH_NUMBERS
    cell_size, n_rows = (0.46 if has_numbers else 0.32), min(len(groups), MAX_ROWS)
    width = 2.6 + max(cell_size * len(chosen), 2.0) + 0.075 * max(len(label_text(name)) for name in groups)
    figure = Figure(figsize=(width, 1.8 + EFFECTS_HEIGHT + 0.32 * n_rows), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[EFFECTS_HEIGHT, 0.32 * n_rows])
    ax = figure.add_subplot(grid[1])
    above = figure.add_subplot(grid[0], sharex=ax)
    scores = means[groups].to_numpy().T
    ignored = is_ignored(result.var)[motifs]
    _effects(above, result, motifs, ignored)
    low, high = centred_limits(scores, share=1)
    image = ax.imshow(scores, cmap=DIVERGING, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    for column in np.flatnonzero(ignored):
        extent = (column - 0.5, column + 0.5, len(groups) - 0.5, -0.5)
        values = scores[:, [column]]
        ax.imshow(values, cmap=GREYS, vmin=low, vmax=high, aspect="auto", interpolation="nearest", extent=extent)
    ax.set_xlim(-0.5, len(chosen) - 0.5)
    if has_numbers:
        _write_numbers(ax, scores, result.var["deviation"].to_numpy()[motifs], np.where(ignored, np.inf, 0.6 * high))
    ax.set_xticks(range(len(chosen)), [_label(result, motif) for motif in motifs], rotation=90)
    for label, is_grey in zip(ax.get_xticklabels(), ignored, strict=True):
        label.set_color(GREY if is_grey else "black")
    ax.set_yticks(range(len(groups)), groups.map(label_text))
    ax.set_ylabel(label_text(group_by))
    figure.colorbar(image, ax=ax, label="mean activity (z)", pad=0.01)
    return figure


def _effects(ax: Axes, result: ad.AnnData, motifs: np.ndarray, ignored: np.ndarray) -> None:
    """Draw the mean effect of motifs over cells, that in each group, and the range of their shuffles."""
    var = result.var.iloc[motifs]
    effects = result.uns["group_effects"].loc[var.index].iloc[:, 1:].to_numpy()
    places = np.arange(len(motifs))
    if "responds" in var and str(result.uns["motif_insertion"]["scale"]) == "logit":
        half = 2 * var["shuffled_deviation"]
        ax.bar(places, 2 * half, bottom=var["shuffled_mean"] - half, width=0.9, color="0.9")
    colours = np.where(ignored, GREY, BLUE)
    ax.scatter(np.repeat(places, effects.shape[1]), effects.ravel(), s=9, linewidths=0, color=np.repeat(colours, effects.shape[1]))
    ax.hlines(var["mean"], places - 0.35, places + 0.35, color=np.where(ignored, GREY, "black"), linewidth=1.5)
    ax.axhline(0, color="0.5", linewidth=0.6)
    ax.set_ylabel(f"effect\n({result.uns['motif_insertion']['scale']})")
    ax.tick_params(axis="x", bottom=False, labelbottom=False)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.set_title("\n".join(_key(result)), loc="left", size="small")


def _key(result: ad.AnnData) -> Iterator[str]:
    """Yield lines that explain the marks."""
    ignored = is_ignored(result.var)
    yield f"line: mean over cells; dots: values of {label_text(result.uns['motif_insertion']['group_by'], 20)}"
    if "responds" in result.var:
        yield f"band: shuffled motifs; grey: {'ignored by the network' if not ignored.all() else 'the network ignores all motifs'}"


def _write_numbers(ax: Axes, scores: np.ndarray, deviation: np.ndarray, dark: np.ndarray) -> None:
    """Write the difference of each group's effect from the mean over cells, in white on colours darker than `dark`."""
    differences = scores * deviation
    n_decimals = 2 if np.nanmax(np.abs(differences)) >= 0.1 else 3
    for (row, column), value in np.ndenumerate(differences):
        if np.isfinite(value):
            colour = "white" if abs(scores[row, column]) > dark[column] else "black"
            ax.text(column, row, f"{value:+.{n_decimals}f}", size=7, ha="center", va="center", color=colour)


def _maps(result: ad.AnnData, motifs: list[int]) -> Figure:
    """Draw a UMAP for each of some motifs, coloured by its z-scores."""
    cells = np.arange(result.n_obs)
    if len(cells) > MAX_CELLS:
        cells = np.sort(np.random.default_rng(0).choice(cells, MAX_CELLS, replace=False))
    if "X_umap" in result.obsm:
        points = np.asarray(result.obsm["X_umap"])[cells]
    else:
        embedded = ad.AnnData(obsm={"X": np.asarray(result.obsm[_space_key(result)])[cells]})
        add_neighbours(embedded, "X", min(15, len(cells) - 1), 0)
        points = embedded.obsm["X_umap"]
    columns = min(3, len(motifs))
    rows = -(-len(motifs) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    ignored, unit = is_ignored(result.var), result.uns["motif_insertion"]["scale"]
    for ax, motif in zip(axes, motifs, strict=False):
        values = pd.Series(_scores(result, cells, motif))
        draw_cells(figure, ax, points, values, "activity (z)", diverging=True)
        note = "ignored by the network, " * bool(ignored[motif])
        note += f"deviation {result.var['deviation'].iloc[motif]:.2g} {unit}"
        ax.set_title(_label(result, motif), color=GREY if ignored[motif] else "black", pad=16)
        ax.text(0.5, 1.015, note, transform=ax.transAxes, ha="center", va="bottom", size=8)
    for ax in axes[len(motifs) :]:
        ax.set_axis_off()
    return figure


def _space_key(result: ad.AnnData) -> str:
    return KEYS[recorded_space(result.uns["motif_insertion"])]


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
    for colour, name in zip(LINE_COLOURS, shown[:N_SHOWN], strict=False):
        motif = result.var_names.get_loc(name)
        precision, recall, _ = precision_recall_curve(values[cells] == first, _scores(result, cells, motif))
        is_grey = is_ignored(result.var)[motif]
        text = f"{_label(result, motif)} ({table.loc[name, 'aupr']:.2f})" + ", ignored" * bool(is_grey)
        ax.step(recall, precision, where="post", color=GREY if is_grey else colour, label=text)
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
    ignored = is_ignored(table)
    kinds = {kind: (table["kind"] == kind).to_numpy() & ~ignored for kind in ("activating", "repressive")}
    drawn = [(GREY, "ignored by the network", ignored)] * bool(ignored.any())
    drawn += [(colour, kind, kinds[kind]) for colour, kind in ((VERMILION, "activating"), (BLUE, "repressive"))]
    for colour, label, chosen in drawn:
        ax.scatter(x[chosen], y[chosen], s=18, color=colour, linewidths=0, label=f"{label} ({chosen.sum():,})")
    if compared:
        top = float(max(x.max(initial=0.1), y.max(initial=0.1))) * 1.05
        ax.plot([0, top], [0, top], color="0.5", linestyle=":")
        ax.set(xlabel="|r| of the other scores with expression", ylabel="|r| of motif insertion with expression")
    else:
        ax.axhline(0, color="0.7", linewidth=0.8)
        ax.set(xlabel="factors, by correlation", ylabel="correlation of activity and expression")
    if "chance_sd" in table and len(table):
        reach = 2 * float(table["chance_sd"].iloc[0])
        ax.axhspan(0 if compared else -reach, reach, color="0.9", linewidth=0, zorder=-1, label="by chance (± 2 SD)")
    _name_points(ax, table, x, y, ignored)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _name_points(ax: Axes, table: pd.DataFrame, x: np.ndarray, y: np.ndarray, ignored: np.ndarray) -> None:
    """Write the names of the factors with the largest correlations beside their points, where names do not overlap."""
    points = np.stack([values / np.abs(values).max(initial=1e-9) for values in (x, y)], axis=1)
    named: list[int] = []
    for row in np.argsort(-np.abs(y)):
        is_apart = all(np.abs(points[row] - points[other]).max() > 0.05 for other in named)
        if is_apart and len(named) < MAX_NAMED_POINTS:
            named.append(int(row))
            ax.annotate(
                label_text(table["tf"].iloc[row]),
                (x[row], y[row]),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                size=8,
                color=GREY if ignored[row] else "black",
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
        # The best of each group, then the second of each, ...; ignored motifs are the last.
        ranks = [*zip_longest(*_outstanding(result, N_SHOWN, responding=True)), *zip_longest(*_outstanding(result, N_SHOWN))]
        rows = list(dict.fromkeys(row for rank in ranks for row in rank if row is not None))
        return [int(result.var_names.get_loc(result.uns["group_means"].index[row])) for row in rows[:N_SHOWN]]
    order = np.lexsort((-deviation, is_ignored(result.var)))
    return [int(motif) for motif in order[:N_SHOWN] if deviation[motif] > 0]


def _outstanding(result: ad.AnnData, n: int, *, responding: bool = False) -> list[list[int]]:
    """For each group, the up to n rows of the group means whose raw mean lies most above the mean of the other groups.

    `responding` leaves out motifs that the network ignores.
    """
    means = result.uns["group_means"]
    raw = np.nan_to_num(means.drop(columns="tf").to_numpy()) * result.var["deviation"].loc[means.index].to_numpy()[:, None]
    above = raw - (raw.sum(axis=1, keepdims=True) - raw) / (raw.shape[1] - 1)
    least = MIN_EFFECT * above.max()
    if responding:
        above[is_ignored(result.var.loc[means.index])] = 0
    order = np.argsort(-above, axis=0, kind="stable")[:n]
    return [[int(row) for row in rows if above[row, group] > max(least, 0)] for group, rows in enumerate(order.T)]


def _responding(result: ad.AnnData) -> list[int]:
    """The rows of the group means whose motif the network does not ignore, largest deviation first."""
    var = result.var.loc[result.uns["group_means"].index]
    rows = np.argsort(-var["deviation"].to_numpy(), kind="stable")
    return [int(row) for row in rows if not is_ignored(var)[row] and var["deviation"].iloc[row] > 0]


def _scores(result: ad.AnnData, cells: np.ndarray, motif: int) -> np.ndarray:
    """Read the z-scores of one motif; X may be on disk."""
    return np.asarray(result.X[:, motif : motif + 1]).ravel()[cells]


def _label(result: ad.AnnData, motif: int) -> str:
    """Return the factor of a motif, with the motif's name if the factor has several."""
    name, tf = result.var_names[motif], result.var["tf"].iloc[motif]
    return label_text(tf if (result.var["tf"] == tf).sum() == 1 else f"{tf} {name}")
