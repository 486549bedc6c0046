"""Options of `motif-insertion`, and the files and objects that they name: opened and checked."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.console import option, say
from scbasset_zoo.extend.sequences import Windows
from scbasset_zoo.extend.space import SPACE_HELP, Space, choose_space
from scbasset_zoo_plugins.motif_insertion.backgrounds import shuffled_backgrounds
from scbasset_zoo_plugins.motif_insertion.factor_scores import Contrast, check_contrast, positions_by_name
from scbasset_zoo_plugins.motifs.loading import choose_motifs, load_motifs
from scbasset_zoo_plugins.motifs.motif import Motif

if TYPE_CHECKING:
    from scbasset_zoo import Model

MIN_SHUFFLES = 5


class MotifInsertionOptions(Options):
    """Which motifs are inserted into what, and what the scores are compared with."""

    earlier_names: ClassVar = {"names": "motif_names", "umap": "umap_from"}

    motifs: str = Field(description="MEME file, or name of a collection, such as jaspar-vertebrates.")
    genome: Path | Any = Field(description="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38.")
    force: bool = Field(False, description="Use a genome of another assembly than the model's too.")
    motif_names: list[str] | None = Field(None, description="Only these motifs, by identifier or factor.")
    peaks: Path | Any | None = Field(None, description="Peaks to shuffle (BED); by default the training peaks.")
    n_backgrounds: int = Field(1_000, ge=1, description="Number of peaks to draw and shuffle, with their dinucleotides kept.")
    instances: Literal["sampled", "consensus"] = Field(
        "sampled", description="Insert sequences drawn from the PWM, or its consensus."
    )
    both_strands: bool = Field(False, description="Score the mean of the motif and its reverse complement.")
    scale: Literal["logit", "probability"] = Field("logit", description="Score differences of logits, or of their sigmoid.")
    n_shuffles: int = Field(20, ge=0, description="Shuffled motifs that each motif is tested against: 5 or more, or 0 for no test.")
    group_by: str | None = Field(
        None, description="Column of the cells with their groups, for the heat map; by default the card's default group."
    )
    rna: Path | Any | None = Field(
        None, description="Log-normalised expression of the same cells (.h5ad); genes have the factors' names."
    )
    compare_with: Path | Any | None = Field(
        None, description="Other scores, cells x factors (.h5ad), such as chromVAR's; needs expression."
    )
    contrast: str | None = Field(
        None, description="COLUMN:GROUP:OTHER, to measure how well each score tells cells of one group from cells of another."
    )
    umap_from: Path | Any | None = Field(
        None, description="Result of the analysis embedding (.h5ad) with the UMAP to draw; by default one is computed for figures."
    )
    space: Space | None = Field(
        None, description=f"{SPACE_HELP} It matters for the UMAP that is computed, and for the scale of probabilities."
    )
    show: list[str] | None = Field(None, description="Factors of the UMAPs and curves; by default those that differ most.")
    seed: int = Field(0, ge=0, description="Seed of the backgrounds, the sampled instances and the shuffled motifs.")

    @field_validator("contrast")
    @classmethod
    def _check_contrast(cls, value: str | None) -> str | None:
        if value is not None:
            check_contrast(value)
        return value

    @field_validator("n_shuffles")
    @classmethod
    def _check_n_shuffles(cls, value: int) -> int:
        if 0 < value < MIN_SHUFFLES:
            raise ValueError(f"must be {MIN_SHUFFLES} or more, or 0 for no test: fewer shuffles do not show how much they differ")
        return value

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if self.compare_with is not None and self.rna is None:
            raise ValueError(
                f"{option('compare_with')} needs {option('rna')}: scores are compared by their correlation with expression"
            )
        return self


@dataclass(frozen=True)
class MotifInsertionInputs:
    """Inputs of `motif-insertion`.

    Attributes
    ----------
    motifs : list of Motif
    show : list of str
        Identifiers of the motifs to draw; empty if they are not given.
    windows : Windows
        The peaks to shuffle.
    groups : CellGroups or None
    contrast : Contrast or None
    rna, other_scores : CompanionData or None
    umap : array (n_cells, 2), or None
    space : "canonical" or "published", or None
        The space of the UMAP that figures compute, and of probabilities; None if neither is needed.
    n_backgrounds, seed : int
    """

    motifs: list[Motif]
    show: list[str]
    windows: Windows
    groups: CellGroups | None
    contrast: Contrast | None
    rna: CompanionData | None
    other_scores: CompanionData | None
    umap: NDArray[Any] | None
    space: Space | None
    n_backgrounds: int
    seed: int

    @functools.cached_property
    def backgrounds(self) -> dna.Codes:
        """The background sequences, int8 codes (n_backgrounds, length), drawn when they are first used."""
        return shuffled_backgrounds(self.windows, self.n_backgrounds, self.seed)


def open_inputs(model: Model, options: MotifInsertionOptions) -> MotifInsertionInputs:
    """Open and check what the options name; raise InputError if it cannot be used."""
    motifs = load_motifs(options.motifs, options.motif_names, max_width=model.sequence_length)
    show = [motif.name for motif in choose_motifs(motifs, options.show, option("show"))] if options.show is not None else []
    groups = _groups(model, options.group_by)
    contrast = Contrast(model, options.contrast) if options.contrast is not None else None
    rna = CompanionData(options.rna, model.cells.index, "rna") if options.rna is not None else None
    other = CompanionData(options.compare_with, model.cells.index, "compare_with") if options.compare_with is not None else None
    if rna is not None:
        _require_expressed(motifs, rna)
        _require_three_cells(rna, other)
    umap = _umap(options.umap_from, model) if options.umap_from is not None else None
    windows = _windows(model, options)
    if not len(windows):
        raise InputError("There are no peaks: give at least one.")
    for companion in (rna, other):
        if companion is not None:
            companion.require_finite()
    space = choose_space([model], options.space) if umap is None or options.scale == "probability" else None
    return MotifInsertionInputs(
        motifs, show, windows, groups, contrast, rna, other, umap, space, options.n_backgrounds, options.seed
    )


def _groups(model: Model, column: str | None) -> CellGroups | None:
    """Group the cells by a column. Without one, use the card's default group, or None if that makes no groups."""
    if column is not None:
        return CellGroups(model, column)
    if model.card.cells.default_group is None:
        return None
    try:
        return CellGroups(model, model.card.cells.default_group)
    except InputError as error:
        say(f"No means of groups: {error}")
        return None


