"""Finds the intervals that positions of a genome lie in; intervals may overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.inputs.intervals import rows_by_chromosome


class _Segments(NamedTuple):
    """A chromosome, cut where an interval starts or ends.

    Segment s is ``bounds[s - 1]`` to ``bounds[s]``; the intervals ``members[indptr[s]:indptr[s + 1]]`` cover it.
    """

    bounds: NDArray[np.int64]
    indptr: NDArray[np.int64]
    members: NDArray[np.int64]


class IntervalIndex:
    """Finds the intervals that positions lie in.

    Parameters
    ----------
    intervals : DataFrame of n rows
        chrom, start, end (0-based, half-open), in any order.
    """

    def __init__(self, intervals: pd.DataFrame) -> None:
        start, end = intervals["start"].to_numpy(), intervals["end"].to_numpy()
        self._chroms = {chrom: _segments(start[rows], end[rows], rows) for chrom, rows in rows_by_chromosome(intervals).items()}

    @property
    def chroms(self) -> set[str]:
        """Names of the chromosomes that have intervals."""
        return set(self._chroms)

    def find(self, chrom: str, positions: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Return all pairs of a position and an interval that it lies in.

        Parameters
        ----------
        chrom : str
        positions : int64 array of shape (n,)
            0-based.

        Returns
        -------
        position : int array of shape (n_pairs,)
            Places in `positions`, ascending.
        interval : int64 array of shape (n_pairs,)
            Row numbers of the intervals.
        """
        if chrom not in self._chroms:
            return np.empty(0, np.intp), np.empty(0, np.int64)
        bounds, indptr, members = self._chroms[chrom]
        segment = np.searchsorted(bounds, positions, side="right")
        first, count = indptr[segment], indptr[segment + 1] - indptr[segment]
        position = np.repeat(np.arange(len(positions)), count)
        return position, members[np.arange(len(position)) + np.repeat(first - (np.cumsum(count) - count), count)]

    def covered(self, chrom: str) -> int:
        """Return how many bp of a chromosome lie in intervals."""
        if chrom not in self._chroms:
            return 0
        bounds, indptr, _ = self._chroms[chrom]
        return int(np.diff(bounds)[np.diff(indptr)[1:-1] > 0].sum())


def _segments(start: NDArray[np.int64], end: NDArray[np.int64], rows: NDArray[np.intp]) -> _Segments:
    bounds = np.unique(np.concatenate([start, end]))
    # Segment 0 lies before the first bound, and the last one after the last bound; no interval covers them.
    first, last = np.searchsorted(bounds, start) + 1, np.searchsorted(bounds, end) + 1
    count = last - first
    segment = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
    members = np.repeat(rows, count)[np.argsort(segment, kind="stable")]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(segment, minlength=len(bounds) + 1))])
    return _Segments(bounds, indptr, members)
