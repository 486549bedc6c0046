"""Options of `denoise`, and the files and objects that they name: opened and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

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
from scbasset_zoo.extend.console import option, say
from scbasset_zoo.extend.genes import read_start_sites
from scbasset_zoo.extend.sequences import Genome, Windows
from scbasset_zoo.extend.space import Space, choose_space
from scbasset_zoo_plugins.genes import REACH, promoter_weights

if TYPE_CHECKING:
    from scbasset_zoo import Model


JOINT_KEYS = ("X_atac", "X_rna")


class DenoiseOptions(Options):
    """What is denoised, and what it is compared with."""

    earlier_names: ClassVar = {"label": "group_by"}

    genome: Path | Any = Field(description="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38.")
    force: bool = Field(False, description="Use a genome of another assembly than the model's too.")
    strict: bool = Field(False, description="Refuse peaks that the genome does not have, instead of leaving them out.")
    peaks: Path | Any | None = Field(
        None,
        description="Peaks: BED, or the .var of an .h5ad. By default the peaks of the counts, or else the training peaks. "
        "With counts, only peaks that the counts have.",
    )
    output: Literal["logits", "accessibility"] = Field("logits", description="Log odds without the depth, or probabilities.")
    depth: Space | None = Field(
        None,
        description="What is left out as the depth of a cell: canonical (its mean logit over the training peaks) or published (its "
        "intercept, as in the paper). By default canonical, or published for a model without a gauge.",
    )
    columns: Literal["peaks", "genes"] = Field("peaks", description="Columns of X: peaks, or genes as means over their peaks.")
    gtf: Path | None = Field(None, description="Genes as GTF, plain or gzip, for gene scores.")
    reach: int = Field(REACH, ge=0, description="A gene's peaks lie within this many bp of one of its transcription start sites.")
    counts: Path | Any | None = Field(None, description="Counts, cells x peaks (.h5ad), to compare with; above 0 is open.")
    rna: Path | Any | None = Field(None, description="Log-normalised expression of the same cells (.h5ad); needs a GTF.")
    joint: Path | Any | None = Field(
        None, description=f"A joint embedding of the same cells: an .h5ad with .obsm {' and '.join(JOINT_KEYS)}."
    )
    group_by: str | None = Field(
        None, description="Column of the cells with their groups, such as cell types, for silhouette widths and label scores."
    )
    max_cells: int = Field(5_000, ge=10, description="Cells to draw, if there are more, for metrics that compare cells in pairs.")
    seed: int = Field(0, ge=0, description="Seed of the draw of cells.")

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if self.gtf is None and (self.rna is not None or self.columns == "genes"):
            reason = option("rna") if self.rna is not None else option("columns", "genes")
            raise ValueError(f"{reason} needs {option('gtf')}, which has the start sites of the genes")
        if self.gtf is not None and self.rna is None and self.columns == "peaks":
            raise ValueError(f"{option('gtf')} is for gene scores: give also {option('columns', 'genes')} or {option('rna')}")
        return self


@dataclass(frozen=True)
class DenoiseInputs:
    """Inputs of `denoise`.

    Attributes
    ----------
    windows : Windows
        The peaks.
    depth : "canonical" or "published"
        What is left out as the depth of a cell.
    genes : DataFrame of n_genes rows
        As :func:`promoter_weights` gives them; empty without a GTF.
    weights : csr_matrix (n_genes, n_peaks), or None
        Multiplied with peaks they give each gene's mean over its peaks.
    labels : array of n_cells texts, or None
        The group of each cell.
    counts, rna, joint : CompanionData or None
    scored_genes, expressed : int arrays (n_shared,)
        Positions of the genes that have both peaks and expression: in `genes`, and among the columns of the RNA.
    """

    windows: Windows
    depth: Space
    genes: pd.DataFrame
    weights: sparse.csr_matrix | None
    labels: NDArray[np.object_] | None
    counts: CompanionData | None
    rna: CompanionData | None
    joint: CompanionData | None
    scored_genes: NDArray[np.intp]
    expressed: NDArray[np.intp]


def open_inputs(model: Model, options: DenoiseOptions) -> DenoiseInputs:
    """Open and check what the options name; raise InputError if it cannot be used."""
    depth = choose_space([model], options.depth)
    barcodes = model.cells.index
    counts, rna, joint = (
        None if data is None else CompanionData(data, barcodes, name)
        for name, data in (("counts", options.counts), ("rna", options.rna), ("joint", options.joint))
    )
    if joint is not None:
        _require_joint_embedding(joint)
    genome = model.open_genome(options.genome, force=options.force)
    windows = _windows(model, options, genome, counts)
    genes, weights = pd.DataFrame(), None
    if options.gtf is not None:
        sites = _with_names_of_peaks(read_start_sites(options.gtf), windows, genome)
        genes, weights = promoter_weights(sites, windows.var, options.reach)
    scored_genes, expressed = np.empty(0, np.intp), np.empty(0, np.intp)
    if rna is not None:
        scored_genes, expressed = _match_genes(genes, rna.columns)
        if counts is not None and len(np.intersect1d(rna.cells, counts.cells)) < 2:
            raise InputError(
                f"{option('rna')} and {option('counts')} share fewer than two of the model's cells. Give data of the same cells."
            )
        rna.require_finite()
    labels = None if options.group_by is None else _labels(model, options.group_by, counts)
    return DenoiseInputs(windows, depth, genes, weights, labels, counts, rna, joint, scored_genes, expressed)


def _with_names_of_peaks(sites: pd.DataFrame, windows: Windows, genome: Genome) -> pd.DataFrame:
    """Return start sites with their chromosomes named as those of the peaks, where the genome knows both names."""
    names = genome.same_as(sites["chrom"].unique(), windows.var["chrom"].unique())
    if others := {chrom: name for chrom, name in names.items() if chrom != name}:
        first, name = next(iter(others.items()))
        say(f"the GTF names chromosomes otherwise than the peaks: {first} is {name}; {len(others):,} chromosomes")
    return sites.assign(chrom=sites["chrom"].map(lambda chrom: names.get(chrom, chrom)))


def _windows(model: Model, options: DenoiseOptions, genome: Genome, counts: CompanionData | None) -> Windows:
    """Open the peaks to denoise: those given, those of the counts, or the training peaks."""
    peaks_of_counts = None if counts is None else ad.AnnData(var=counts.adata.var)
    peaks: Any = next((peaks for peaks in (options.peaks, peaks_of_counts) if peaks is not None), None)
    if peaks is None:
        peaks = model.package.peaks()
    if peaks is None:
        raise InputError(f"{model.card.id} does not list its training peaks: give {option('peaks')}.")
    windows = model.peak_windows(peaks, genome, force=options.force, strict=options.strict)
    if not len(windows):
        raise InputError("There are no peaks: give at least one.")
    if counts is not None and options.peaks is None and windows.rows is not None:
        counts.select_columns(windows.rows)
    elif counts is not None and options.peaks is not None:
        of_counts = model.peak_windows(peaks_of_counts, genome, force=options.force, strict=False)
        counts.select_columns(_columns_of(windows, of_counts, genome))
    return windows


def _columns_of(windows: Windows, of_counts: Windows, genome: Genome) -> NDArray[np.intp]:
    """Return the column of the counts for each peak; raise InputError if one has none."""
    wanted, present = (
        pd.MultiIndex.from_frame(each.var[["chrom", "start", "end"]].replace({"chrom": genome.other_names}))
        for each in (windows, of_counts)
    )
    is_first = ~present.duplicated()
    column = present[is_first].get_indexer(wanted)
    if (column < 0).any():
        first = windows.var.index[int(np.argmin(column))]
        raise InputError(
            f"{option('counts')} has no column for {(column < 0).sum():,} of {len(column):,} peaks of {option('peaks')}, such as "
            f"{first}. Leave them out, or give counts of these peaks."
        )
    rows = np.flatnonzero(is_first)[column]
    return rows if of_counts.rows is None else of_counts.rows[rows]


def _require_joint_embedding(joint: CompanionData) -> None:
    """Raise InputError unless the cells' ATAC and RNA have positions in one space."""
    keys = " and ".join(JOINT_KEYS)
    if missing := [key for key in JOINT_KEYS if key not in joint.adata.obsm]:
        raise InputError(
            f"{option('joint')} has no .obsm {' and '.join(missing)}; it has {', '.join(joint.adata.obsm) or 'none'}. "
            f"Expected positions of the cells in .obsm {keys}."
        )
    n_atac, n_rna = (joint.obsm(key, joint.cells).shape[1] for key in JOINT_KEYS)
    if n_atac != n_rna:
        raise InputError(f"{option('joint')}: .obsm {keys} must lie in one space; they have {n_atac} and {n_rna} dimensions.")


