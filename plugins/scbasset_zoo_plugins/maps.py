"""Two-dimensional maps of cells: neighbours, UMAP, and how they are drawn."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours, told apart by the colour-blind; with markers, for more values than there are colours.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999", "#F0E442")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
MOST_LABELLED = 40
LEGEND_ROWS = 16


def map_cells(adata: ad.AnnData, key: str, n_neighbours: int, seed: int, *, umap: bool = True) -> None:
    """Add the graph of neighbours in ``.obsm[key]``, and the UMAP of it, where scanpy keeps them.

    UMAP starts from the first two principal components: the usual start from the graph's eigenvectors takes memory that
    grows with the cells to the power of 1.5.
    """
    import scanpy as sc

    with warnings.catch_warnings(), _without_tensorflow():
        warnings.simplefilter("ignore")  # of numba and UMAP, about threads and seeds
        sc.pp.neighbors(adata, n_neighbors=n_neighbours, use_rep=key, random_state=seed)
        adata.uns["neighbors"].pop("rp_forest", None)  # the search index, larger than the graph
        if umap:
            sc.tl.umap(adata, init_pos=_principal_components(adata.obsm[key]), random_state=seed)


def draw_cells(figure: Figure, ax: Axes, points: NDArray[Any], values: pd.Series, title: str, *, legend: bool = True) -> None:
    """Cells coloured by labels, with a legend beside the axes, or by numbers, with a colour bar; labels must be texts."""
    x, y = points.T
    size = float(np.clip(6_000 / len(points), 0.3, 14))
    order = np.random.default_rng(0).permutation(len(points))  # no value lies on top of all others
    style: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True}
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy()
        drawn = ax.scatter(x[order], y[order], c=numbers[order], cmap="viridis", **style)
        figure.colorbar(drawn, ax=ax, label=title, shrink=0.8, pad=0.02)
    else:
        codes, names = pd.factorize(values.astype(str), sort=True)
        if all(name.isdigit() for name in names):
            by_number = np.argsort([int(name) for name in names])
            codes, names = np.argsort(by_number)[codes], names[by_number]
        colours = np.array([COLOURS[i % len(COLOURS)] for i in range(len(names))])
        for i, marker in enumerate(MARKERS):
            of_marker = order[codes[order] // len(COLOURS) % len(MARKERS) == i]
            if len(of_marker):
                ax.scatter(x[of_marker], y[of_marker], c=colours[codes[of_marker]], marker=marker, **style)
        if legend and len(names) <= MOST_LABELLED:
            _legend(ax, names)
        ax.set_title(title if len(names) <= MOST_LABELLED else f"{title} ({len(names):,} values)")
    ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    ax.spines[["top", "right"]].set_visible(False)


def map_figure(points: NDArray[Any], values: pd.Series, title: str) -> Figure:
    """One map on its own."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    draw_cells(figure, figure.subplots(), points, values, title)
    return figure


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Keep umap-learn from importing TensorFlow, which it does where it can, for a class that is not used here."""
    hidden = "tensorflow" not in sys.modules and "umap" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["tensorflow"]


def _legend(ax: Axes, names: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=MARKERS[i // len(COLOURS) % len(MARKERS)], color=COLOURS[i % len(COLOURS)], label=name)
        for i, name in enumerate(names)
    ]
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, ncols=-(-len(names) // LEGEND_ROWS))


def _principal_components(points: NDArray[Any]) -> Any:
    if points.shape[1] < 2:
        return "random"
    centred = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, :-3:-1]
