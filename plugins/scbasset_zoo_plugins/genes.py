"""Weights for the peaks near the transcription start sites of genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo import InputError

REACH = 2_000


def promoter_weights(sites: pd.DataFrame, peaks: pd.DataFrame, reach: int = REACH) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """Find the peaks near the start sites of each gene, and weight them so that a gene is the mean over its peaks.

    Parameters
    ----------
    sites : DataFrame
        As :func:`scbasset_zoo.extend.genes.read_start_sites` returns them.
    peaks : DataFrame of n_peaks rows
        chrom, start, end (0-based, half-open).
    reach : int
        A peak is near a start site if one of its bases lies within this many bp of it.

    Returns
    -------
    DataFrame of n_genes rows
        The genes that have peaks, in the order of the GTF, indexed by gene_id: gene_name, chrom, strand, tss (the first in the
        GTF), n_peaks.
    csr_matrix (n_genes, n_peaks)
        Weights of the peaks. Each row sums to 1.

    Raises
    ------
    InputError
        No peak is near any start site.
    """
    genes = sites.drop_duplicates("gene_id").set_index("gene_id")
    gene_of_site = genes.index.get_indexer(pd.Index(sites["gene_id"]))
    pairs = [np.empty((2, 0), dtype=np.int64)]  # positions of genes and of their peaks, for each chromosome
    for chrom, peaks_of_chrom in peaks.groupby("chrom", sort=False, observed=True).indices.items():
        sites_of_chrom = np.flatnonzero(sites["chrom"].to_numpy() == chrom)
        start, end = peaks["start"].to_numpy()[peaks_of_chrom], peaks["end"].to_numpy()[peaks_of_chrom]
        site, peak = _near(sites["tss"].to_numpy()[sites_of_chrom], start, end, reach)
        pairs.append(np.stack([gene_of_site[sites_of_chrom[site]], peaks_of_chrom[peak]]))
    gene, peak = np.unique(np.concatenate(pairs, axis=1), axis=1)
    if not len(gene):
        raise InputError(
            f"No peak lies within {reach:,} bp of a start site: peaks are on {_some_names(peaks['chrom'])}, genes on "
            f"{_some_names(sites['chrom'])}. Give a GTF of the peaks' assembly, with the same names of chromosomes."
        )
    n_peaks = np.bincount(gene, minlength=len(genes))
    weights = sparse.csr_matrix((1 / n_peaks[gene], (gene, peak)), shape=(len(genes), len(peaks)), dtype=np.float32)
    has_peaks = n_peaks > 0
    return genes[has_peaks].assign(n_peaks=n_peaks[has_peaks]), weights[has_peaks]


def _near(
    tss: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64], reach: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of start sites and peaks of a chromosome that lie within `reach` bp, as positions in `tss` and `start`."""
    by_start = np.argsort(start, kind="stable")
    # The start of a near peak lies at most `reach` after the site, and at most `reach` and the widest peak before it.
    first = np.searchsorted(start[by_start], tss - reach - int((end - start).max()), side="left")
    last = np.searchsorted(start[by_start], tss + reach, side="right")
    n_candidates = last - first
    site = np.repeat(np.arange(len(tss)), n_candidates)
    peak = by_start[np.arange(len(site)) - np.repeat(np.cumsum(n_candidates) - n_candidates, n_candidates) + first[site]]
    is_near = end[peak] > tss[site] - reach
    return site[is_near], peak[is_near]


def _some_names(names: pd.Series) -> str:
    distinct = names.unique().tolist()
    return ", ".join(map(str, distinct[:3])) + " ..." * (len(distinct) > 3)
