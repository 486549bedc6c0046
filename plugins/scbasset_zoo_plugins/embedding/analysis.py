"""The cells in the model's latent space: neighbours, clusters, a map, and scores against labels and RNA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from scbasset_zoo import InputError, score_embedding
from scbasset_zoo.extend.analysis import Analysis, Context, Options
from scbasset_zoo.extend.cell_groups import labels_of
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo_plugins import maps
from scbasset_zoo_plugins.embedding.leiden import NeighbourGraph, search_resolution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model


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

    def open_inputs(self, model: Model, options: EmbeddingOptions) -> EmbeddingInputs:
        return _read_inputs(model, options)

    def run(self, model: Model, inputs: EmbeddingInputs, options: EmbeddingOptions, context: Context) -> ad.AnnData:
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
class EmbeddingInputs:
    labels: NDArray[np.object_] | None
    rna: CompanionData | None
    rna_embedding: NDArray[Any] | None


def _read_inputs(model: Model, options: EmbeddingOptions) -> EmbeddingInputs:
    if options.n_neighbours >= model.n_cells:
        raise InputError(f"n_neighbours must be less than the {model.n_cells:,} cells; found {options.n_neighbours}.")
    labels = None if options.label is None else labels_of(model, options.label)
    if options.rna is None:
        return EmbeddingInputs(labels, None, None)
    rna = CompanionData(options.rna, model.cells.index, "rna")
    if options.rna_key not in rna.adata.obsm:
        raise InputError(
            f"rna has no .obsm {options.rna_key!r}; it has {', '.join(rna.adata.obsm) or 'none'}: choose with rna_key."
        )
    return EmbeddingInputs(labels, rna, rna.obsm(options.rna_key, rna.cells))


def _metrics(model: Model, inputs: EmbeddingInputs, clusters: NDArray[Any], seed: int) -> pd.DataFrame | None:
    rows: dict[str, tuple[float, int]] = {}
    whole = EmbeddedCells(model.cell_embedding, labels=inputs.labels, clusters=clusters, seed=seed)
    seen = [whole]
    if inputs.rna is not None:
        seen.append(EmbeddedCells(model.cell_embedding[inputs.rna.cells], rna=inputs.rna_embedding, seed=seed))
    for cells in seen:
        rows |= {name: (value, len(cells.sample)) for name, value in score_embedding(cells).items() if name not in rows}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["score", "n_cells"]).rename_axis("metric") if rows else None


def _clusters(result: ad.AnnData, labels: NDArray[Any] | None, options: EmbeddingOptions) -> tuple[NDArray[Any], float]:
    graph = NeighbourGraph(result.obsp["connectivities"], options.seed)
    if options.resolution is not None or labels is None:
        resolution = options.resolution or 1.0
        return graph.clusters(resolution), resolution
    return search_resolution(graph.clusters, len(set(labels)))