def _windows(model: Model, options: MotifInsertionOptions) -> Windows:
    """Open the peaks to shuffle: those given, or the training peaks whose chromosomes are in the FASTA."""
    if options.peaks is not None:
        return model.peak_windows(options.peaks, options.genome, force=options.force)
    genome = model.open_genome(options.genome, force=options.force)
    peaks = model.package.peaks()
    if peaks is None:
        raise InputError(f"{model.card.id} {model.card.version} does not list its training peaks: give {option('peaks')}.")
    if "split" in peaks and (peaks["split"] == "train").any():
        peaks = peaks[peaks["split"] == "train"]
    is_present = peaks["chrom"].isin(list(genome.sizes_by_name))
    if not is_present.any():
        genome.require(peaks["chrom"].unique())
    if not is_present.all():
        n_missing = int((~is_present).sum())
        say(f"{n_missing:,} of {len(peaks):,} training peaks are left out: {genome.path} does not have their chromosomes.")
    return model.peak_windows(peaks[is_present], genome, force=options.force)


def _require_expressed(motifs: list[Motif], rna: CompanionData) -> None:
    """Raise InputError if the RNA has none of the factors."""
    factors = pd.Series([motif.tf for motif in motifs])
    if (positions_by_name(rna.columns, factors) < 0).all():
        raise InputError(
            f"{option('rna')} has none of the {len(motifs):,} factors among its genes. Its genes look like {rna.columns[0]!r}, the "
            f"factors like {factors.iloc[0]!r}: name the genes by symbol."
        )


def _require_three_cells(rna: CompanionData, other: CompanionData | None) -> None:
    """Raise InputError if too few cells can be compared: the correlation of two values is 1 or -1."""
    n_cells = len(rna.cells if other is None else np.intersect1d(rna.cells, other.cells))
    if n_cells < 3:
        names = option("rna") if other is None else f"{option('rna')} and {option('compare_with')}"
        verb = "has" if other is None else "share"
        raise InputError(f"{names} {verb} {n_cells} of the model's cells; correlations with expression need three or more.")


def _umap(data: Any, model: Model) -> NDArray[Any]:
    """Read the UMAP of all cells, (n_cells, 2)."""
    embedded = CompanionData(data, model.cells.index, "umap_from")
    if "X_umap" not in embedded.adata.obsm or len(embedded.cells) < model.n_cells:
        raise InputError(
            f"{option('umap_from')} must have .obsm['X_umap'] of all {model.n_cells:,} cells. Give a result of embedding."
        )
    return embedded.obsm("X_umap", np.arange(model.n_cells))
