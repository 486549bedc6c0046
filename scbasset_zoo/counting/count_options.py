"""Options of `count`: types, defaults, bounds and descriptions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self, TypedDict

from pydantic import Field, model_validator

from scbasset_zoo.options import Options, Paths
from scbasset_zoo.wording import option


class CountOptions(Options):
    """Options of :func:`scbasset_zoo.count`."""

    samples: Sequence[str] = Field(
        (), description="Name of the sample of each file of fragments, in their order. Barcodes become SAMPLE#BARCODE."
    )
    counting: Literal["insertions", "fragments"] = Field(
        "insertions",
        description="What a value counts: insertions (every end of a fragment in the peak, as Cell Ranger and ArchR count), or "
        "fragments (those with one or two ends in the peak, each once).",
    )
    min_fragments: int | None = Field(
        None, ge=1,
        description="Without a list of cells: barcodes with at least so many fragments are cells. By default the "
        "steepest drop of the ranked barcodes is taken. A plot of them is written beside the result.",
    )  # fmt: skip
    gtf: Path | None = Field(
        None, description="GTF of the genes. The TSS enrichment of each barcode is computed, as a column tss_enrichment."
    )
    min_tss_enrichment: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Leave out cells with a lower TSS enrichment. It needs the GTF."
    )
    blacklist: Paths = Field((), description="BED of regions. Peaks that overlap one are left out.")
    assembly: str | None = Field(
        None,
        description="Name of the assembly, such as hg38. Peaks and fragments beyond the ends of its chromosomes are errors.",
    )
    allow_overlaps: bool = Field(
        True, description="Accept peaks that overlap each other. An insertion counts in each peak that it lies in."
    )
    force: bool = Field(False, description="Count also if peaks hold no more insertions than chance.")

    @model_validator(mode="after")
    def _a_threshold_of_enrichment_needs_genes(self) -> Self:
        if self.min_tss_enrichment is not None and self.gtf is None:
            raise ValueError(f"{option('min_tss_enrichment')} needs {option('gtf')}.")
        return self


class CountKeywords(TypedDict, total=False):
    """Options of `count` as keywords, for editors."""

    samples: Sequence[str]
    counting: Literal["insertions", "fragments"]
    min_fragments: int | None
    gtf: Path | None
    min_tss_enrichment: float | None
    blacklist: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    assembly: str | None
    allow_overlaps: bool
    force: bool
