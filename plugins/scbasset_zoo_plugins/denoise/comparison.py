"""Compares counts and denoised accessibility with groups of cells, with RNA and with a joint embedding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.chance import AT_CHANCE, N_DEVIATIONS, NO_CHANCE, Chance, chance_of
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.embedding import EmbeddedCells, UndefinedScore, reasons_of_undefined
from scbasset_zoo.extend.space import Space
from scbasset_zoo_plugins.denoise.agreement import Correlations, Profiles, chance_of_mean_correlation, rank_distances
from scbasset_zoo_plugins.denoise.denoised import Denoised
from scbasset_zoo_plugins.denoise.inputs import JOINT_KEYS, DenoiseInputs, DenoiseOptions
from scbasset_zoo_plugins.metrics import LabelScore, problem_of_labels

Array = NDArray[np.float32]
COLUMNS = ("metric", "counts", "denoised", "chance_counts", "chance_denoised", "chance_sd", "n_cells", "note")
MetricRow = tuple[str, float, float, float, float, float, int, str]
"""A row of ``.uns["metrics"]``.

It has the name of a metric, its value for the counts and for the denoised values, what each of them would be by chance, the larger
standard deviation of the two by chance, the number of cells, and a note. The note says why a value is NaN, what is left out of a
mean, and whether the denoised value is lower than that of the counts, or within error of chance.
"""

N_COMPONENTS = 50
CELLS_PER_BATCH = 1024
CELLS_FOR_CHANCE = 500  # for the standard deviation; tens of thousands of genes need 0.5 GB
RNA_OVER_GENES = "correlation with RNA over genes, mean over cells"
RNA_OVER_CELLS = "correlation with RNA over cells, mean over genes"
WORSE = "lower than for the counts"
HEAT_MAP_CELLS, HEAT_MAP_PEAKS = 200, 300


def add_metrics(
    result: ad.AnnData,
    inputs: DenoiseInputs,
    ways: Mapping[Space, Denoised],
    genes: Denoised | None,
    options: DenoiseOptions,
    context: Context,
) -> dict[str, dict[str, float]]:
    """Add every metric for which there are data to a result.

    Means go to ``.uns["metrics"]``, values of cells to ``.obs``, and values of genes to ``.uns["correlation_with_RNA"]``.

    Returns
    -------
    dict
        Agreement with groups by metric: of the counts, of the denoised values, and by the name of a way to leave depth out, of
        those without the other depth. Empty without groups.
    """
    scores: dict[str, dict[str, float]] = {}
    rng = np.random.default_rng(options.seed)
    rows: list[MetricRow] = []
    if inputs.rna is not None:
        assert genes is not None
        rows += _compare_with_rna(result, inputs, genes, options.seed, context)
    if inputs.labels is not None:
        scores, of_labels = _compare_with_labels(inputs, ways, options.max_cells, rng)
        rows += of_labels
    if inputs.joint is not None:
        rows.append(_rank_distances(result, inputs.joint, options.max_cells, rng))
    if rows:
        result.uns["metrics"] = pd.DataFrame(rows, columns=list(COLUMNS)).set_index("metric")
    return scores


def warnings_of(metrics: pd.DataFrame) -> list[str]:
    """Return a sentence for scores that denoising lowered, and one for those that are no better than chance."""
    is_worse, is_chance = (metrics["note"].str.contains(note, regex=False) for note in (WORSE, AT_CHANCE))
    sentences = []
    if is_worse.any():
        falls = [f"{name} from {row.counts:.3f} to {row.denoised:.3f}" for name, row in metrics[is_worse].iterrows()]
        sentences.append(
            f"Denoising made it worse: {'; '.join(falls)}. The denoised values tell the groups apart less well than the counts do."
        )
    if is_chance.any():
        sentences.append(f"The denoised values are no better than chance: {', '.join(metrics.index[is_chance])}.")
    return sentences


def _rank_distances(result: ad.AnnData, joint: CompanionData, max_cells: int, rng: np.random.Generator) -> MetricRow:
    """Rank the RNA of each cell by its distance to the cell's ATAC. By chance, ranks are uniform between 0 and 1."""
    atac, rna = (joint.obsm(key, joint.cells) for key in JOINT_KEYS)
    sample = draw(np.arange(len(joint.cells)), max_cells, rng)
    note = "all cells have the same RNA" if (rna == rna[0]).all() else ""
    distances = np.full(len(sample), np.nan) if note else rank_distances(atac, rna, sample)
    result.obs["rank_distance"] = pd.Series(distances, result.obs_names[joint.cells[sample]])
    mean, chance = float(distances.mean()), NO_CHANCE if note else Chance(0.5, (12 * len(sample)) ** -0.5)
    note = note or (AT_CHANCE if chance.covers(mean) else "")
    return "RNA/ATAC rank distance, mean over cells", np.nan, mean, np.nan, *chance, len(sample), note


