"""Transcription start sites of genes, and weights for the peaks near them."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo import InputError
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.files import open_text

REACH = 2_000
# A key, then a value with or without quotes, at the beginning or after a semicolon; a quoted value may hold semicolons.
_ATTRIBUTE = re.compile(r'(?:^|;)\s*(\w+)\s+(?:"([^"]*)"|([^";]*))')
_MAX_ODD_SHARE = 0.1


def read_start_sites(gtf: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the transcription start sites of a GTF: the 5' ends of its genes, or of its transcripts if it has no genes.

    Parameters
    ----------
    gtf : path
        Plain or gzip. Positions are 1-based and inclusive, as in the files of GENCODE, Ensembl and UCSC.

    Returns
    -------
    DataFrame
        gene_id, gene_name (the id if there is no name), chrom, strand, tss (0-based).

    Raises
    ------
    InputError
        There is no such file, it is damaged, or more than a tenth of its lines are not those of a GTF. The message has the first.
    """
    path = Path(gtf)
    sites: dict[str, list[tuple[str, str, str, str, int]]] = {"gene": [], "transcript": []}
    n_lines, odd_lines = 0, []
    for number, line in _lines(path):
        n_lines += 1
        fields = line.rstrip("\r\n").split("\t", 8)
        if len(fields) < 9:
            odd_lines.append(f"{path}, line {number}: expected nine columns with tabs between them; found {line[:80]!r}.")
            continue
        chrom, _, kind, start, end, _, strand, _, attributes = fields
        if kind not in sites:
            continue
        names = _attributes(attributes)
        if "gene_id" not in names or strand not in ("+", "-") or not (start.isdigit() and end.isdigit()):
            odd_lines.append(
                f"{path}, line {number}: expected positions, a strand + or - and an attribute gene_id; found {line[:80]!r}."
            )
            continue
        tss = int(start if strand == "+" else end) - 1
        sites[kind].append((names["gene_id"], names.get("gene_name") or names["gene_id"], chrom, strand, tss))
    rows = sites["gene"] or sites["transcript"]
    if len(odd_lines) > _MAX_ODD_SHARE * n_lines or (odd_lines and not rows):
        raise InputError(odd_lines[0])
    if odd_lines:
        say(f"{len(odd_lines):,} of {n_lines:,} lines of {path.name} were skipped; the first is {odd_lines[0]}")
    if not rows:
        raise InputError(f"{path} has no line of a gene or a transcript. Give a GTF of genes, such as GENCODE's.")
    return pd.DataFrame(rows, columns=["gene_id", "gene_name", "chrom", "strand", "tss"])


def promoter_weights(sites: pd.DataFrame, peaks: pd.DataFrame, reach: int = REACH) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """Find the peaks near the start sites of each gene, and weight them so that a gene is the mean over its peaks.

    Parameters
    ----------
    sites : DataFrame
        As :func:`read_start_sites` returns them.
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


def _attributes(text: str) -> dict[str, str]:
    """Parse the attributes of a line of a GTF; the first value of a key that repeats is kept."""
    attributes: dict[str, str] = {}
    for key, quoted, plain in _ATTRIBUTE.findall(text):
        attributes.setdefault(key, quoted or plain.strip())
    return attributes


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines with their numbers, without comments and empty lines."""
    try:
        with open_text(path) as text:
            for number, line in enumerate(text, 1):
                if line.strip() and not line.startswith("#"):
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged or not a GTF ({error}). Fetch it again.") from error
    except OSError as error:
        raise InputError(f"The GTF {path} cannot be read: {error.strerror or error}.") from error


def _some_names(names: pd.Series) -> str:
    distinct = names.unique().tolist()
    return ", ".join(map(str, distinct[:3])) + " ..." * (len(distinct) > 3)
