"""Options of `ism`, and the files and objects that they name: opened and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.sequences import Windows, fasta_windows, sequence_windows
from scbasset_zoo_plugins.ism.motif_matches import MatchSearch
from scbasset_zoo_plugins.motifs.loading import load_motifs

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]


class IsmOptions(Options):
    """What is mutated, for which cells, and which motifs are searched."""

    earlier_names: ClassVar = {"names": "region_names"}

    regions: Path | Any | None = Field(None, description="Regions of the genome: BED, or the .var of an .h5ad.")
    region_names: list[str] | None = Field(None, description="Regions by name, such as chr1:100-600.")
    sequences: Path | Any | None = Field(None, description="FASTA of sequences of the model's length, instead of regions.")
    genome: Path | Any | None = Field(
        None, description="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38; for regions."
    )
    force: bool = Field(False, description="Use a genome of another assembly than the model's too.")
    group_by: str | None = Field(
        None, description="Column of the cells with their groups, such as cell types, to score the mean of each group."
    )
    cells: list[str] | None = Field(
        None, description="Score each of these cells, by barcode. Without groups and cells, scores are latent."
    )
    motifs: str | None = Field(
        None, description="Motifs whose matches are scored: MEME file, or name of a collection, such as jaspar-vertebrates."
    )
    motif_names: list[str] | None = Field(None, description="Only these motifs, by identifier or factor.")
    fimo_p: float = Field(1e-3, gt=0, lt=1, description="Matches of motifs have a p-value by FIMO below this.")
    measure: Literal["dot", "pearson"] = Field("dot", description="Score of a match: dot product or correlation of PWM and ISM.")
    n_shuffles: int = Field(10, ge=1, description="Shuffles of a region's positions that matches are tested against.")
    n_controls: int = Field(
        20, ge=0, description="Shuffled regions that the effects are compared with, and that give their unit; 0 for none."
    )
    list_p: float = Field(0.05, gt=0, le=1, description="List matches whose smallest p over the groups is up to this.")
    seed: int = Field(0, ge=0, description="Seed of all shuffles.")

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if sum(value is not None for value in (self.regions, self.region_names, self.sequences)) != 1:
            raise ValueError(f"give one of {option('regions')}, {option('region_names')} and {option('sequences')}")
        if self.sequences is None and self.genome is None:
            raise ValueError(f"regions need {option('genome')}, the FASTA of the model's assembly")
        if self.group_by is not None and self.cells is not None:
            raise ValueError(f"give {option('group_by')} or {option('cells')}, not both")
        if self.motifs is not None and self.group_by is None and self.cells is None:
            raise ValueError(
                f"{option('motifs')} needs {option('group_by')} or {option('cells')}: matches cannot be tested with latent scores"
            )
        if self.motif_names is not None and self.motifs is None:
            raise ValueError(f"{option('motif_names')} needs {option('motifs')}, the MEME file or collection to choose from")
        return self


@dataclass(frozen=True)
class IsmInputs:
    """Inputs of `ism`.

    Attributes
    ----------
    windows : Windows
        The regions or sequences.
    dimension : "group", "cell" or "latent"
        Name of the last dimension of the scores.
    columns : list of str
        Names of the groups, cells or latent dimensions.
    projection : float32 array (embedding_size, number of columns), or None
        Mean embeddings of the groups, or embeddings of the cells; None for latent scores.
    search : MatchSearch or None
    length : int
        Length of the windows, in bp.
    """

    windows: Windows
    dimension: str
    columns: list[str]
    projection: Array | None
    search: MatchSearch | None
    length: int


def open_inputs(model: Model, options: IsmOptions) -> IsmInputs:
    """Open and check what the options name; raise InputError if it cannot be used."""
    windows = _windows(model, options)
    if not len(windows):
        raise InputError("There are no regions: give at least one.")
    search, length = None, model.sequence_length
    if options.motifs is not None:
        motifs = load_motifs(options.motifs, options.motif_names, max_width=model.sequence_length)
        search = MatchSearch(motifs, options.measure, options.fimo_p, options.n_shuffles, options.list_p, options.seed)
    if options.group_by is not None:
        groups = CellGroups(model, options.group_by)
        return IsmInputs(windows, "group", groups.names, groups.means(model.cell_embedding).T, search, length)
    if options.cells is not None:
        return IsmInputs(windows, "cell", options.cells, model.cell_embedding[model.positions(options.cells)].T, search, length)
    return IsmInputs(windows, "latent", [str(i) for i in range(model.cell_embedding.shape[1])], None, search, length)


def _windows(model: Model, options: IsmOptions) -> Windows:
    """Open the sequences, or the windows around the regions."""
    if options.sequences is not None:
        if isinstance(options.sequences, str | Path):
            return fasta_windows(options.sequences, model.sequence_length)
        if not len(options.sequences):
            raise InputError("There are no sequences: give at least one.")
        return sequence_windows(options.sequences, model.sequence_length)
    regions = options.regions if options.regions is not None else options.region_names
    if isinstance(regions, Sequence | pd.DataFrame) and not len(regions):
        raise InputError("There are no regions: give at least one.")
    assert regions is not None
    assert options.genome is not None
    return model.peak_windows(regions, options.genome, force=options.force)
