"""Options of `ism`, and what they name: opened and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.sequences import Windows, fasta_windows, sequence_windows
from scbasset_zoo_plugins.ism.motif_labels import Labelling
from scbasset_zoo_plugins.motifs.loading import load_motifs

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]


class IsmOptions(Options):
    """What to mutate, for which cells, and which motifs to look for."""

    regions: Path | Any | None = Field(None, description="Regions of the genome: BED, or the .var of an .h5ad.")
    names: list[str] | None = Field(None, description="Regions by name, as chr1:100-600.")
    sequences: Path | Any | None = Field(None, description="FASTA of sequences of the model's length, in place of regions.")
    genome: Path | Any | None = Field(None, description="FASTA of the model's assembly, plain or bgzip; for regions.")
    group_by: str | None = Field(None, description="Mean over the cells of each value of this column.")
    cells: list[str] | None = Field(None, description="Each of these cells, by barcode. With neither: latent scores.")
    motifs: str | None = Field(None, description="Label matches of these motifs: MEME file, or a collection as jaspar-vertebrates.")
    motif_names: list[str] | None = Field(None, description="Only these motifs, by identifier or factor.")
    fimo_p: float = Field(1e-3, gt=0, lt=1, description="Matches of motifs have a smaller p-value by FIMO.")
    measure: Literal["dot", "pearson"] = Field("dot", description="Score of a match: dot product or correlation of PWM and ISM.")
    n_shuffles: int = Field(10, ge=1, description="Shuffles of a region's positions that matches are tested against.")
    list_p: float = Field(0.05, gt=0, le=1, description="List matches up to this p, the smallest over the groups.")
    seed: int = Field(0, ge=0, description="Of the shuffles.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if sum(given is not None for given in (self.regions, self.names, self.sequences)) != 1:
            raise ValueError("give one of regions, names and sequences")
        if self.sequences is None and self.genome is None:
            raise ValueError("regions need genome, the FASTA of the model's assembly")
        if self.group_by is not None and self.cells is not None:
            raise ValueError("give group_by or cells, not both")
        if self.motifs is not None and self.group_by is None and self.cells is None:
            raise ValueError("motifs need group_by or cells: latent scores have no direction in which a motif could act")
        if self.motif_names is not None and self.motifs is None:
            raise ValueError("motif_names need motifs, the MEME file or collection that they are chosen from")
        return self


@dataclass(frozen=True)
class IsmInputs:
    """What the options name, opened and checked."""

    windows: Windows
    dimension: str
    columns: list[str]
    projection: Array | None
    labelling: Labelling | None


def read_inputs(model: Model, options: IsmOptions) -> IsmInputs:
    windows = _windows(model, options)
    if not len(windows):
        raise InputError("There are no regions: give at least one.")
    labelling = None
    if options.motifs is not None:
        motifs = load_motifs(options.motifs, options.motif_names, longest=model.sequence_length)
        labelling = Labelling(motifs, options.measure, options.fimo_p, options.n_shuffles, options.list_p, options.seed)
    if options.group_by is not None:
        groups = CellGroups(model, options.group_by)
        return IsmInputs(windows, "group", groups.names, groups.means(model.cell_embedding).T, labelling)
    if options.cells is not None:
        return IsmInputs(windows, "cell", options.cells, model.cell_embedding[model.positions(options.cells)].T, labelling)
    return IsmInputs(windows, "latent", [str(i) for i in range(model.cell_embedding.shape[1])], None, labelling)


def _windows(model: Model, options: IsmOptions) -> Windows:
    if options.sequences is not None:
        if isinstance(options.sequences, str | Path):
            return fasta_windows(options.sequences, model.sequence_length)
        if not len(options.sequences):
            raise InputError("There are no sequences: give at least one.")
        return sequence_windows(options.sequences, model.sequence_length)
    wanted = options.regions if options.regions is not None else options.names
    if isinstance(wanted, Sequence | pd.DataFrame) and not len(wanted):
        raise InputError("There are no regions: give at least one.")
    assert wanted is not None
    assert options.genome is not None
    return model.peak_windows(wanted, options.genome)
