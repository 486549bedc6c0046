"""The cell embedding of a model: neighbours, clusters, a UMAP, and scores against groups and RNA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import anndata as ad
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo import compare_with_chance
from scbasset_zoo.extend.analysis import Analysis, Context
from scbasset_zoo.extend.chance import AT_CHANCE
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo.extend.neighbours import add_neighbours
from scbasset_zoo.extend.space import Space
from scbasset_zoo_plugins.embedding.description import advice_on_space
from scbasset_zoo_plugins.embedding.inputs import EmbeddingInputs, EmbeddingOptions, open_inputs
from scbasset_zoo_plugins.embedding.leiden import NeighbourGraph, search_resolution
from scbasset_zoo_plugins.spaces import KEYS, add_embeddings, spaces_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.description import Description


class Embedding(Analysis):
    """Cell embeddings with neighbours, clusters and a UMAP; scores against groups and RNA.

    If groups are given, the resolution of Leiden is searched that gives as many clusters as groups (Yuan & Kelley 2022, Methods).
    The result is an AnnData of cells without X. A model with a gauge has two embeddings, ``.obsm["X_scbasset_canonical"]`` and the
    published ``.obsm["X_scbasset"]``; neighbours, clusters and UMAP are those of the space in ``.uns["embedding"]["space"]``.

    ``.uns["metrics"]`` holds the scores in this space, and then those in the other one. Its column ``chance`` is the score after
    groups and RNA moved to other cells at random. ``n_cells`` is the number of cells that a score is a mean over. The column
    ``note`` says which scores are within error of chance, and why a score is NaN that the cells do not define.
    """

    name = "embedding"
    Options = EmbeddingOptions

    def open_inputs(self, model: Model, options: EmbeddingOptions) -> EmbeddingInputs:
        return open_inputs(model, options)

    def run(self, model: Model, inputs: EmbeddingInputs, options: EmbeddingOptions, context: Context) -> ad.AnnData:
        columns = {"depth_intercept": model.cell_intercept}
        if model.gauge is not None:
            columns["depth"] = model.depth
        renamed = _renamed(model.cells, [*columns, "leiden"])
        result = ad.AnnData(obs=model.cells.rename(columns=renamed).assign(**columns))
        add_embeddings(result, model)
        space, other = inputs.space, next((space for space in spaces_of(model) if space != inputs.space), None)
        other_clusters, n_steps = None, 2 if other is None or inputs.labels is None else 3
        with context.progress("neighbours, map, clusters", n_steps) as advance:
            add_neighbours(result, KEYS[space], options.n_neighbours, options.seed, umap=options.umap)
            advance(1)
            clusters, resolution = _clusters(result, inputs.labels, options)
            advance(1)
            if other is not None and inputs.labels is not None:
                other_clusters = _clusters_in(result.obsm[KEYS[other]], inputs.labels, options)
                advance(1)
        n_clusters = int(clusters.max()) + 1
        result.obs["leiden"] = pd.Categorical(clusters.astype(str), [str(i) for i in range(n_clusters)])
        params = {"resolution": resolution, "random_state": options.seed, "n_iterations": 2}
        n_labels = 0 if inputs.labels is None else len(set(inputs.labels))
        result.uns["leiden"] = {"params": params | ({"n_labels": n_labels} if n_labels else {})}
        if n_labels and options.resolution is None and n_clusters != n_labels:
            say(f"No resolution of Leiden gives {n_labels} clusters, the number of groups; the nearest is {n_clusters}.")
        group_by = options.group_by or ""
        result.uns["embedding"] = {"group_by": renamed.get(group_by, group_by), "space": space}
        metrics = _metrics(result.obsm[KEYS[space]], inputs, clusters, options.seed)
        if metrics is not None and other is not None:
            metrics = _beside(metrics, _metrics(result.obsm[KEYS[other]], inputs, other_clusters, options.seed), other)
        if metrics is not None:
            metrics["space"] = space
            result.uns["metrics"] = metrics
            at_chance = metrics.index[metrics["note"] == AT_CHANCE]
            if len(at_chance):
                say(f"No better than chance, as if groups or RNA were exchanged at random: {', '.join(at_chance)}.")
            if advice := advice_on_space(result):
                say(advice)
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.embedding.figures import figures

        return figures(result)

    def describe(self, result: ad.AnnData) -> Description:
        from scbasset_zoo_plugins.embedding.description import describe

        return describe(result)


def _renamed(cells: pd.DataFrame, columns: Iterable[str]) -> dict[str, str]:
    """Return new names for the columns of the model's cells whose names the result needs for its own."""
    renamed: dict[str, str] = {}
    for name in columns:
        if name in cells:
            renamed[name] = f"{name}_of_model"
            while renamed[name] in cells:
                renamed[name] += "_"
    return renamed


def _clusters(result: ad.AnnData, labels: NDArray[Any] | None, options: EmbeddingOptions) -> tuple[NDArray[Any], float]:
    """Return the cluster of each cell and the resolution of Leiden."""
    graph = NeighbourGraph(result.obsp["connectivities"], options.seed)
    if options.resolution is not None or labels is None:
        resolution = options.resolution or 1.0
        return graph.clusters(resolution), resolution
    return search_resolution(graph.clusters, len(set(labels)))


def _clusters_in(embedding: NDArray[Any], labels: NDArray[Any] | None, options: EmbeddingOptions) -> NDArray[Any]:
    """Return the cluster of each cell by its neighbours in an embedding."""
    cells = ad.AnnData(obsm={"X": embedding})
    add_neighbours(cells, "X", options.n_neighbours, options.seed, umap=False)
    return _clusters(cells, labels, options)[0]


def _metrics(embedding: NDArray[Any], inputs: EmbeddingInputs, clusters: NDArray[Any] | None, seed: int) -> pd.DataFrame | None:
    """Score all cells against groups and clusters, and the cells that have RNA against it; None if there are no scores."""
    scored = [EmbeddedCells(embedding, labels=inputs.labels, clusters=clusters, seed=seed)]
    if inputs.rna is not None:
        scored.append(EmbeddedCells(embedding[inputs.rna.cells], rna=inputs.rna_embedding, seed=seed))
    table = pd.concat([compare_with_chance(cells) for cells in scored])
    table = table[~table.index.duplicated()]
    return None if table.empty else table


def _beside(metrics: pd.DataFrame, others: pd.DataFrame | None, space: Space) -> pd.DataFrame:
    """Return a table of scores with those in another space, such as score_published, beside them."""
    if others is None:
        return metrics
    both = metrics.join(others.drop(columns="n_cells").add_suffix(f"_{space}"))
    return both.fillna({f"note_{space}": ""})
