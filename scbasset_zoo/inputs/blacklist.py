"""Blacklists: BED files of regions whose signal is an artefact, such as ENCODE's."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import some_names
from scbasset_zoo.inputs.bed import read_bed
from scbasset_zoo.inputs.chromosome_names import convention_of, two_names_of_one
from scbasset_zoo.inputs.intervals import overlaps


def read_blacklist(
    paths: Sequence[str | os.PathLike[str]], same_as: Callable[[Iterable[str]], Mapping[str, str]] = lambda chroms: {}
) -> list[tuple[Path, pd.DataFrame]]:
    """Read the regions of BED files, plain or gzip; see :func:`scbasset_zoo.inputs.bed.read_bed`.

    Parameters
    ----------
    paths : list of paths
    same_as : callable, optional
        Returns, for chromosomes of a file, the names that the peaks have for them; those that it leaves out stay.
    """
    blacklist = []
    for path in paths:
        regions = read_bed(path)
        names = same_as(regions["chrom"].unique())
        regions["chrom"] = regions["chrom"].map(lambda chrom, names=names: names.get(chrom, chrom))
        blacklist.append((Path(path), regions))
    return blacklist


def check_blacklist(blacklist: Sequence[tuple[Path, pd.DataFrame]], chroms: Collection[str]) -> None:
    """Raise InputError if a file of :func:`read_blacklist` has none of the chromosomes of the peaks, or names one differently."""
    for path, regions in blacklist:
        of_regions = regions["chrom"].unique()
        if not set(of_regions) & set(chroms):
            raise InputError(
                f"{path}: the blacklist has no chromosome of the peaks. It has {some_names(of_regions)}; the peaks have "
                f"{some_names(chroms)}.{_hint(chroms, of_regions)}"
            )
        if twin := two_names_of_one(chroms, of_regions):
            raise InputError(
                f"{path}: the blacklist has the chromosome {twin[1]}, the peaks have {twin[0]}. Give a blacklist with the names "
                "of the peaks."
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
    whose, whose_regions = convention_of(chroms), convention_of(of_regions)
    if whose and whose_regions and whose != whose_regions:
        return f" It names chromosomes as {whose_regions} does, the peaks as {whose} does: give one with the names of the peaks."
    return " Give the blacklist of the same assembly, with the same names of chromosomes."
