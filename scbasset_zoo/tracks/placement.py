"""Places regions on the chromosomes of a genome, so that each base has the value of one region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.windows import Windows, window_starts
from scbasset_zoo.wording import option

Integers = NDArray[np.int64]

# Overlapping regions are resolved in parts of this many bp.
PART = 1 << 22


@dataclass(frozen=True)
class Placement:
    """Where regions give their values. A base that several regions cover has the value of the one whose centre is nearest.

    If two centres are equally near, it is the region that begins first. Parts of regions beyond a chromosome's end are left out.

    Attributes
    ----------
    chromosome_sizes : mapping of str to int
        Length of each chromosome in bp, by the names of the genome.
    starts : int array (n_regions,)
        First base of each region, 0-based; may be negative.
    pieces : DataFrame
        Pieces of regions that do not overlap, in the order of chromosomes (by name) and starts: `chrom`, `start`, `end` (0-based,
        half-open), and `region`, the position of the region.
    """

    chromosome_sizes: Mapping[str, int]
    starts: Integers
    pieces: pd.DataFrame

    @property
    def n_bases(self) -> int:
        """Number of bases with a value."""
        return int((self.pieces["end"] - self.pieces["start"]).sum())


def place(windows: Windows, length: int | None = None) -> Placement:
    """Place the peaks of windows, or the windows themselves.

    Parameters
    ----------
    windows : Windows
    length : int, optional
        Length of the windows, in bp, if each base of a window has a value. Without it, each peak has one value.

    Raises
    ------
    InputError
        The windows are sequences without coordinates.
    """
    sizes, var, chroms = genome_of(windows).chromosome_sizes, windows.var, chromosomes_of(windows)
    if length is None:
        starts, ends = var["start"].to_numpy(np.int64), var["end"].to_numpy(np.int64)
    else:
        starts = window_starts(var, length)
        ends = starts + length
    names, chrom_numbers = np.unique(chroms.astype(str), return_inverse=True)
    parts = []
    for number, name in enumerate(names):
        regions = np.flatnonzero(chrom_numbers == number)
        owners, first, last = map(np.concatenate, zip(*_pieces(starts[regions], ends[regions], sizes[name]), strict=True))
        parts.append(pd.DataFrame({"chrom": str(name), "start": first, "end": last, "region": regions[owners]}))
    return Placement(sizes, starts, pd.concat(parts, ignore_index=True))


def genome_of(windows: Windows) -> Genome:
    """Return the genome of windows; raise InputError if they are sequences without coordinates."""
    if windows.genome is None or "chrom" not in windows.var:
        raise InputError(
            "Tracks need regions of a genome: sequences have no coordinates. Give peaks or regions with "
            f"{option('genome')} in place of {option('sequences')}."
        )
    return windows.genome


def chromosomes_of(windows: Windows) -> NDArray[np.object_]:
    """Return the chromosome of each window, by the genome's names."""
    chroms = windows.var["chrom"].astype(str)
    return chroms.map(lambda name: windows.chromosome_names.get(name, name)).to_numpy(dtype=object)


def _pieces(starts: Integers, ends: Integers, size: int) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Yield regions, starts and ends of pieces of one chromosome, in order."""
    order = np.lexsort((ends, starts))
    first, last = np.maximum(starts, 0)[order], np.minimum(ends, size)[order]
    twice_centre = (starts + ends)[order]
    inside = first < last
    order, first, last, twice_centre = order[inside], first[inside], last[inside], twice_centre[inside]
    # Regions that overlap, directly or through others, are a cluster.
    begins = np.ones(len(first), dtype=bool)
    begins[1:] = first[1:] >= np.maximum.accumulate(last)[:-1]
    bounds = np.append(np.flatnonzero(begins), len(first))
    is_cluster = np.diff(bounds) > 1
    position = 0
    for cluster in np.flatnonzero(is_cluster):
        low, high = bounds[cluster], bounds[cluster + 1]
        yield order[position:low], first[position:low], last[position:low]
        members = slice(low, high)
        for owner, start, end in _nearest(first[members], last[members], twice_centre[members]):
            yield order[members][owner], start, end
        position = high
    yield order[position:], first[position:], last[position:]


def _nearest(first: Integers, last: Integers, twice_centre: Integers) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Yield the region whose centre is nearest for each run of bases of a cluster, part by part."""
    for low in range(int(first[0]), int(last.max()), PART):
        high = min(low + PART, int(last.max()))
        owner = np.zeros(high - low, dtype=np.int64)
        distance = np.full(high - low, np.iinfo(np.int64).max)
        for region in np.flatnonzero((first < high) & (last > low)):
            bases = slice(max(int(first[region]), low) - low, min(int(last[region]), high) - low)
            # Twice the distance of the middle of each base.
            distance_here = np.abs(2 * np.arange(bases.start + low, bases.stop + low) + 1 - twice_centre[region])
            is_nearer = distance_here < distance[bases]
            owner[bases][is_nearer] = region
            distance[bases][is_nearer] = distance_here[is_nearer]
        begins = np.flatnonzero(np.diff(owner, prepend=-1))
        yield owner[begins], begins + low, np.append(begins[1:], high - low) + low
