"""Compares counts and denoised accessibility with groups of cells, with RNA and with a joint embedding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.embedding import EmbeddedCells, UndefinedScore, reasons_of_undefined
from scbasset_zoo_plugins.denoise.agreement import Correlations, Profiles, rank_distances
from scbasset_zoo_plugins.denoise.denoised import Denoised
from scbasset_zoo_plugins.denoise.inputs import JOINT_KEYS, DenoiseInputs, DenoiseOptions
from scbasset_zoo_plugins.metrics import LabelScore, problem_of_labels

Array = NDArray[np.float32]
MetricRow = tuple[str, float, float, int, str]
"""Name of a metric, its value for the counts and for the denoised values, the number of cells, and a note.

The note says why a value is NaN, and what is left out of a mean.
"""

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
        note = "all cells have the same RNA" if (rna == rna[0]).all() else ""
        distances = np.full(len(sample), np.nan) if note else rank_distances(atac, rna, sample)
        result.obs["rank_distance"] = pd.Series(distances, result.obs_names[cells[sample]])
        rows.append(("RNA/ATAC rank distance, mean over cells", np.nan, distances.mean(), len(sample), note))
    if rows:
        result.uns["metrics"] = pd.DataFrame(rows, columns=["metric", "counts", "denoised", "n_cells", "note"]).set_index("metric")


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
    of_cells = per_cell.iloc[cells]
    return [
        ("correlation with RNA over genes, mean over cells", *_means(of_cells), len(cells), _left_out(of_cells, sides, "cells")),
        ("correlation with RNA over cells, mean over genes", *_means(per_gene), len(cells), _left_out(per_gene, sides, "genes")),
    ]


def _compare_with_labels(inputs: DenoiseInputs, peaks: Denoised, max_cells: int, rng: np.random.Generator) -> list[MetricRow]:
    """Score how near the profiles of cells of the same label are: by silhouette width and by label scores.

    Cells whose profile does not vary have no correlation with others. They are left out of both sides.
    """
    assert inputs.labels is not None
    cells = _sample(_compared_cells(inputs, peaks), max_cells, rng)
    sides = {"denoised": peaks.profiles(cells)}
    if inputs.counts is not None:
        is_open = _open(inputs.counts.read(cells))
        sides["counts"] = Profiles((is_open @ is_open.T).toarray(), np.asarray(is_open.sum(axis=1)).ravel(), is_open.shape[1])
    varies = np.all([profiles.varies() for profiles in sides.values()], axis=0)
    left_out = "" if varies.all() else f"without {(~varies).sum():,} cells that have the same value at all peaks"
    table: dict[str, dict[str, float]] = {}
    for side, profiles in sides.items():
        for metric, value in _label_scores(profiles.take(varies), inputs.labels[cells[varies]]).items():
            table.setdefault(metric, {})[side] = value
    rows: list[MetricRow] = []
    for metric, values in table.items():
        reasons = dict.fromkeys(reasons_of_undefined(values).values())
        note = "; ".join(filter(None, (*reasons, left_out)))
        rows.append((metric, float(values.get("counts", np.nan)), float(values["denoised"]), int(varies.sum()), note))
    return rows


def _label_scores(profiles: Profiles, labels: NDArray[np.object_]) -> dict[str, float]:
    """Return the silhouette width, rescaled to 0..1, and label scores of profiles; undefined if the labels say nothing."""
    from sklearn.metrics import silhouette_score

    cells = EmbeddedCells(profiles.principal_components(N_COMPONENTS), labels=labels)
    if problem := problem_of_labels(cells) or (None if cells.embedding.size else "all cells have the same profile"):
        width: float = UndefinedScore(problem)
    else:
        width = (silhouette_score(profiles.correlation_distances(), labels, metric="precomputed") + 1) / 2
    label_scores = {f"{name}, PCA({N_COMPONENTS})": value for name, value in LabelScore().score(cells).items()}
    return {"silhouette width of labels, 1 - Pearson, as 0..1": width} | label_scores


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
    """Return the mean of the column counts, NaN if there is none, and of the column denoised. Missing values are left out."""
    return (float(table["counts"].mean()) if "counts" in table else np.nan), float(table["denoised"].mean())


def _left_out(table: pd.DataFrame, sides: Iterable[str], rows: str) -> str:
    """Say how many rows have no correlation, by side."""
    missing = {side: int(table[side].isna().sum()) for side in sides}
    parts = [f"{n:,} of {len(table):,} {rows} ({side})" for side, n in missing.items() if n]
    return f"without {' and '.join(parts)}, whose correlation is undefined" if parts else ""
