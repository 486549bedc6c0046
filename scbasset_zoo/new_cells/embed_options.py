"""Options of `embed-cells`: types, defaults, bounds and descriptions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

from pydantic import Field

from scbasset_zoo.options import Options, Paths


class EmbedCellsOptions(Options):
    """Options of :func:`scbasset_zoo.embed_cells`."""

    samples: Sequence[str] = Field(
        (), description="Names of the samples, one for each matrix. Cells are then called SAMPLE#BARCODE."
    )
    modality: str | None = Field(None, description="Modality of a MuData with the peaks; atac by default.")
    layer: str | None = Field(None, description="Layer with the counts, instead of X.")
    min_cell_fraction: float = Field(
        0.01, ge=0, le=1, allow_inf_nan=False, description="Leave out peaks that are open in a smaller fraction of the new cells."
    )
    min_peaks_per_cell: int = Field(0, ge=0, description="Leave out cells with fewer open peaks.")
    max_n_fraction: float = Field(
        0.25, ge=0, le=1, allow_inf_nan=False, description="Leave out peaks whose window has a larger fraction of N."
    )
    blacklist: Paths = Field((), description="BED of regions, such as ENCODE's blacklist; leave out peaks that overlap one.")
    ridge: float | None = Field(
        None, gt=0, allow_inf_nan=False,
        description="Penalty of the squared length of a cell in the canonical space. By default it is chosen on held-out peaks.",
    )  # fmt: skip
    batch_key: str | None = Field(
        None, description="Column with the batch of each new cell, for a batch-corrected model: known batches have its effects."
    )
    unknown_batches: Literal["fit", "leave-out"] = Field(
        "leave-out",
        description="For batches that the model does not know: leave their effect out, or fit it, as if the batch had the same mix "
        "of cells as the model.",
    )
    group_by: str | None = Field(
        None, description="Column of the model's cells whose labels the new cells get; the model's default column by default."
    )
    n_neighbours: int = Field(15, ge=1, description="Nearest cells of the model that decide about the label of a new cell.")
    umap_from: Path | None = Field(
        None, description="Result of `run embedding` of the model: new cells get the median place of their nearest cells in it."
    )
    graph: bool = Field(True, description="Add the graph of neighbours among the new cells, as scanpy has it.")
    seed: int = Field(0, ge=0, description="Seed of the held-out peaks and of samples of cells.")
    force: bool = Field(False, description="Use a genome that is not of the model's assembly too.")


class EmbedCellsKeywords(TypedDict, total=False):
    """The fields of :class:`EmbedCellsOptions`, for editors and type checkers."""

    samples: Sequence[str]
    modality: str | None
    layer: str | None
    min_cell_fraction: float
    min_peaks_per_cell: int
    max_n_fraction: float
    blacklist: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    ridge: float | None
    batch_key: str | None
    unknown_batches: Literal["fit", "leave-out"]
    group_by: str | None
    n_neighbours: int
    umap_from: Path | None
    graph: bool
    seed: int
    force: bool
