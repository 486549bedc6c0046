"""How much denser insertions are at transcription start sites than beside them, for each barcode."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.counting.interval_index import IntervalIndex
from scbasset_zoo.inputs.start_sites import read_start_sites

# Distances from the start site, in bp: the centre is up to CENTRE on both sides, the flanks are FLANK + 1 to REACH.
CENTRE, FLANK, REACH = 50, 1_900, 2_000


class StartSites:
    """Counts insertions at transcription start sites and in their flanks.

    Parameters
    ----------
    gtf : path
        See :func:`scbasset_zoo.inputs.start_sites.read_start_sites`. A site that several genes share counts once.
    standard_name : callable, optional
        Returns the name that fragments have for a chromosome of the GTF.
    """

    def __init__(self, gtf: str | os.PathLike[str], standard_name: Callable[[str], str] = str) -> None:
        sites = read_start_sites(gtf).drop_duplicates(["chrom", "tss"])
        sites["chrom"] = sites["chrom"].map(standard_name)
        self._centre = _windows(sites, -CENTRE, CENTRE + 1)
        self._flank = _windows(sites, -REACH, -FLANK, FLANK + 1, REACH + 1)

    @property
    def chroms(self) -> set[str]:
        """Names of the chromosomes that have start sites."""
        return self._centre.chroms

    def count(self, chrom: str, positions: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the places in `positions` that lie in a centre, and in a flank; a place appears once for each of its sites."""
        return self._centre.find(chrom, positions)[0], self._flank.find(chrom, positions)[0]


def enrichment(n_centre: NDArray[np.int64], n_flank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the TSS enrichment of barcodes: insertions per bp in the centres, divided by those per bp in the flanks.

    The flanks of all sites together are 100 bp on each side, as in ENCODE's TSS enrichment; the centre of 101 bp is that of ArchR
    (Granja et al., Nature Genetics 2021). A barcode without an insertion in the flanks is given one.

    Parameters
    ----------
    n_centre, n_flank : int64 arrays of shape (n_barcodes,)
        Insertions of each barcode within 50 bp of a start site, and 1,901 to 2,000 bp from it.
    """
    width_of_flanks = 2 * (REACH - FLANK)
    density: NDArray[np.float64] = n_centre / (2 * CENTRE + 1) / (np.maximum(n_flank, 1) / width_of_flanks)
    return density


def _windows(sites: pd.DataFrame, *edges: int) -> IntervalIndex:
    """Return windows around start sites, from each first to each second edge (half-open)."""
    tss = sites["tss"]
    parts = [
        pd.DataFrame({"chrom": sites["chrom"], "start": tss + first, "end": tss + last})
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
    return IntervalIndex(pd.concat(parts, ignore_index=True))
