"""Options of `prepare`: types, defaults, bounds and descriptions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

from pydantic import Field, field_validator, model_validator

from scbasset_zoo.name_lists import split_names
from scbasset_zoo.options import Options, Paths
from scbasset_zoo.wording import option


class PrepareOptions(Options):
    """Options of :func:`scbasset_zoo.prepare`; the manifest records them as its "parameters"."""

    samples: Sequence[str] = Field(
        (), validate_default=True,
        description="A name for each matrix, such as a,b; needed for several matrices. Cells are then called sample#barcode, and "
        "have the column sample.",
    )  # fmt: skip
    modality: str | None = Field(
        None, description="Modality of a MuData that has the peaks. By default atac, or else the only one with intervals of peaks."
    )
    layer: str | None = Field(None, description="Layer of an AnnData or MuData with the counts, such as counts, in place of X.")
    length: int = Field(1344, ge=1, le=1_000_000, description="Length of the window around the centre of each peak, in bp.")
    flank: int = Field(
        8, ge=0, le=10_000, description="Sequence stored on each side of a window, for the random shifts of training, in bp."
    )
    min_cell_fraction: float = Field(
        0.01, ge=0, le=1, allow_inf_nan=False,
        description="Leave out peaks that are open in a smaller fraction of the cells. The paper uses 0.01 and 0.05.",
    )  # fmt: skip
    min_peaks_per_cell: int = Field(
        0, ge=0,
        description="Leave out cells with fewer open peaks. From 1, cells without an open peak among the kept peaks are left out "
        "too. With 0, a cell without any open peak is an error.",
    )  # fmt: skip
    max_n_fraction: float = Field(
        0.25, ge=0, le=1, allow_inf_nan=False, description="Leave out peaks whose window has a larger fraction of N."
    )
    blacklist: Paths = Field((), description="BED of regions, such as ENCODE's blacklist; leave out peaks that overlap one.")
    allow_overlaps: bool = Field(
        True, description="Take peaks that overlap each other; otherwise they are an error. They may be in different splits."
    )
    split: str = Field(
        "90/5/5",
        description="Percentages of peaks for training/validation/test, drawn at random. The paper uses 90/5/5. 90/10 has no "
        "test peaks.",
    )
    test_chroms: Sequence[str] = Field(
        (), validate_default=True, description="Test peaks are those of these chromosomes, such as chr8,chr9; replaces the split."
    )
    validation_chroms: Sequence[str] = Field(
        (), validate_default=True,
        description="Validation peaks are those of these chromosomes. By default they are drawn from all but the test chromosomes.",
    )  # fmt: skip
    split_column: str | None = Field(
        None,
        description="Column of .var with the split of each peak: train, validation (val, valid) or test, of which there may be "
        "none; replaces the split.",
    )
    sort_peaks: bool = Field(False, description="Sort the peaks; otherwise unsorted peaks are an error.")
    seed: int = Field(0, ge=0, description="Seed of the random split.")
    force: bool = Field(False, description="Use a genome that is not of the named assembly too.")

    @property
    def split_shares(self) -> tuple[float, float, float]:
        """Shares of the peaks for training, validation and test; they add up to 1."""
        train, validation, *test = (float(part) / 100 for part in self.split.split("/"))
        return train, validation, test[0] if test else 0.0

    @field_validator("split")
    @classmethod
    def _is_two_or_three_percentages(cls, value: str) -> str:
        try:
            percentages = [float(part) for part in value.split("/")]
        except ValueError:
            percentages = []
        are_shares = len(percentages) in (2, 3) and min(percentages[:2]) > 0 and min(percentages) >= 0
        if not are_shares or not abs(sum(percentages) - 100) < 1e-7:
            raise ValueError(
                "must be percentages for training, validation and test that add up to 100, such as 90/5/5; the first two are above "
                "zero, and the third may be left out"
            )
        return value

    @field_validator("samples", "test_chroms", "validation_chroms", mode="before")
    @classmethod
    def _names_between_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return split_names(value)
        return list(value) if isinstance(value, Iterable) else value

    @model_validator(mode="after")
    def _ways_to_split_agree(self) -> PrepareOptions:
        if self.validation_chroms and not self.test_chroms:
            raise ValueError(f"{option('validation_chroms')} needs {option('test_chroms')} too.")
        if self.split_column is not None and self.test_chroms:
            raise ValueError(f"give either {option('test_chroms')} or {option('split_column')}, not both.")
        in_both = sorted(set(self.test_chroms) & set(self.validation_chroms))
        if in_both:
            names = f"{option('test_chroms')} and {option('validation_chroms')}"
            raise ValueError(f"{', '.join(in_both)} cannot be in both {names}.")
        return self


class PrepareKeywords(TypedDict, total=False):
    """Options of `prepare` as keywords, for editors."""

    samples: Sequence[str]
    modality: str | None
    layer: str | None
    length: int
    flank: int
    min_cell_fraction: float
    min_peaks_per_cell: int
    max_n_fraction: float
    blacklist: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    allow_overlaps: bool
    split: str
    test_chroms: Sequence[str]
    validation_chroms: Sequence[str]
    split_column: str | None
    sort_peaks: bool
    seed: int
    force: bool
