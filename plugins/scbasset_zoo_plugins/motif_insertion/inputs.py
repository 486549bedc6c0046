"""Options of `motif-insertion`, and what they name: opened and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.sequences import Genome, Windows
from scbasset_zoo_plugins.motif_insertion.factor_scores import Contrast, parse_contrast, positions_by_name
from scbasset_zoo_plugins.motifs.loading import choose, load_motifs
from scbasset_zoo_plugins.motifs.motif import Motif

if TYPE_CHECKING:
    from scbasset_zoo import Model


class MotifInsertionOptions(Options):
    """Which motifs, put into what, and what to compare the scores with."""

    motifs: str = Field(description="MEME file, or a collection's name, as jaspar-vertebrates.")
    genome: Path | Any = Field(description="FASTA of the model's assembly, plain or bgzip.")
    names: list[str] | None = Field(None, description="Only these motifs, by identifier or factor.")
    peaks: Path | Any | None = Field(None, description="Peaks to shuffle (BED); those of training by default.")
    n_backgrounds: int = Field(1_000, ge=1, description="How many peaks are drawn and shuffled, keeping dinucleotides.")
    instances: Literal["sampled", "consensus"] = Field(
        "sampled", description="Draw each instance from the PWM, or put its consensus."
    )
    both_strands: bool = Field(False, description="Mean of the motif and its reverse complement.")
    scale: Literal["logit", "probability"] = Field("logit", description="Score differences of logits, or of their sigmoid.")
    group_by: str | None = Field(
        None, description="Column of the cells for the heat map; the card's default group if there is one."
    )
    rna: Path | Any | None = Field(
        None, description="Expression of the same cells (.h5ad), log-normalised; genes named as factors."
    )
    compare_with: Path | Any | None = Field(None, description="Other scores, cells x factors (.h5ad), as chromVAR's; needs rna.")
    contrast: str | None = Field(None, description="COLUMN:A:B: how well each score tells cells of A from those of B.")
    umap: Path | Any | None = Field(
        None, description="Result of the analysis embedding (.h5ad), whose UMAP is drawn; by default one is made for figures."
    )
    show: list[str] | None = Field(None, description="Factors of the UMAPs and curves; those that differ most by default.")
    seed: int = Field(0, ge=0, description="Of the backgrounds and the drawn instances.")

    @field_validator("contrast")
    @classmethod
    def _three_parts(cls, value: str | None) -> str | None:
        if value is not None:
            parse_contrast(value)
        return value

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.compare_with is not None and self.rna is None:
            raise ValueError("compare_with needs rna: the scores are compared by their correlation with expression")
        return self


@dataclass(frozen=True)
class MotifInsertionInputs:
    """What the options name, opened and checked."""

    motifs: list[Motif]
    show: list[str]
    windows: Windows
    groups: CellGroups | None
    contrast: Contrast | None
    rna: CompanionData | None
    other: CompanionData | None
    umap: NDArray[Any] | None


def read_inputs(model: Model, options: MotifInsertionOptions) -> MotifInsertionInputs:
    motifs = load_motifs(options.motifs, options.names, longest=model.sequence_length)
    show = [motif.name for motif in choose(motifs, options.show, "show")] if options.show is not None else []
    column = options.group_by or model.card.cells.default_group
    try:
        groups = CellGroups(model, column) if column is not None else None
    except InputError as error:
        if options.group_by is not None:
            raise
        say(f"No means of groups: {error}")
        groups = None
    contrast = Contrast(model, options.contrast) if options.contrast is not None else None
    rna = CompanionData(options.rna, model.cells.index, "rna") if options.rna is not None else None
    other = CompanionData(options.compare_with, model.cells.index, "compare_with") if options.compare_with is not None else None
    if rna is not None:
        _require_expressed(motifs, rna)
    umap = _umap(options.umap, model) if options.umap is not None else None
    windows = _windows(model, options)
    if not len(windows):
        raise InputError("There are no peaks: give at least one.")
    return MotifInsertionInputs(motifs, show, windows, groups, contrast, rna, other, umap)


def _windows(model: Model, options: MotifInsertionOptions) -> Windows:
    """The peaks to shuffle: those given, or those of training whose chromosomes the FASTA has; what is left out is said."""
    if options.peaks is not None:
        return model.peak_windows(options.peaks, options.genome)
    genome = options.genome if isinstance(options.genome, Genome) else Genome(options.genome)
    peaks = model.package.peaks()
    if peaks is None:
        raise InputError(f"{model.card.id} {model.card.version} does not bring its training peaks: give peaks=FILE.bed.")
    if "split" in peaks and (peaks["split"] == "train").any():
        peaks = peaks[peaks["split"] == "train"]
    present = peaks["chrom"].isin(list(genome.chromosome_sizes))
    if not present.any():
        genome.require(peaks["chrom"].unique())
    if not present.all():
        say(
            f"{int((~present).sum()):,} of {len(peaks):,} training peaks are left out: {genome.path} does not have their "
            "chromosomes."
        )
    return model.peak_windows(peaks[present], genome)


def _require_expressed(motifs: list[Motif], rna: CompanionData) -> None:
    names = pd.Series([motif.tf for motif in motifs])
    if (positions_by_name(rna.columns, names) < 0).all():
        raise InputError(
            f"rna has none of the {len(motifs):,} factors among its genes, which look like {rna.columns[0]!r}; the factors "
            f"look like {names.iloc[0]!r}. Name the genes by symbol."
        )


def _umap(data: Any, model: Model) -> NDArray[Any]:
    other = CompanionData(data, model.cells.index, "umap")
    if "X_umap" not in other.adata.obsm or len(other.cells) < model.n_cells:
        raise InputError(
            f"umap must have .obsm['X_umap'] of all {model.n_cells:,} cells; the analysis embedding writes such a file."
        )
    return other.obsm("X_umap", np.arange(model.n_cells))
