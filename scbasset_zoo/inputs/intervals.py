"""Which intervals overlap: those of one table among each other, or those of two tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.peaks import peak_names
from scbasset_zoo.wording import option


def overlaps(table: pd.DataFrame, regions: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which intervals of a table share a base with any of some regions. The regions may overlap each other.

    Parameters
    ----------
    table : DataFrame of n rows
        chrom, start, end (0-based, half-open), in any order.
    regions : DataFrame
        The same columns.

    Returns
    -------
    bool array of shape (n,)
    """
    result = np.zeros(len(table), dtype=bool)
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    region_starts, region_ends = regions["start"].to_numpy(), regions["end"].to_numpy()
    regions_of = rows_by_chromosome(regions)
    for chrom, rows in rows_by_chromosome(table).items():
        those = regions_of.get(chrom)
        if those is None:
            continue
        those = those[np.argsort(region_starts[those])]
        # Of the regions that begin before an interval ends, the one that reaches farthest decides.
        farthest = np.maximum.accumulate(region_ends[those])
        n_before = np.searchsorted(region_starts[those], ends[rows], side="left")
        result[rows] = (n_before > 0) & (farthest[n_before - 1] > starts[rows])
    return result


def overlapping(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which intervals of a table (chrom, start, end) share a base with another one of it, as a bool array."""
    result = np.zeros(len(table), dtype=bool)
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    for rows in rows_by_chromosome(table).values():
        rows = rows[np.argsort(starts[rows], kind="stable")]
        result[rows[1:]] |= np.maximum.accumulate(ends[rows])[:-1] > starts[rows[1:]]
        # If any later interval begins before this one ends, then the next one does.
        result[rows[:-1]] |= starts[rows[1:]] < ends[rows[:-1]]
    return result


def refuse_overlaps(peaks: pd.DataFrame, where: str, remedy: str) -> None:
    """Raise InputError if peaks overlap, unless the user allows it (option `allow_overlaps`).

    Parameters
    ----------
    peaks : DataFrame
        chrom, start, end. Its index has the rows of the file.
    where : str
        Name of the table in the message.
    remedy : str
        A sentence that says what to do.

    Raises
    ------
    InputError
        Peaks overlap. The message has the first pair with its rows, and the number of all that overlap.
    """
    is_overlapping = overlapping(peaks)
    if not is_overlapping.any():
        return
    first = int(np.flatnonzero(is_overlapping)[0])
    others = overlaps(peaks, peaks.iloc[[first]])
    others[first] = False
    pair = peaks.iloc[[first, int(np.flatnonzero(others)[0])]]
    (name, other), (row, other_row) = peak_names(pair), pair.index
    raise InputError(
        f"{where}: {int(is_overlapping.sum()):,} of {len(peaks):,} peaks overlap another one; first {name} (row {row}, counting "
        f"from 0) and {other} (row {other_row}). {remedy} Or take these with {option('allow_overlaps', True)}."
    )


def rows_by_chromosome(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Return the positions of the intervals of each chromosome, in their order."""
    codes, chroms = pd.factorize(table["chrom"].astype(object))
    rows = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[rows], np.arange(len(chroms) + 1))
    return {chrom: rows[first:last] for chrom, first, last in zip(chroms, bounds[:-1], bounds[1:], strict=True)}
