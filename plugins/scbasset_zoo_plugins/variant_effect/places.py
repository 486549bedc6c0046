"""Which peaks variants lie in, and which start site of a gene is the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Index = NDArray[np.int64]


class PeakFinder:
    """Finds the peaks that overlap intervals.

    Parameters
    ----------
    peaks : DataFrame
        `on` (chromosome, as the genome names it), start, end (0-based, half-open).
    """

    def __init__(self, peaks: pd.DataFrame) -> None:
        self._of_chromosome: dict[str, tuple[Any, Index, Index, int]] = {}
        for on, indices in peaks.groupby("on", sort=False, observed=True).indices.items():
            rows = np.asarray(indices)
            rows = rows[np.argsort(peaks["start"].to_numpy()[rows], kind="stable")]
            start, end = (peaks[name].to_numpy(np.int64)[rows] for name in ("start", "end"))
            self._of_chromosome[str(on)] = rows, start, end, int((end - start).max())

    def overlaps(self, on: pd.Series, start: Index, end: Index) -> tuple[Index, Index]:
        """Return the pairs of intervals and peaks that share a base, by interval: positions of both.

        An interval without bases, such as the place of an insertion, counts as the base after it.
        """
        pairs = [np.empty((2, 0), dtype=np.int64)]
        end = np.maximum(end, start + 1)
        for name, rows in on.groupby(on.to_numpy()).indices.items():
            if str(name) not in self._of_chromosome:
                continue
            peaks, peak_start, peak_end, widest = self._of_chromosome[str(name)]
            first = np.searchsorted(peak_start, start[rows] - widest, side="left")
            n = np.searchsorted(peak_start, end[rows], side="left") - first
            row = np.repeat(rows, n)
            at = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
            overlaps = peak_end[at] > start[row]
            pairs.append(np.stack([row[overlaps], peaks[at[overlaps]]]))
        row, peak = np.concatenate(pairs, axis=1)
        order = np.argsort(row, kind="stable")
        return row[order], peak[order]


class NearestGenes:
    """Finds the start site that is nearest to a base.

    Parameters
    ----------
    sites : DataFrame
        As :func:`scbasset_zoo.extend.genes.read_start_sites` returns them, with `on` in place of `chrom`.
    """

    def __init__(self, sites: pd.DataFrame) -> None:
        self._of_chromosome = {str(on): rows.sort_values("tss", kind="stable") for on, rows in sites.groupby("on", sort=False)}

    def nearest(self, on: pd.Series, start: Index) -> tuple[list[str], NDArray[np.float64]]:
        """Return the name of the gene of the nearest start site, and the distance from it in bp.

        The distance is negative upstream of the gene. Without a gene on the chromosome they are "" and NaN.
        """
        genes, distance = np.full(len(on), "", dtype=object), np.full(len(on), np.nan)
        for name, rows in on.groupby(on.to_numpy()).indices.items():
            if str(name) not in self._of_chromosome:
                continue
            sites = self._of_chromosome[str(name)]
            tss = sites["tss"].to_numpy(np.int64)
            right = np.searchsorted(tss, start[rows]).clip(0, len(tss) - 1)
            left = (right - 1).clip(0)
            site = np.where(np.abs(tss[left] - start[rows]) <= np.abs(tss[right] - start[rows]), left, right)
            sign = np.where(sites["strand"].to_numpy()[site] == "-", -1, 1)
            genes[rows], distance[rows] = sites["gene_name"].to_numpy()[site], sign * (start[rows] - tss[site])
        return genes.tolist(), distance


def in_windows_of_peaks(variants: pd.DataFrame, peaks: pd.DataFrame, finder: PeakFinder, length: int) -> pd.DataFrame:
    """Return a row for each variant and each peak that it lies in, with `peak` and `window_start`.

    The window is that of the peak, as in training. A change that lies in a wide peak but beyond its window is left out.
    """
    start, end = _bounds(variants)
    row, peak = finder.overlaps(variants["on"], start, end)
    chosen = peaks.iloc[peak]
    window_start = (chosen["start"].to_numpy(np.int64) + chosen["end"].to_numpy(np.int64)) // 2 - length // 2
    is_inside = (start[row] >= window_start) & (np.maximum(end, start + 1)[row] <= window_start + length)
    pairs = variants.iloc[row].assign(peak=chosen["name"].to_numpy(), window_start=window_start)
    return pairs[is_inside].reset_index(drop=True)


def names_of_peaks(variants: pd.DataFrame, peaks: pd.DataFrame, finder: PeakFinder) -> list[str]:
    """Return the names of the peaks that each variant lies in, with semicolons between them."""
    row, peak = finder.overlaps(variants["on"], *_bounds(variants))
    names: list[list[str]] = [[] for _ in range(len(variants))]
    for position, name in zip(row, peaks["name"].to_numpy()[peak], strict=True):
        names[position].append(name)
    return [";".join(of_variant) for of_variant in names]


def _bounds(variants: pd.DataFrame) -> tuple[Index, Index]:
    """Return the first changed base of each variant, and the end of the changed bases."""
    start: Index = variants["start"].to_numpy(np.int64)
    end: Index = start + variants["old"].str.len().to_numpy(np.int64)
    return start, end
