"""Accessibility without each cell's depth, of any peaks or genes, and how much nearer it is to labels and RNA than counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import sparse
from scipy.special import expit

from scbasset_zoo.analysis import Analysis, Context, Options
from scbasset_zoo.embedding import EmbeddedCells
from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.runtime.output import write_anndata
from scbasset_zoo.runtime.predictions import BLOCK_CELLS, PEAK_STEP, Block
from scbasset_zoo.runtime.windows import Windows, peak_windows
from scbasset_zoo_plugins.agreement import Correlations, Profiles, rank_distances
from scbasset_zoo_plugins.cell_groups import labels_of
from scbasset_zoo_plugins.gene_scores import REACH, promoter_weights, read_start_sites
from scbasset_zoo_plugins.measured import Measured
from scbasset_zoo_plugins.metrics import LabelScore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo.runtime.model import Model

Array = NDArray[np.float32]

JOINT_KEYS = ("X_atac", "X_rna")
COMPONENTS = 50
HEAT_MAP_CELLS, HEAT_MAP_PEAKS = 200, 300
_AT_ONCE = 1024


class DenoiseOptions(Options):
    """What to denoise, and what to compare it with."""

    genome: Path | Any = Field(description="FASTA of the model's assembly, plain or bgzip.")
    peaks: Path | Any | None = Field(
        None, description="Peaks: BED, or the .var of an .h5ad. By default those of the counts, or else those of training."
    )
    output: Literal["logits", "accessibility"] = Field("logits", description="Log odds without the intercept, or their sigmoid.")
    columns: Literal["peaks", "genes"] = Field("peaks", description="What X holds: peaks, or each gene's mean over its peaks.")
    gtf: Path | None = Field(None, description="Genes as GTF, plain or gzip, for gene scores.")
    reach: int = Field(REACH, ge=0, description="Peaks within so many bp of a transcription start site count for its gene.")
    counts: Path | Any | None = Field(None, description="Cells x peaks as measured (.h5ad), to compare with; above 0 is open.")
    rna: Path | Any | None = Field(None, description="Expression of the same cells (.h5ad), log-normalised; needs --gtf.")
    joint: Path | Any | None = Field(
        None, description=f"A joint embedding of the same cells: an .h5ad with .obsm {' and '.join(JOINT_KEYS)}."
    )
    label: str | None = Field(None, description="Column of the cells with their types, for silhouette widths and label scores.")
    max_cells: int = Field(5_000, ge=10, description="Of more cells, so many are drawn for what compares cells in pairs.")
    seed: int = Field(0, ge=0, description="Of the cells that are drawn.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.gtf is None and (self.rna is not None or self.columns == "genes"):
            raise ValueError(
                f"gtf must be given for {'rna' if self.rna is not None else 'columns=genes'}: it says where genes start"
            )
        if self.gtf is not None and self.rna is None and self.columns == "peaks":
            raise ValueError("gtf needs columns=genes or rna: gene scores are returned, or compared with expression")
        if self.counts is not None and self.peaks is not None:
            raise ValueError("give peaks or counts, not both: with counts, their peaks are denoised")
        return self


class Denoise(Analysis):
    """Accessibility without the intercept, which holds a cell's depth; with gene scores, and agreement with labels and RNA.

    As in the paper (Yuan & Kelley 2022, Methods), a gene's score is the mean over peaks within 2 kb of its transcription
    start sites. The result is cells x peaks or genes; ``.uns["metrics"]`` compares counts and denoised.
    """

    name = "denoise"
    Options = DenoiseOptions

    def check(self, model: Model, options: DenoiseOptions) -> None:
        self._inputs = _read_inputs(model, options)
        if self._inputs.rna is not None:
            self._inputs.rna.require_finite()

    def run(self, model: Model, options: DenoiseOptions, context: Context) -> ad.AnnData:
        inputs = self._inputs
        wanted = model.n_cells * (len(inputs.windows) if options.columns == "peaks" else len(inputs.genes)) * 4
        if context.out is None:
            require_memory(wanted, "The result", "Give out=FILE.zarr.")
        embedding = _embed(model, inputs.windows, context)
        peaks = Denoised(model.cell_embedding, embedding, options.output == "accessibility")
        genes = peaks.means(inputs.weights) if inputs.weights is not None else None
        chosen, var = (peaks, inputs.windows.var) if genes is None or options.columns == "peaks" else (genes, inputs.genes)
        result = ad.AnnData(obs=model.cells.copy(), var=var.copy())
        result.obsm["X_scbasset"], result.varm["peak_embedding"] = model.cell_embedding, chosen.peak_embedding
        _compare(result, inputs, peaks, genes, options, context)
        result.uns["heat_map"] = _heat_map(inputs, peaks, options.seed)
        if context.out is not None:
            result.uns["scbasset_zoo"] = dict(context.provenance)
            write_anndata(result, _with_progress(chosen, context), context.out)
            return result
        result.X = np.empty(result.shape, dtype=np.float32)
        for block in chosen.blocks():
            result.X[block.rows, block.peaks] = block.values
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins import denoise_figures

        return denoise_figures.figures(result)


class Denoised:
    """Cells x peaks, or means over peaks, without the intercept; computed where asked, never whole.

    Parameters
    ----------
    cell_embedding : (n_cells, k)
    peak_embedding : (n_peaks, k)
    probability : bool
        Sigmoid of the logits, rather than the logits.
    weights : csr_matrix (n_genes, n_peaks), optional
        Columns are these sums over peaks.
    """

    def __init__(
        self, cell_embedding: Array, peak_embedding: Array, probability: bool, weights: sparse.csr_matrix | None = None
    ) -> None:
        self._cells, self._peaks, self._probability, self._weights = cell_embedding, peak_embedding, probability, weights
        self.peak_embedding = peak_embedding if weights is None else weights @ peak_embedding

    @property
    def n_cells(self) -> int:
        """Rows."""
        return len(self._cells)

    def means(self, weights: sparse.csr_matrix) -> Denoised:
        """The same with genes for columns."""
        return Denoised(self._cells, self._peaks, self._probability, weights)

    def values(self, cells: Any, columns: Any = slice(None)) -> Array:
        """Part of the matrix, (cells, columns)."""
        if self._weights is None or not self._probability:  # means of logits are logits of means
            logits = self._cells[cells] @ self.peak_embedding[columns].T
            return expit(logits) if self._probability else logits
        weights = self._weights[columns].tocsc()
        used = np.flatnonzero(np.diff(weights.indptr))
        return np.ascontiguousarray((weights[:, used] @ expit(self._peaks[used] @ self._cells[cells].T)).T)

    def blocks(self) -> Iterator[Block]:
        """All of it, a stretch of columns after the other."""
        for first in range(0, len(self.peak_embedding), PEAK_STEP):
            columns = slice(first, min(first + PEAK_STEP, len(self.peak_embedding)))
            for start in range(0, len(self._cells), BLOCK_CELLS):
                cells = slice(start, min(start + BLOCK_CELLS, len(self._cells)))
                yield Block(cells, columns, self.values(cells, columns))

    def profiles(self, cells: NDArray[np.intp]) -> Profiles:
        """Inner products of some cells' profiles, over the columns."""
        if not self._probability:
            embedding, columns = self._cells[cells].astype(np.float64), self.peak_embedding.astype(np.float64)
            products = embedding @ (columns.T @ columns) @ embedding.T
            return Profiles(products, embedding @ columns.sum(axis=0), len(columns))
        products, sums = np.zeros((len(cells), len(cells))), np.zeros(len(cells))
        for first in range(0, len(self.peak_embedding), _AT_ONCE):
            values = self.values(cells, slice(first, first + _AT_ONCE))
            products += values @ values.T
            sums += values.sum(axis=1, dtype=np.float64)
        return Profiles(products, sums, len(self.peak_embedding))

    def most_variable(self, n: int) -> NDArray[np.intp]:
        """Columns whose logits vary most over cells, apart from what a cell adds to all of them; ascending."""
        varying = self.peak_embedding - self.peak_embedding.mean(axis=0)
        variance = np.einsum("pk,kl,pl->p", varying, np.cov(self._cells.T), varying)
        return np.sort(np.argsort(-variance, kind="stable")[:n])


