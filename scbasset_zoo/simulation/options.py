"""Options of a simulation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Self, TypedDict

from pydantic import Field, field_validator, model_validator

from scbasset_zoo.options import Options
from scbasset_zoo.simulation.lineage import LINEAGE


class SimulateOptions(Options):
    """Options of :func:`scbasset_zoo.simulate`."""

    earlier_names: ClassVar = {"fasta": "genome"}

    n_cells: int = Field(400, ge=1, description="Number of cells.")
    n_peaks: int = Field(4_000, ge=2, description="Number of peaks.")
    n_types: int = Field(
        6, ge=1, le=len(LINEAGE), description="Number of cell types of a blood lineage, stem cells first, in equal shares."
    )
    n_batches: int = Field(
        0, description="Number of batches, 0 for none. They differ in depth and in the activity of a stress factor (HSF1)."
    )
    density: float = Field(0.12, gt=0, le=0.5, description="Mean accessibility of all peaks in all cells.")
    signal: float = Field(1.0, ge=0, allow_inf_nan=False, description="Factor on the effect of every motif.")
    # Windows of 1,344 bp do not overlap, so neither do peaks.
    peak_width: int = Field(500, ge=1, le=1_344, description="Width of each peak, in bp.")
    seed: int = Field(0, ge=0, description="Random seed; the same options and seed give the same data.")
    genome: Path | None = Field(
        None,
        description="Genome (FASTA, .2bit or a name such as hg38) whose sequence without N is the background; shuffled copies "
        "follow where it ends. "
        "By default 4.2 Mb of hg19's chr20.",
    )

    @field_validator("n_batches")
    @classmethod
    def _not_one_batch(cls, n_batches: int) -> int:
        if n_batches < 0 or n_batches == 1:
            raise ValueError("must be 0 (none) or at least 2")
        return n_batches

    @model_validator(mode="after")
    def _enough_cells(self) -> Self:
        if self.n_cells < self.n_types:
            raise ValueError(f"{self.n_cells} cells cannot cover {self.n_types} cell types. Use more cells or fewer types.")
        if self.n_cells < self.n_batches:
            raise ValueError(f"{self.n_cells} cells cannot cover {self.n_batches} batches. Use more cells or fewer batches.")
        return self


class SimulateKeywords(TypedDict, total=False):
    """The fields of :class:`SimulateOptions`, for editors and type checkers."""

    n_cells: int
    n_peaks: int
    n_types: int
    n_batches: int
    density: float
    signal: float
    peak_width: int
    seed: int
    genome: str | os.PathLike[str] | None
