"""Options of `denoise`, and what they name: opened and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import sparse

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import labels_of
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.sequences import Windows
from scbasset_zoo_plugins.genes import REACH, promoter_weights, read_start_sites

if TYPE_CHECKING:
    from scbasset_zoo import Model


JOINT_KEYS = ("X_atac", "X_rna")


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


@dataclass(frozen=True)
class DenoiseInputs:
    windows: Windows
    genes: pd.DataFrame
    weights: sparse.csr_matrix | None
    labels: NDArray[np.object_] | None
    counts: CompanionData | None
    rna: CompanionData | None
    gene_columns: NDArray[np.intp]
    expressed: NDArray[np.intp]
    joint: CompanionData | None


def read_inputs(model: Model, options: DenoiseOptions) -> DenoiseInputs:
    barcodes = model.cells.index
    counts, rna, joint = (
        None if data is None else CompanionData(data, barcodes, what)
        for what, data in (("counts", options.counts), ("rna", options.rna), ("joint", options.joint))
    )
    if joint is not None:
        _require_joint(joint)
    peaks: Any = options.peaks if options.peaks is not None else model.package.peaks()
    if counts is not None:
        peaks = ad.AnnData(var=counts.adata.var)
    if peaks is None:
        raise InputError(f"{model.card.id} does not list its training peaks: give peaks.")
    windows = model.peak_windows(peaks, options.genome)
    if not len(windows):
        raise InputError("There are no peaks: give at least one.")
    genes, weights = pd.DataFrame(), None
    if options.gtf is not None:
        genes, weights = promoter_weights(read_start_sites(options.gtf), windows.var, options.reach)
    gene_columns, expressed = _matched(genes, rna.columns) if rna is not None else (np.empty(0, np.intp),) * 2
    if rna is not None and counts is not None and len(np.intersect1d(rna.cells, counts.cells)) < 2:
        raise InputError("rna and counts share fewer than two of the model's cells.")
    return DenoiseInputs(
        windows, genes, weights, _labels(model, options.label, counts), counts, rna, gene_columns, expressed, joint
    )


def _require_joint(joint: CompanionData) -> None:
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


def _labels(model: Model, column: str | None, counts: CompanionData | None) -> NDArray[np.object_] | None:
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
