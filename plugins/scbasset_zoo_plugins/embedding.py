"""The cells in the model's latent space: neighbours, clusters, a map, and scores against labels and RNA."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from scbasset_zoo.analysis import Analysis, Context, Options
from scbasset_zoo.embedding import EmbeddedCells, scores
from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say
from scbasset_zoo_plugins import maps
from scbasset_zoo_plugins.cell_groups import labels_of
from scbasset_zoo_plugins.measured import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo.runtime.model import Model

MOST_SEARCHES = 24


class EmbeddingOptions(Options):
    """How to group and map the cells, and what to score them against."""

    label: str | None = Field(None, description="Column of the cells with their types, to score clusters and neighbours against.")
    rna: Path | Any | None = Field(
        None, description="RNA of the same cells (.h5ad) with an embedding in .obsm, for neighbour scores."
    )
    rna_key: str = Field("X_pca", description="Which .obsm of the RNA.")
    n_neighbours: int = Field(15, ge=2, description="Neighbours of each cell in the graph of clusters and map.")
    resolution: float | None = Field(
        None, gt=0, description="Of Leiden; by default what gives as many clusters as labels, or 1 without labels."
    )
    umap: bool = Field(True, description="Map the cells in two dimensions; minutes for each 100,000 cells.")
    seed: int = Field(0, ge=0, lt=2**31, description="Of neighbours, clusters, map, and of the cells that are scored.")


class Embedding(Analysis):
    """Cell embeddings with neighbours, clusters and a UMAP; scores against labels and RNA.

    As in the paper (Yuan & Kelley 2022, Methods), Leiden's resolution is searched for as many clusters as labels. The result
    is cells without X; ``.uns["metrics"]`` holds the scores, ``n_cells`` being how many cells they are taken over.
    """

    name = "embedding"
    Options = EmbeddingOptions

    def check(self, model: Model, options: EmbeddingOptions) -> None:
        self._inputs = _read_inputs(model, options)

    def run(self, model: Model, options: EmbeddingOptions, context: Context) -> ad.AnnData:
        inputs = self._inputs
        kept = {name: f"{name}_of_model" for name in ("depth_intercept", "leiden") if name in model.cells}
        result = ad.AnnData(obs=model.cells.rename(columns=kept).assign(depth_intercept=model.cell_intercept))
        result.obsm["X_scbasset"] = model.cell_embedding
        with context.progress("neighbours, map, clusters", 2) as advance:
            maps.map_cells(result, "X_scbasset", options.n_neighbours, options.seed, umap=options.umap)
            advance(1)
            clusters, resolution = _clusters(result, inputs.labels, options)
            advance(1)
        result.obs["leiden"] = pd.Categorical(clusters.astype(str), [str(i) for i in range(clusters.max() + 1)])
        params = {"resolution": resolution, "random_state": options.seed, "n_iterations": 2}
        n_labels = 0 if inputs.labels is None else len(set(inputs.labels))
        result.uns["leiden"] = {"params": params | ({"n_labels": n_labels} if n_labels else {})}
        if n_labels and options.resolution is None and clusters.max() + 1 != n_labels:
            say(f"No resolution of Leiden gives {n_labels} clusters, as there are labels; {clusters.max() + 1} are nearest.")
        label = options.label or ""
        result.uns["embedding"] = {"label": kept.get(label, label)}
        metrics = _metrics(model, inputs, clusters, options.seed)
        if metrics is not None:
            result.uns["metrics"] = metrics
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        if "X_umap" not in result.obsm:
            return {}
        label = result.uns["embedding"]["label"]
        coloured = {
            "umap_clusters": (result.obs["leiden"], "Leiden cluster"),
            "umap_depth": (result.obs["depth_intercept"], "intercept (log depth)"),
        }
        if label:
            coloured = {"umap_labels": (result.obs[label].astype(str), label)} | coloured
        points = np.asarray(result.obsm["X_umap"])
        return {name: maps.map_figure(points, values, title) for name, (values, title) in coloured.items()}


@dataclass(frozen=True)
class _Inputs:
    labels: NDArray[np.object_] | None
    rna: Measured | None
    rna_embedding: NDArray[Any] | None


def _read_inputs(model: Model, options: EmbeddingOptions) -> _Inputs:
    if options.n_neighbours >= model.n_cells:
        raise InputError(f"n_neighbours must be less than the {model.n_cells:,} cells; found {options.n_neighbours}.")
    labels = None if options.label is None else labels_of(model, options.label)
    if options.rna is None:
        return _Inputs(labels, None, None)
    rna = Measured(options.rna, model.cells.index, "rna")
    if options.rna_key not in rna.adata.obsm:
        raise InputError(
            f"rna has no .obsm {options.rna_key!r}; it has {', '.join(rna.adata.obsm) or 'none'}: choose with rna_key."
        )
    return _Inputs(labels, rna, rna.obsm(options.rna_key, rna.cells))


def _metrics(model: Model, inputs: _Inputs, clusters: NDArray[Any], seed: int) -> pd.DataFrame | None:
    rows: dict[str, tuple[float, int]] = {}
    whole = EmbeddedCells(model.cell_embedding, labels=inputs.labels, clusters=clusters, seed=seed)
    seen = [whole]
    if inputs.rna is not None:
        seen.append(EmbeddedCells(model.cell_embedding[inputs.rna.cells], rna=inputs.rna_embedding, seed=seed))
    for cells in seen:
        rows |= {name: (value, len(cells.sample)) for name, value in scores(cells).items() if name not in rows}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["score", "n_cells"]).rename_axis("metric") if rows else None


def _clusters(result: ad.AnnData, labels: NDArray[Any] | None, options: EmbeddingOptions) -> tuple[NDArray[Any], float]:
    graph = _Graph(result.obsp["connectivities"], options.seed)
    if options.resolution is not None or labels is None:
        resolution = options.resolution or 1.0
        return graph.clusters(resolution), resolution
    return search_resolution(graph.clusters, len(set(labels)))


def search_resolution(clusters: Any, n_wanted: int) -> tuple[NDArray[Any], float]:
    """Clusters, and the resolution that gives them, as many as wanted, or nearest to it among those that were tried.

    Parameters
    ----------
    clusters : function of a resolution
        Returns the cluster of each cell, from 0; more clusters at higher resolutions, on the whole.
    n_wanted : int
    """
    low, high, resolution = 0.0, np.inf, 1.0
    best: tuple[int, NDArray[Any], float] | None = None
    for _ in range(MOST_SEARCHES):
        found = clusters(resolution)
        excess = int(found.max()) + 1 - n_wanted
        if best is None or abs(excess) < best[0]:
            best = abs(excess), found, resolution
        if excess == 0:
            break
        low, high = (resolution, high) if excess < 0 else (low, resolution)
        resolution = 2 * low if high == np.inf else (low + high) / 2
    assert best is not None
    return best[1], best[2]


class _Graph:
    """The graph of neighbours, to be clustered by Leiden at several resolutions (Traag et al. 2019), as scanpy's igraph flavour."""

    def __init__(self, connectivities: Any, seed: int) -> None:
        import igraph
        from scipy import sparse

        upper = sparse.triu(connectivities, k=1, format="coo")
        edges = np.column_stack([upper.row, upper.col])
        self._graph = igraph.Graph(n=connectivities.shape[0], edges=edges, directed=False)
        self._weights, self._seed = upper.data, seed

    def clusters(self, resolution: float) -> NDArray[np.intp]:
        """Cluster of each cell, the largest being 0."""
        import igraph

        igraph.set_random_number_generator(random.Random(self._seed))
        try:
            found = self._graph.community_leiden("modularity", weights=self._weights, resolution=resolution, n_iterations=2)
        finally:
            igraph.set_random_number_generator(random)
        membership = np.asarray(found.membership)
        size = np.bincount(membership)
        rank = np.empty(len(size), dtype=np.intp)
        rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
        return rank[membership]