def _compare_with_rna(result: ad.AnnData, inputs: DenoiseInputs, genes: Denoised, seed: int, context: Context) -> list[MetricRow]:
    """Correlate gene scores with expression, for each cell over genes and for each gene over cells."""
    assert inputs.rna is not None
    cells = inputs.rna.cells if inputs.counts is None else np.intersect1d(inputs.rna.cells, inputs.counts.cells)
    sides = {side: Correlations() for side in ("counts", "denoised") if side == "denoised" or inputs.counts is not None}
    with context.progress("comparing with RNA", len(cells)) as advance:
        for start in range(0, len(cells), CELLS_PER_BATCH):
            batch = cells[start : start + CELLS_PER_BATCH]
            expression, scores = _expression_and_scores(inputs, genes, batch)
            for side, correlations in sides.items():
                correlations.add(scores[side], expression)
            advance(len(batch))
    per_gene = inputs.genes.iloc[inputs.scored_genes][["gene_name", "n_peaks"]].copy()
    per_cell = pd.DataFrame(np.nan, index=result.obs_names, columns=list(sides))
    for side, correlations in sides.items():
        per_gene[side] = correlations.per_gene()
        per_cell.loc[result.obs_names[cells], side] = np.concatenate(correlations.per_cell)
        result.obs[f"rna_correlation_{side}"] = per_cell[side].to_numpy()
    result.uns["correlation_with_RNA"] = per_gene
    of_cells = per_cell.iloc[cells]
    expression, scores = _expression_and_scores(inputs, genes, draw(cells, CELLS_FOR_CHANCE, np.random.default_rng(seed)))
    rows = []
    for metric, axis, table, lines in ((RNA_OVER_GENES, 1, of_cells, "cells"), (RNA_OVER_CELLS, 0, per_gene, "genes")):
        chance = {side: chance_of_mean_correlation(scores[side], expression, axis, len(cells)) for side in sides}
        if axis == 1:  # the mean over the drawn cells would err by more than a standard deviation
            chance = {side: by_chance._replace(mean=sides[side].mean_over_pairs()) for side, by_chance in chance.items()}
        means = {side: float(table[side].mean()) for side in sides}
        rows.append(_row(metric, means, chance, len(cells), [_left_out(table, sides, lines)]))
    return rows


