"""The figure of new cells: where they lie in the model's map, and how like the model's cells they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.new_cells.label_transfer import UNLIKE, transfer_labels

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 25
_MOST_LABELS = 20
_MODEL, _NEW = "0.75", "tab:blue"
_LEGEND: dict[str, Any] = {"frameon": False, "loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "fontsize": "small"}


@dataclass(frozen=True)
class ModelCells:
    """What the figure shows of the model's cells.

    Attributes
    ----------
    depth : float array of shape (n_reference,)
    labels : Series of n_reference, or None
        The labels that the new cells got.
    umap : float array of shape (n_reference, 2), or None
        The map that the new cells were placed in.
    """

    depth: NDArray[Any]
    labels: pd.Series | None
    umap: NDArray[Any] | None


def draw_new_cells(result: ad.AnnData, reference: ModelCells, seed: int = 0) -> Figure:
    """Draw new cells beside the model's cells.

    Parameters
    ----------
    result : AnnData
        Of :func:`scbasset_zoo.embed_cells`.
    reference : ModelCells
    seed : int
        Seed of the cells that are drawn at random, to show the confidence by chance.
    """
    from matplotlib.figure import Figure

    has_map, has_labels = reference.umap is not None, reference.labels is not None
    n = 2 + has_map + has_labels
    figure = Figure(figsize=(4.4 * n, 4.6), layout="constrained")
    axes = iter(figure.subplots(1, n))
    if reference.umap is not None:
        _draw_map(next(axes), result, reference, reference.umap)
    if reference.labels is not None:
        _draw_confidence(next(axes), result, reference.labels, seed)
    _draw_likeness(next(axes), result)
    _draw_depth(next(axes), result, reference)
    for ax in figure.axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_map(ax: Axes, result: ad.AnnData, reference: ModelCells, umap: NDArray[Any]) -> None:
    sizes = [float(np.clip(6_000 / number, 0.5, 14)) for number in (len(umap), result.n_obs)]
    ax.scatter(umap[:, 0], umap[:, 1], s=sizes[0], color=_MODEL, linewidths=0, rasterized=True, label="the model's cells")
    points = np.asarray(result.obsm["X_umap"])
    labels = None if reference.labels is None else result.obs[f"{reference.labels.name}_of_model"]
    if labels is None or labels.nunique() > _MOST_LABELS:
        groups = [("new cells", np.ones(len(points), dtype=bool))]
    else:
        groups = [(str(label), (labels == label).to_numpy()) for label in labels.cat.categories if (labels == label).any()]
    colours = ["tab:blue"] if len(groups) == 1 else _colours(len(groups))
    for (name, rows), colour in zip(groups, colours, strict=True):
        ax.scatter(points[rows, 0], points[rows, 1], s=2 * sizes[1], color=colour, linewidths=0, rasterized=True, label=name)
    ax.set(title="new cells in the model's map", xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    legend = ax.legend(**_LEGEND | {"bbox_to_anchor": (0.5, -0.06)}, ncols=3, markerscale=2, handletextpad=0.1)
    for handle in legend.legend_handles:
        handle.set_sizes([30])  # type: ignore[union-attr]


def _draw_confidence(ax: Axes, result: ad.AnnData, labels: pd.Series, seed: int) -> None:
    confidence = result.obs[f"{labels.name}_confidence"].to_numpy()
    nearest = result.obsm["nearest_cells"]
    at_random = np.random.default_rng(seed).integers(0, len(labels), size=(2_000, nearest.shape[1]))
    by_chance = transfer_labels(labels, at_random)[1]
    bins = np.linspace(0, 1, nearest.shape[1] + 2).tolist()
    _histogram(ax, confidence, bins, "new cells", _NEW)
    _outline(ax, by_chance, bins, f"by chance: cells of the model at random (mean {np.nanmean(by_chance):.2f})")
    ax.set(title=f"confidence of {labels.name}", xlabel="share of the nearest cells with the label", ylabel="share of cells")
    ax.legend(**_LEGEND)


def _draw_likeness(ax: Axes, result: ad.AnnData) -> None:
    nearer = result.obs["expected_nearer"].to_numpy()
    _histogram(ax, nearer, np.linspace(0, 1, _BINS + 1).tolist(), "new cells", _NEW)
    ax.axhline(1 / _BINS, color="0.3", linestyle="--", linewidth=1, label="cells like the model's")
    unlike = result.obs["unlike_model"].mean()
    title = f"{unlike:.1%} unlike the model (chance {1 - UNLIKE:.0%})"
    ax.set(title=title, xlabel="share of expected cells that lie nearer", ylabel="share of cells")
    ax.legend(**_LEGEND)


def _draw_depth(ax: Axes, result: ad.AnnData, reference: ModelCells) -> None:
    depth = result.obs["depth"].to_numpy()
    both = np.concatenate([depth, reference.depth])
    low, high = np.quantile(both[np.isfinite(both)], [0.001, 0.999])
    bins = np.linspace(low, high, _BINS + 1).tolist()
    _histogram(ax, depth, bins, "new cells", _NEW)
    _outline(ax, reference.depth, bins, "the model's cells")
    ax.set(title="depth", xlabel="mean logit over the model's peaks", ylabel="share of cells")
    ax.legend(**_LEGEND)


def _histogram(ax: Axes, values: NDArray[Any], bins: Sequence[float], label: str, colour: str) -> None:
    ax.hist(values, bins=bins, weights=np.full(len(values), 1 / len(values)), color=colour, label=label)


def _outline(ax: Axes, values: NDArray[Any], bins: Sequence[float], label: str) -> None:
    weights = np.full(len(values), 1 / len(values))
    ax.hist(values, bins=bins, weights=weights, histtype="step", color="0.2", linewidth=1.2, label=label)


def _colours(n: int) -> list[Any]:
    from matplotlib import colormaps

    colours = colormaps["tab10" if n <= 10 else "tab20"]
    return [colours(number) for number in range(n)]
