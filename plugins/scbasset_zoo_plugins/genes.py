"""Which peaks count for which gene: transcription start sites of a GTF, and the peaks near them as weights."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from scbasset_zoo import InputError

REACH = 2_000
_ATTRIBUTE = re.compile(r'(gene_id|gene_name) "([^"]*)"')


def read_start_sites(gtf: str | os.PathLike[str]) -> pd.DataFrame:
    """Transcription start sites: the 5' ends of a GTF's genes, or of all transcripts where it has no line for genes.

    Parameters
    ----------
    gtf : path
        Plain or gzip, 1-based and inclusive, as GENCODE, Ensembl and UCSC give it.

    Returns
    -------
    DataFrame
        gene_id, gene_name (the id where there is none), chrom, strand, tss (0-based).

    Raises
    ------
    InputError
        No such file, damaged, or no GTF: the message has the line.
    """
    path = Path(gtf)
    found: dict[str, list[tuple[str, str, str, str, int]]] = {"gene": [], "transcript": []}
    for number, line in _lines(path):
        fields = line.rstrip("\r\n").split("\t", 8)
        if len(fields) < 9:
            raise InputError(f"{path}, line {number}: a GTF has nine columns with tabs between; found {line[:80]!r}.")
        chrom, _, kind, start, end, _, strand, _, attributes = fields
        if kind not in found:
            continue
        names = dict(_ATTRIBUTE.findall(attributes))
        if "gene_id" not in names or strand not in ("+", "-") or not (start.isdigit() and end.isdigit()):
            raise InputError(
                f"{path}, line {number}: expected positions, a strand + or - and an attribute gene_id; found {line[:80]!r}."
            )
        tss = int(start if strand == "+" else end) - 1
        found[kind].append((names["gene_id"], names.get("gene_name") or names["gene_id"], chrom, strand, tss))
    rows = found["gene"] or found["transcript"]
    if not rows:
        raise InputError(f"{path} has no line of a gene or transcript. Give a GTF of genes, such as GENCODE's.")
    return pd.DataFrame(rows, columns=["gene_id", "gene_name", "chrom", "strand", "tss"])


def promoter_weights(sites: pd.DataFrame, peaks: pd.DataFrame, reach: int = REACH) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """Genes with a peak near a start site, and the weights whose product with peaks is each gene's mean over its peaks.

    Parameters
    ----------
    sites : DataFrame
        As :func:`read_start_sites` gives.
    peaks : DataFrame of n_peaks rows
        chrom, start, end (0-based, half-open).
    reach : int
        A peak counts if any base of it lies within so many bp of a start site.

    Returns
    -------
    DataFrame of n_genes rows
        Indexed by gene_id, in the GTF's order: gene_name, chrom, strand, tss (the first in the GTF), n_peaks.
    csr_matrix (n_genes, n_peaks)
        Rows sum to 1.

    Raises
    ------
    InputError
        No peak is near any start site.
    """
    genes = sites.drop_duplicates("gene_id").set_index("gene_id")
    gene_of_site = genes.index.get_indexer(pd.Index(sites["gene_id"]))
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for chrom, here in peaks.groupby("chrom", sort=False, observed=True).indices.items():
        there = np.flatnonzero(sites["chrom"].to_numpy() == chrom)
        start, end = peaks["start"].to_numpy()[here], peaks["end"].to_numpy()[here]
        by_start = np.argsort(start, kind="stable")
        tss = sites["tss"].to_numpy()[there]
        # A peak that reaches a site starts at most `reach` after it, and at most its own width more before it.
        first = np.searchsorted(start[by_start], tss - reach - int((end - start).max()), side="left")
        last = np.searchsorted(start[by_start], tss + reach, side="right")
        site = np.repeat(np.arange(len(tss)), last - first)
        peak = by_start[np.arange(len(site)) - np.repeat(np.cumsum(last - first) - (last - first), last - first) + first[site]]
        near = end[peak] > tss[site] - reach
        pairs.append(np.stack([gene_of_site[there[site[near]]], here[peak[near]]]))
    gene, peak = np.unique(np.concatenate(pairs, axis=1), axis=1)
    if not len(gene):
        raise InputError(
            f"No peak lies within {reach:,} bp of a start site: peaks are on {_some(peaks['chrom'])}, genes on "
            f"{_some(sites['chrom'])}. Give a GTF of the peaks' assembly, with the same names of chromosomes."
        )
    n_peaks = np.bincount(gene, minlength=len(genes))
    weights = sparse.csr_matrix((1 / n_peaks[gene], (gene, peak)), shape=(len(genes), len(peaks)), dtype=np.float32)
    kept = n_peaks > 0
    return genes[kept].assign(n_peaks=n_peaks[kept]), weights[kept]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if zipped else path.open(encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                if line.strip() and not line.startswith("#"):
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged or no GTF ({error}). Fetch it again.") from error
    except OSError as error:
        raise InputError(f"The GTF {path} cannot be read: {error.strerror or error}.") from error


def _some(names: pd.Series) -> str:
    distinct = names.unique().tolist()
    return ", ".join(map(str, distinct[:3])) + " ..." * (len(distinct) > 3)
