"""Compares counts and denoised accessibility with groups of cells, with RNA and with a joint embedding."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo_plugins.denoise.agreement import Correlations, Profiles, rank_distances
from scbasset_zoo_plugins.denoise.denoised import Denoised
from scbasset_zoo_plugins.denoise.inputs import JOINT_KEYS, DenoiseInputs, DenoiseOptions
from scbasset_zoo_plugins.metrics import LabelScore

Array = NDArray[np.float32]
MetricRow = tuple[str, float, float, int]
"""Name of a metric, its value for the counts and for the denoised values, and the number of cells."""

N_COMPONENTS = 50
CELLS_PER_BATCH = 1024
HEAT_MAP_CELLS, HEAT_MAP_PEAKS = 200, 300


def add_metrics(
    result: ad.AnnData, inputs: DenoiseInputs, peaks: Denoised, genes: Denoised | None, options: DenoiseOptions, context: Context
) -> None:
    """Add every metric for which there are data to a result.

    Means go to ``.uns["metrics"]``, values of cells to ``.obs``, and values of genes to ``.uns["correlation_with_RNA"]``.
    """
    rng = np.random.default_rng(options.seed)
    rows: list[MetricRow] = []
    if inputs.rna is not None:
        assert genes is not None
        rows += _compare_with_rna(result, inputs, genes, context)
    if inputs.labels is not None:
        rows += _compare_with_labels(inputs, peaks, options.max_cells, rng)
    if inputs.joint is not None:
        cells = inputs.joint.cells
        atac, rna = (inputs.joint.obsm(key, cells) for key in JOINT_KEYS)
        sample = _sample(np.arange(len(cells)), options.max_cells, rng)
        distances = rank_distances(atac, rna, sample)
        result.obs["rank_distance"] = pd.Series(distances, result.obs_names[cells[sample]])
        rows.append(("RNA/ATAC rank distance, mean over cells", np.nan, distances.mean(), len(sample)))
    if rows:
        result.uns["metrics"] = pd.DataFrame(rows, columns=["metric", "counts", "denoised", "n_cells"]).set_index("metric")


def _compare_with_rna(result: ad.AnnData, inputs: DenoiseInputs, genes: Denoised, context: Context) -> list[MetricRow]:
    """Correlate gene scores with expression, for each cell over genes and for each gene over cells."""
    assert inputs.rna is not None
    assert inputs.weights is not None
    cells = inputs.rna.cells if inputs.counts is None else np.intersect1d(inputs.rna.cells, inputs.counts.cells)
    weights = inputs.weights[inputs.scored_genes]
    sides = {side: Correlations() for side in ("counts", "denoised") if side == "denoised" or inputs.counts is not None}
    with context.progress("comparing with RNA", len(cells)) as advance:
        for start in range(0, len(cells), CELLS_PER_BATCH):
            batch = cells[start : start + CELLS_PER_BATCH]
            expression = _dense(inputs.rna.read(batch)[:, inputs.expressed])
            sides["denoised"].add(genes.values(batch, inputs.scored_genes), expression)
            if inputs.counts is not None:
                sides["counts"].add(_dense(_open(inputs.counts.read(batch)) @ weights.T), expression)
            advance(len(batch))
    per_gene = inputs.genes.iloc[inputs.scored_genes][["gene_name", "n_peaks"]].copy()
    per_cell = pd.DataFrame(np.nan, index=result.obs_names, columns=list(sides))
    for side, correlations in sides.items():
        per_gene[side] = correlations.per_gene()
        per_cell.loc[result.obs_names[cells], side] = np.concatenate(correlations.per_cell)
        result.obs[f"rna_correlation_{side}"] = per_cell[side].to_numpy()
    result.uns["correlation_with_RNA"] = per_gene
    return [
        ("correlation with RNA over genes, mean over cells", *_means(per_cell), len(cells)),
        ("correlation with RNA over cells, mean over genes", *_means(per_gene), len(cells)),
    ]


def _compare_with_labels(inputs: DenoiseInputs, peaks: Denoised, max_cells: int, rng: np.random.Generator) -> list[MetricRow]:
    """Score how near the profiles of cells of the same label are: by silhouette width and by label scores."""
    from sklearn.metrics import silhouette_score

    assert inputs.labels is not None
    cells = _sample(_compared_cells(inputs, peaks), max_cells, rng)
    labels = inputs.labels[cells]
    sides = {"denoised": peaks.profiles(cells)}
    if inputs.counts is not None:
        is_open = _open(inputs.counts.read(cells))
        sides["counts"] = Profiles((is_open @ is_open.T).toarray(), np.asarray(is_open.sum(axis=1)).ravel(), is_open.shape[1])
    table: dict[str, dict[str, float]] = {}
    for side, profiles in sides.items():
        silhouette = silhouette_score(profiles.correlation_distances(), labels, metric="precomputed")
        table.setdefault("silhouette width of labels, 1 - Pearson, as 0..1", {})[side] = (silhouette + 1) / 2
        components = profiles.principal_components(N_COMPONENTS)
        for name, value in LabelScore().score(EmbeddedCells(components, labels=labels)).items():
            table.setdefault(f"{name}, PCA({N_COMPONENTS})", {})[side] = value
    return [(metric, values.get("counts", np.nan), values["denoised"], len(cells)) for metric, values in table.items()]


def heat_map(inputs: DenoiseInputs, peaks: Denoised, seed: int) -> dict[str, Any]:
    """Return the data of the heat map: some cells x the most variable peaks, both ordered by Ward clustering of denoised values.

    Returns
    -------
    dict
        cells, peaks : positions of the rows and columns; denoised : values; counts : 1 where open, if there are counts;
        labels : the group of each row, if there are groups.
    """
    cells = _sample(_compared_cells(inputs, peaks), HEAT_MAP_CELLS, np.random.default_rng(seed))
    columns = peaks.most_variable(HEAT_MAP_PEAKS)
    values = peaks.values(cells, columns)
    centred = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True)
    by_cell, by_peak = _leaf_order(centred), _leaf_order(centred.T)
    cells, columns = cells[by_cell], columns[by_peak]
    data: dict[str, Any] = {"cells": cells, "peaks": columns, "denoised": values[by_cell][:, by_peak]}
    if inputs.counts is not None:
        data["counts"] = _dense(_open(inputs.counts.read(cells)[:, columns])).astype(np.uint8)
    if inputs.labels is not None:
        data["labels"] = inputs.labels[cells]
    return data


def _leaf_order(rows: Array) -> NDArray[np.intp]:
    """Return the order of rows in a tree of Ward clustering."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    if len(rows) < 3:
        return np.arange(len(rows))
    return leaves_list(optimal_leaf_ordering(linkage(rows, "ward"), rows))


def _compared_cells(inputs: DenoiseInputs, peaks: Denoised) -> NDArray[np.intp]:
    """Positions of the cells that have counts, or of all cells if there are no counts."""
    return np.arange(peaks.n_cells) if inputs.counts is None else inputs.counts.cells


def _sample(cells: NDArray[np.intp], size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw `size` cells, or return all if there are not more."""
    return cells if len(cells) <= size else np.sort(rng.choice(cells, size, replace=False))


def _open(counts: sparse.csr_matrix | NDArray[Any]) -> sparse.csr_matrix:
    """Return 1 where counts are above 0."""
    return (sparse.csr_matrix(counts) > 0).astype(np.float32)


def _dense(values: Any) -> NDArray[Any]:
    """Return a sparse or dense array as a dense one."""
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def _means(table: pd.DataFrame) -> tuple[float, float]:
    """Return the mean of the column counts, NaN if there is none, and of the column denoised."""
    return (float(table["counts"].mean()) if "counts" in table else np.nan), float(table["denoised"].mean())
