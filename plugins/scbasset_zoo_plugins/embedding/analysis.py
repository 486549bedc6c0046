"""The cell embedding of a model: neighbours, clusters, a UMAP, and scores against groups and RNA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anndata as ad
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo import compare_with_chance
from scbasset_zoo.extend.analysis import Analysis, Context
from scbasset_zoo.extend.chance import AT_CHANCE
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo_plugins.embedding.inputs import EmbeddingInputs, EmbeddingOptions, open_inputs
from scbasset_zoo_plugins.embedding.leiden import NeighbourGraph, search_resolution
from scbasset_zoo_plugins.neighbours import add_neighbours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.description import Description


class Embedding(Analysis):
    """Cell embeddings with neighbours, clusters and a UMAP; scores against groups and RNA.

    If groups are given, the resolution of Leiden is searched that gives as many clusters as groups (Yuan & Kelley 2022, Methods).
    The result is an AnnData of cells without X. ``.uns["metrics"]`` holds the scores. Its column ``chance`` is the score after
    groups and RNA moved to other cells at random. ``n_cells`` is the number of cells that a score is a mean over. The column
    ``note`` says which scores are within error of chance, and why a score is NaN that the cells do not define.
    """

    name = "embedding"
    Options = EmbeddingOptions

    def open_inputs(self, model: Model, options: EmbeddingOptions) -> EmbeddingInputs:
        return open_inputs(model, options)

    def run(self, model: Model, inputs: EmbeddingInputs, options: EmbeddingOptions, context: Context) -> ad.AnnData:
        # The result has columns of these names; the model's own columns are renamed.
        renamed = {name: f"{name}_of_model" for name in ("depth_intercept", "leiden") if name in model.cells}
        result = ad.AnnData(obs=model.cells.rename(columns=renamed).assign(depth_intercept=model.cell_intercept))
        result.obsm["X_scbasset"] = model.cell_embedding
        with context.progress("neighbours, map, clusters", 2) as advance:
            add_neighbours(result, "X_scbasset", options.n_neighbours, options.seed, umap=options.umap)
            advance(1)
            clusters, resolution = _clusters(result, inputs.labels, options)
            advance(1)
        n_clusters = int(clusters.max()) + 1
        result.obs["leiden"] = pd.Categorical(clusters.astype(str), [str(i) for i in range(n_clusters)])
        params = {"resolution": resolution, "random_state": options.seed, "n_iterations": 2}
        n_labels = 0 if inputs.labels is None else len(set(inputs.labels))
        result.uns["leiden"] = {"params": params | ({"n_labels": n_labels} if n_labels else {})}
        if n_labels and options.resolution is None and n_clusters != n_labels:
            say(f"No resolution of Leiden gives {n_labels} clusters, the number of groups; the nearest is {n_clusters}.")
        group_by = options.group_by or ""
        result.uns["embedding"] = {"group_by": renamed.get(group_by, group_by)}
        metrics = _metrics(model, inputs, clusters, options.seed)
        if metrics is not None:
            result.uns["metrics"] = metrics
            at_chance = metrics.index[metrics["note"] == AT_CHANCE]
            if len(at_chance):
                say(f"No better than chance, as if groups or RNA were exchanged at random: {', '.join(at_chance)}.")
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.embedding.figures import figures

        return figures(result)

    def describe(self, result: ad.AnnData) -> Description:
        from scbasset_zoo_plugins.embedding.description import describe

        return describe(result)


def _clusters(result: ad.AnnData, labels: NDArray[Any] | None, options: EmbeddingOptions) -> tuple[NDArray[Any], float]:
    """Return the cluster of each cell and the resolution of Leiden."""
    graph = NeighbourGraph(result.obsp["connectivities"], options.seed)
    if options.resolution is not None or labels is None:
        resolution = options.resolution or 1.0
        return graph.clusters(resolution), resolution
    return search_resolution(graph.clusters, len(set(labels)))


def _metrics(model: Model, inputs: EmbeddingInputs, clusters: NDArray[Any], seed: int) -> pd.DataFrame | None:
    """Score all cells against groups and clusters, and the cells that have RNA against it; None if there are no scores."""
    scored = [EmbeddedCells(model.cell_embedding, labels=inputs.labels, clusters=clusters, seed=seed)]
    if inputs.rna is not None:
        scored.append(EmbeddedCells(model.cell_embedding[inputs.rna.cells], rna=inputs.rna_embedding, seed=seed))
    table = pd.concat([compare_with_chance(cells) for cells in scored])
    table = table[~table.index.duplicated()]
    return None if table.empty else table
