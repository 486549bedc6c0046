"""Compares counts and denoised accessibility with labels, RNA and a joint embedding."""

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
COMPONENTS = 50
CELLS_AT_ONCE = 1024


HEAT_MAP_CELLS, HEAT_MAP_PEAKS = 200, 300


def compare(
    result: ad.AnnData, inputs: DenoiseInputs, peaks: Denoised, genes: Denoised | None, options: DenoiseOptions, context: Context
) -> None:
    """Put what was measured against labels, RNA and a joint embedding into a result."""
    rng = np.random.default_rng(options.seed)
    rows: list[tuple[str, float, float, int]] = []
    if inputs.rna is not None:
        assert genes is not None
        rows += _with_rna(result, inputs, genes, context)
    if inputs.labels is not None:
        rows += _with_labels(inputs, peaks, options.max_cells, rng)
    if inputs.joint is not None:
        cells = inputs.joint.cells
        atac, rna = (inputs.joint.obsm(key, cells) for key in JOINT_KEYS)
        drawn = _drawn(np.arange(len(cells)), options.max_cells, rng)
        distances = rank_distances(atac, rna, drawn)
        result.obs["rank_distance"] = pd.Series(distances, result.obs_names[cells[drawn]])
        rows.append(("RNA/ATAC rank distance, mean over cells", np.nan, distances.mean(), len(drawn)))
    if rows:
        result.uns["metrics"] = pd.DataFrame(rows, columns=["metric", "counts", "denoised", "n_cells"]).set_index("metric")


def _with_rna(result: ad.AnnData, inputs: DenoiseInputs, genes: Denoised, context: Context) -> list[tuple[str, float, float, int]]:
    assert inputs.rna is not None
    assert inputs.weights is not None
    cells = inputs.rna.cells if inputs.counts is None else np.intersect1d(inputs.rna.cells, inputs.counts.cells)
    weights = inputs.weights[inputs.gene_columns]
    sides = {side: Correlations() for side in ("counts", "denoised") if side == "denoised" or inputs.counts is not None}
    with context.progress("comparing with RNA", len(cells)) as advance:
        for start in range(0, len(cells), CELLS_AT_ONCE):
            part = cells[start : start + CELLS_AT_ONCE]
            expression = _dense(inputs.rna.read(part)[:, inputs.expressed])
            sides["denoised"].add(genes.values(part, inputs.gene_columns), expression)
            if inputs.counts is not None:
                sides["counts"].add(_dense(_open(inputs.counts.read(part)) @ weights.T), expression)
            advance(len(part))
    of_gene = inputs.genes.iloc[inputs.gene_columns][["gene_name", "n_peaks"]].copy()
    of_cell = pd.DataFrame(np.nan, index=result.obs_names, columns=list(sides))
    for side, correlations in sides.items():
        of_gene[side] = correlations.per_gene()
        of_cell.loc[result.obs_names[cells], side] = np.concatenate(correlations.per_cell)
        result.obs[f"rna_correlation_{side}"] = of_cell[side].to_numpy()
    result.uns["correlation_with_RNA"] = of_gene
    return [
        ("correlation with RNA over genes, mean over cells", *_means(of_cell), len(cells)),
        ("correlation with RNA over cells, mean over genes", *_means(of_gene), len(cells)),
    ]


def _with_labels(
    inputs: DenoiseInputs, peaks: Denoised, max_cells: int, rng: np.random.Generator
) -> list[tuple[str, float, float, int]]:
    from sklearn.metrics import silhouette_score

    assert inputs.labels is not None
    everything = np.arange(len(inputs.labels)) if inputs.counts is None else inputs.counts.cells
    cells = _drawn(everything, max_cells, rng)
    labels = inputs.labels[cells]
    sides = {"denoised": peaks.profiles(cells)}
    if inputs.counts is not None:
        is_open = _open(inputs.counts.read(cells))
        sides["counts"] = Profiles((is_open @ is_open.T).toarray(), np.asarray(is_open.sum(axis=1)).ravel(), is_open.shape[1])
    table: dict[str, dict[str, float]] = {}
    for side, profiles in sides.items():
        silhouette = silhouette_score(profiles.correlation_distances(), labels, metric="precomputed")
        table.setdefault("silhouette width of labels, 1 - Pearson, as 0..1", {})[side] = (silhouette + 1) / 2
        scores = profiles.principal_components(COMPONENTS)
        for score, value in LabelScore().score(EmbeddedCells(scores, labels=labels)).items():
            table.setdefault(f"{score}, PCA({COMPONENTS})", {})[side] = value
    return [(metric, of.get("counts", np.nan), of["denoised"], len(cells)) for metric, of in table.items()]


def heat_map(inputs: DenoiseInputs, peaks: Denoised, seed: int) -> dict[str, Any]:
    """Some cells by the most variable peaks, both ordered by clustering the denoised values (Ward)."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    everything = np.arange(peaks.n_cells) if inputs.counts is None else inputs.counts.cells
    cells = _drawn(everything, HEAT_MAP_CELLS, np.random.default_rng(seed))
    columns = peaks.most_variable(HEAT_MAP_PEAKS)
    values = peaks.values(cells, columns)

    def order(rows: Array) -> NDArray[np.intp]:
        if len(rows) < 3:
            return np.arange(len(rows))
        return leaves_list(optimal_leaf_ordering(linkage(rows, "ward"), rows))

    varying = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True)
    by_cell, by_peak = order(varying), order(varying.T)
    cells, columns = cells[by_cell], columns[by_peak]
    found: dict[str, Any] = {"cells": cells, "peaks": columns, "denoised": values[by_cell][:, by_peak]}
    if inputs.counts is not None:
        found["counts"] = _dense(_open(inputs.counts.read(cells)[:, columns])).astype(np.uint8)
    if inputs.labels is not None:
        found["labels"] = inputs.labels[cells]
    return found


def _drawn(cells: NDArray[np.intp], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return cells if len(cells) <= most else np.sort(rng.choice(cells, most, replace=False))


def _open(counts: sparse.csr_matrix | NDArray[Any]) -> sparse.csr_matrix:
    return (sparse.csr_matrix(counts) > 0).astype(np.float32)


def _dense(values: Any) -> NDArray[Any]:
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def _means(table: pd.DataFrame) -> tuple[float, float]:
    return (float(table["counts"].mean()) if "counts" in table else np.nan), float(table["denoised"].mean())