def _match_genes(genes: pd.DataFrame, names: pd.Index) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match genes with the RNA by id or by name, whichever matches more.

    Returns
    -------
    int array
        Positions in `genes`; no gene occurs twice.
    int array
        Positions of the same genes in `names`.
    """
    is_first = ~names.duplicated()
    matches = []
    for key in (genes.index, pd.Index(genes["gene_name"])):
        column = names[is_first].get_indexer(key)
        column = np.where((column >= 0) & ~key.duplicated(), np.flatnonzero(is_first)[column], -1)
        matches.append((np.flatnonzero(column >= 0), column[column >= 0]))
    best = max(matches, key=lambda match: len(match[0]))
    if len(best[0]) < 2:
        raise InputError(
            f"{option('rna')} and the GTF share {len(best[0])} genes that have peaks. The RNA names genes like {names[0]!r}, the "
            f"GTF like {genes.index[0]!r} or {genes['gene_name'].iloc[0]!r}: rename the genes of the RNA."
        )
    return best


def _labels(model: Model, column: str, counts: CompanionData | None) -> NDArray[np.object_]:
    labels = labels_of(model, column)
    compared = labels if counts is None else labels[counts.cells]
    if not 2 <= len(set(compared)) < len(compared):
        raise InputError(
            f"{option('group_by')}: the {len(compared):,} cells that are compared have {len(set(compared)):,} values of {column}, "
            f"such as {compared[0]!r}; expected two or more values, of which some are shared by cells."
        )
    return labels