def _expression_and_scores(
    inputs: DenoiseInputs, genes: Denoised, cells: NDArray[np.intp]
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Return expression, and gene scores by counts (if there are any) and by denoised values: each (cells, genes)."""
    assert inputs.rna is not None
    assert inputs.weights is not None
    scores = {"denoised": genes.values(cells, inputs.scored_genes)}
    if inputs.counts is not None:
        scores["counts"] = _dense(open_peaks(inputs.counts.read(cells)) @ inputs.weights[inputs.scored_genes].T)
    return _dense(inputs.rna.read(cells)[:, inputs.expressed]), scores


def _compare_with_labels(
    inputs: DenoiseInputs, ways: Mapping[Space, Denoised], max_cells: int, rng: np.random.Generator
) -> tuple[dict[str, dict[str, float]], list[MetricRow]]:
    """Score how near the profiles of cells of the same label are: by silhouette width and by label scores.

    Cells whose profile does not vary have no correlation with others. They are left out of all sides.
    """
    assert inputs.labels is not None
    cells = draw(compared_cells(inputs, ways[inputs.depth]), max_cells, rng)
    sides = {"denoised" if way == inputs.depth else way: peaks.profiles(cells) for way, peaks in ways.items()}
    if inputs.counts is not None:
        is_open = open_peaks(inputs.counts.read(cells))
        sides["counts"] = Profiles((is_open @ is_open.T).toarray(), np.asarray(is_open.sum(axis=1)).ravel(), is_open.shape[1])
    varies = np.all([profiles.varies() for profiles in sides.values()], axis=0)
    left_out = "" if varies.all() else f"without {(~varies).sum():,} cells that have the same value at all peaks"
    scores: dict[str, dict[str, float]] = {}
    chance: dict[str, dict[str, Chance]] = {}
    for side, profiles in sides.items():
        compared = _Compared(profiles.take(varies), inputs.labels[cells[varies]])
        for metric, score in compared.scores(compared.cells).items():
            scores.setdefault(metric, {})[side] = score
        if side not in ("counts", "denoised"):
            continue
        for metric, by_chance in chance_of(compared.scores, compared.cells, ["labels"]).items():
            chance.setdefault(metric, {})[side] = by_chance
    rows = []
    for metric, of_sides in scores.items():
        notes = [*dict.fromkeys(reasons_of_undefined(of_sides).values()), left_out]
        rows.append(_row(metric, of_sides, chance.get(metric, {}), int(varies.sum()), notes, note_if_worse=True))
    return scores, rows


def _row(
    metric: str, scores: dict[str, float], chance: dict[str, Chance], n_cells: int, notes: list[str], *, note_if_worse: bool = False
) -> MetricRow:
    """Return the row of a metric, by its scores and their chance for the counts, if there are any, and the denoised values."""
    before, after = (float(scores.get(side, np.nan)) for side in ("counts", "denoised"))
    of_counts, of_denoised = (chance.get(side, NO_CHANCE) for side in ("counts", "denoised"))
    deviation = float(np.fmax(of_counts.deviation, of_denoised.deviation))
    if note_if_worse and after < before - N_DEVIATIONS * deviation:
        notes = [*notes, WORSE]
    if of_denoised.covers(after):
        notes = [*notes, AT_CHANCE]
    return metric, before, after, of_counts.mean, of_denoised.mean, deviation, n_cells, "; ".join(filter(None, notes))


class _Compared:
    """Profiles that are compared with labels; distances are computed once, for any permutation of the labels."""

    def __init__(self, profiles: Profiles, labels: NDArray[np.object_]) -> None:
        self.cells = EmbeddedCells(profiles.principal_components(N_COMPONENTS), labels=labels)
        self._distances = profiles.correlation_distances()

    def scores(self, cells: EmbeddedCells) -> dict[str, float]:
        """Return the silhouette width, rescaled to 0..1, and label scores; undefined if the labels say nothing."""
        from sklearn.metrics import silhouette_score

        if problem := problem_of_labels(cells) or (None if cells.embedding.size else "all cells have the same profile"):
            width: float = UndefinedScore(problem)
        else:
            width = (silhouette_score(self._distances, cells.labels, metric="precomputed") + 1) / 2
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
    cells = draw(compared_cells(inputs, peaks), HEAT_MAP_CELLS, np.random.default_rng(seed))
    columns = peaks.most_variable(HEAT_MAP_PEAKS)
    values = peaks.values(cells, columns)
    centred = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True)
    by_cell, by_peak = _leaf_order(centred), _leaf_order(centred.T)
    cells, columns = cells[by_cell], columns[by_peak]
    data: dict[str, Any] = {"cells": cells, "peaks": columns, "denoised": values[by_cell][:, by_peak]}
    if inputs.counts is not None:
        data["counts"] = _dense(open_peaks(inputs.counts.read(cells)[:, columns])).astype(np.uint8)
    if inputs.labels is not None:
        data["labels"] = inputs.labels[cells]
    return data


def _leaf_order(rows: Array) -> NDArray[np.intp]:
    """Return the order of rows in a tree of Ward clustering."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    if len(rows) < 3:
        return np.arange(len(rows))
    return leaves_list(optimal_leaf_ordering(linkage(rows, "ward"), rows))


def compared_cells(inputs: DenoiseInputs, peaks: Denoised) -> NDArray[np.intp]:
    """Positions of the cells that have counts, or of all cells if there are no counts."""
    return np.arange(peaks.n_cells) if inputs.counts is None else inputs.counts.cells


def draw(cells: NDArray[np.intp], size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw `size` cells, or return all if there are not more."""
    return cells if len(cells) <= size else np.sort(rng.choice(cells, size, replace=False))


def open_peaks(counts: sparse.csr_matrix | NDArray[Any]) -> sparse.csr_matrix:
    """Return 1 where counts are above 0."""
    return (sparse.csr_matrix(counts) > 0).astype(np.float32)


def _dense(values: Any) -> NDArray[Any]:
    """Return a sparse or dense array as a dense one."""
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def _left_out(table: pd.DataFrame, sides: Iterable[str], rows: str) -> str:
    """Say how many rows have no correlation, by side."""
    missing = {side: int(table[side].isna().sum()) for side in sides}
    parts = [f"{n:,} of {len(table):,} {rows} ({side})" for side, n in missing.items() if n]
    return f"without {' and '.join(parts)}, whose correlation is undefined" if parts else ""