@dataclass(frozen=True)
class _Inputs:
    windows: Windows
    genes: pd.DataFrame
    weights: sparse.csr_matrix | None
    labels: NDArray[np.object_] | None
    counts: Measured | None
    rna: Measured | None
    gene_columns: NDArray[np.intp]
    expressed: NDArray[np.intp]
    joint: Measured | None


def _read_inputs(model: Model, options: DenoiseOptions) -> _Inputs:
    barcodes = model.cells.index
    counts, rna, joint = (
        None if data is None else Measured(data, barcodes, what)
        for what, data in (("counts", options.counts), ("rna", options.rna), ("joint", options.joint))
    )
    if joint is not None:
        _require_joint(joint)
    peaks: Any = options.peaks if options.peaks is not None else model.package.peaks()
    if counts is not None:
        peaks = ad.AnnData(var=counts.adata.var)
    if peaks is None:
        raise InputError(f"{model.card.id} does not list its training peaks: give peaks.")
    windows = peak_windows(peaks, options.genome, model.card)
    if not len(windows):
        raise InputError("There are no peaks: give at least one.")
    genes, weights = pd.DataFrame(), None
    if options.gtf is not None:
        genes, weights = promoter_weights(read_start_sites(options.gtf), windows.var, options.reach)
    gene_columns, expressed = _matched(genes, rna.columns) if rna is not None else (np.empty(0, np.intp),) * 2
    if rna is not None and counts is not None and len(np.intersect1d(rna.cells, counts.cells)) < 2:
        raise InputError("rna and counts share fewer than two of the model's cells.")
    return _Inputs(windows, genes, weights, _labels(model, options.label, counts), counts, rna, gene_columns, expressed, joint)


