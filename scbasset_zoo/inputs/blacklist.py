"""Blacklists: BED files of regions whose signal is an artefact, such as ENCODE's."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import some_names
from scbasset_zoo.inputs.bed import read_bed
from scbasset_zoo.inputs.intervals import overlaps


def read_blacklist(paths: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, pd.DataFrame]]:
    """Read the regions of BED files, plain or gzip; see :func:`scbasset_zoo.inputs.bed.read_bed`."""
    return [(Path(path), read_bed(path)) for path in paths]


def check_blacklist(blacklist: Sequence[tuple[Path, pd.DataFrame]], chroms: Collection[str]) -> None:
    """Raise InputError if a file of :func:`read_blacklist` has none of the chromosomes of the peaks."""
    for path, regions in blacklist:
        of_regions = regions["chrom"].unique()
        if not set(of_regions) & set(chroms):
            raise InputError(
                f"{path}: the blacklist has no chromosome of the peaks. It has {some_names(of_regions)}; the peaks have "
                f"{some_names(chroms)}.{_hint(chroms, of_regions)}"
            )


def in_blacklist(peaks: pd.DataFrame, blacklist: Sequence[tuple[Path, pd.DataFrame]]) -> NDArray[np.bool_]:
    """Return which peaks share a base with a region of :func:`read_blacklist`.

    Parameters
    ----------
    peaks : DataFrame of n rows
        chrom, start, end.
    blacklist : list of (Path, DataFrame)

    Returns
    -------
    bool array of shape (n,)

    Raises
    ------
    InputError
        A file of the blacklist has no chromosome of the peaks.
    """
    check_blacklist(blacklist, peaks["chrom"].unique())
    listed = np.zeros(len(peaks), dtype=bool)
    for _, regions in blacklist:
        listed |= overlaps(peaks, regions)
    return listed


def _hint(chroms: Collection[str], of_regions: Collection[str]) -> str:
    if {chrom.removeprefix("chr") for chrom in chroms} & {chrom.removeprefix("chr") for chrom in of_regions}:
        return ' Only the prefix "chr" differs: rename the chromosomes of the blacklist.'
    return " Give the blacklist of the same assembly, with the same names of chromosomes."
