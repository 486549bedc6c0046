"""The peaks that fragments are counted in: read from a BED, checked and sorted."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from scbasset_zoo.counting.count_options import CountOptions
from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.bed import read_bed, read_intervals
from scbasset_zoo.inputs.blacklist import in_blacklist, read_blacklist
from scbasset_zoo.inputs.intervals import overlapping, refuse_overlaps
from scbasset_zoo.inputs.peaks import peak_names
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option


def peaks_to_count(
    path: str | os.PathLike[str],
    chromosome_sizes: Mapping[str, int],
    options: CountOptions,
    standard_name: Callable[[str], str],
) -> pd.DataFrame:
    """Read peaks, grouped by chromosome in the order of the BED, with rising starts.

    Parameters
    ----------
    path : path
        BED, plain or gzip.
    chromosome_sizes : mapping of str to int
        Lengths in bp; empty if they are not known.
    options : CountOptions
    standard_name : callable
        Returns the name by which a chromosome is compared with those of the blacklist.

    Returns
    -------
    DataFrame
        name (chrom:start-end), chrom, start, end.

    Raises
    ------
    InputError
        The file cannot be read, a peak lies beyond the end of its chromosome or is there twice, peaks overlap that must not, or
        none is left. The message has the line.
    """
    peaks = read_bed(path)
    _refuse_beyond_end(peaks, path, chromosome_sizes, options.assembly)
    is_copy = peaks.duplicated(["chrom", "start", "end"]).to_numpy()
    if is_copy.any():
        row = int(is_copy.argmax())
        raise InputError(
            f"{path}, line {_line(path, row)}: the peak {peak_names(peaks[is_copy])[0]} is there more than "
            f"once ({is_copy.sum():,} such lines). Remove the copies."
        )
    if options.blacklist:
        regions = [(file, _renamed(table, standard_name)) for file, table in read_blacklist(options.blacklist)]
        is_listed = in_blacklist(_renamed(peaks, standard_name), regions)
        say(f"{is_listed.sum():,} of {len(peaks):,} peaks overlap the blacklist and are left out.")
        peaks = peaks[~is_listed]
    if peaks.empty:
        raise InputError(f"No peak of {path} is left.")
    if not options.allow_overlaps:
        refuse_overlaps(peaks, str(path), "`scbasset-zoo merge-peaks` makes peaks that do not overlap.")
    elif n_overlapping := int(overlapping(peaks).sum()):
        say(
            f"{path}: {n_overlapping:,} of {len(peaks):,} peaks overlap another one; what lies in both counts in both. "
            f"{option('allow_overlaps', False)} refuses such peaks."
        )
    order = np.lexsort((peaks["end"], peaks["start"], pd.factorize(peaks["chrom"])[0]))
    if (np.diff(order) < 0).any():
        say(f"{path}: the peaks are sorted by start within each chromosome.")
    peaks = peaks.iloc[order][["chrom", "start", "end"]].reset_index(drop=True)
    peaks.insert(0, "name", peak_names(peaks))
    return peaks


def _renamed(table: pd.DataFrame, standard_name: Callable[[str], str]) -> pd.DataFrame:
    return table.assign(chrom=table["chrom"].map(standard_name))


def _refuse_beyond_end(
    peaks: pd.DataFrame, path: str | os.PathLike[str], chromosome_sizes: Mapping[str, int], assembly: str | None
) -> None:
    size = peaks["chrom"].map(dict(chromosome_sizes)).to_numpy(dtype=float)
    is_beyond = peaks["end"].to_numpy() > size
    if is_beyond.any():
        row = int(np.flatnonzero(is_beyond)[0])
        raise InputError(
            f"{path}, line {_line(path, row)}: the peak {peak_names(peaks.iloc[[row]])[0]} ends beyond the end of "
            f"{peaks['chrom'].iloc[row]} in {assembly} ({int(size[row]):,} bp; {is_beyond.sum():,} such peaks). Are the peaks of "
            "another assembly?"
        )


def _line(path: str | os.PathLike[str], row: int) -> int:
    """Return the number of the line of a peak."""
    return int(read_intervals(path, lambda number, columns, titles: None)[1][row])
