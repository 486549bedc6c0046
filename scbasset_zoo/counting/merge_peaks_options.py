"""Options of `merge-peaks`: types, defaults, bounds and descriptions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import Field, field_validator

from scbasset_zoo.name_lists import split_names
from scbasset_zoo.options import Options, Paths


class MergePeaksOptions(Options):
    """Options of :func:`scbasset_zoo.merge_peaks`."""

    width: int = Field(500, ge=1, le=1_000_000, description="Width of each peak around its summit, in bp.")
    score: Literal["qvalue", "pvalue", "signal", "score"] | None = Field(
        None,
        description="Column that says which of two overlapping peaks is kept: column 9, 8, 7 or 5 of the files. By default the "
        "first of these that all files have.",
    )
    min_samples: int = Field(1, ge=1, description="Leave out peaks that peaks of fewer files overlap.")
    blacklist: Paths = Field((), description="BED of regions; peaks that overlap one are left out.")
    assembly: str | None = Field(
        None,
        description="Assembly of the peaks, such as hg38. Peaks that reach beyond the end of their chromosome, or lie on one that "
        "is not of the assembly, are left out.",
    )
    genome: Path | None = Field(
        None, description="FASTA or .2bit file that has the chromosomes, for an assembly whose lengths are not built in."
    )
    samples: Sequence[str] = Field((), description="Names of the files in the summary. By default those of the files.")

    @field_validator("samples", mode="before")
    @classmethod
    def _names_between_commas(cls, value: Any) -> Any:
        return split_names(value) if isinstance(value, str) else value


class MergePeaksKeywords(TypedDict, total=False):
    """The fields of :class:`MergePeaksOptions`, for editors and type checkers."""

    width: int
    score: Literal["qvalue", "pvalue", "signal", "score"] | None
    min_samples: int
    blacklist: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    assembly: str | None
    genome: str | os.PathLike[str] | None
    samples: Sequence[str]