def _require_joint(joint: Measured) -> None:
    """Raise InputError unless both profiles of all cells lie in one space."""
    if missing := [key for key in JOINT_KEYS if key not in joint.adata.obsm]:
        raise InputError(f"joint has no .obsm {' and '.join(missing)}; it has {', '.join(joint.adata.obsm) or 'none'}.")
    widths = [joint.obsm(key, joint.cells).shape[1] for key in JOINT_KEYS]
    if widths[0] != widths[1]:
        raise InputError(
            f"joint: .obsm {' and '.join(JOINT_KEYS)} must lie in one space; they have {widths[0]} and {widths[1]} dimensions."
        )


def _matched(genes: pd.DataFrame, names: pd.Index) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the same genes in `genes` and in the RNA, by id or by name, whichever finds more; each gene once."""
    found = []
    for key in (genes.index, pd.Index(genes["gene_name"])):
        first = ~key.duplicated()
        column = names[~names.duplicated()].get_indexer(key)
        column = np.where((column >= 0) & first, np.flatnonzero(~names.duplicated())[column], -1)
        found.append((np.flatnonzero(column >= 0), column[column >= 0]))
    best = max(found, key=lambda pair: len(pair[0]))
    if len(best[0]) < 2:
        raise InputError(
            f"rna and the GTF share {len(best[0])} genes that have peaks: rna names genes like {names[0]!r}, the GTF like "
            f"{genes.index[0]!r} or {genes['gene_name'].iloc[0]!r}."
        )
    return best


def _labels(model: Model, column: str | None, counts: Measured | None) -> NDArray[np.object_] | None:
    if column is None:
        return None
    labels = labels_of(model, column)
    compared = labels if counts is None else labels[counts.cells]
    if not 2 <= len(set(compared)) < len(compared):
        raise InputError(
            f"label: the {len(compared):,} cells that are compared have {len(set(compared)):,} values of {column}, such as "
            f"{compared[0]!r}; expected two or more, some of them shared."
        )
    return labels


def _embed(model: Model, windows: Windows, context: Context) -> Array:
    embedding = np.empty((len(windows), model.cell_embedding.shape[1]), dtype=np.float32)
    with context.progress("embedding peaks", len(windows)) as advance:
        for first in range(0, len(windows), _AT_ONCE):
            last = min(first + _AT_ONCE, len(windows))
            embedding[first:last] = model.embed(windows.read(first, last))
            advance(last - first)
    return embedding


def _with_progress(denoised: Denoised, context: Context) -> Iterator[Block]:
    with context.progress("writing columns", len(denoised.peak_embedding)) as advance:
        for block in denoised.blocks():
            yield block
            advance((block.peaks.stop - block.peaks.start) * (block.rows.start == 0))


def _compare(
    result: ad.AnnData, inputs: _Inputs, peaks: Denoised, genes: Denoised | None, options: DenoiseOptions, context: Context
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


def _with_rna(result: ad.AnnData, inputs: _Inputs, genes: Denoised, context: Context) -> list[tuple[str, float, float, int]]:
    assert inputs.rna is not None
    assert inputs.weights is not None
    cells = inputs.rna.cells if inputs.counts is None else np.intersect1d(inputs.rna.cells, inputs.counts.cells)
    weights = inputs.weights[inputs.gene_columns]
    sides = {side: Correlations() for side in ("counts", "denoised") if side == "denoised" or inputs.counts is not None}
    with context.progress("comparing with RNA", len(cells)) as advance:
        for start in range(0, len(cells), _AT_ONCE):
            part = cells[start : start + _AT_ONCE]
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


def _with_labels(inputs: _Inputs, peaks: Denoised, max_cells: int, rng: np.random.Generator) -> list[tuple[str, float, float, int]]:
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


def _heat_map(inputs: _Inputs, peaks: Denoised, seed: int) -> dict[str, Any]:
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
