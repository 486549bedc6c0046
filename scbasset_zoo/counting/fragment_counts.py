"""Counts the fragments of a file by barcode and peak, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.counting.fragment_file import FragmentBlock, read_fragments
from scbasset_zoo.counting.interval_index import IntervalIndex
from scbasset_zoo.counting.tss_enrichment import StartSites
from scbasset_zoo.progress import progress

Counting = Literal["insertions", "fragments"]
MITOCHONDRIA = {"chrM", "chrMT", "M", "MT"}


class Barcodes(Protocol):
    """Numbers barcodes from 0."""

    names: list[str]

    def numbers(self, barcodes: pa.StringArray) -> NDArray[np.int32]:
        """Return the number of each barcode; -1 for one that is not counted."""


class ListedBarcodes:
    """Numbers the barcodes of a list in its order. Others are not counted."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._names = pa.array(self.names, pa.string())

    def numbers(self, barcodes: pa.StringArray) -> NDArray[np.int32]:
        found: NDArray[np.int32] = pa.compute.index_in(barcodes, value_set=self._names).fill_null(-1).to_numpy()
        return found


class AllBarcodes:
    """Numbers all barcodes in the order in which they come."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._number: dict[str, int] = {}

    def numbers(self, barcodes: pa.StringArray) -> NDArray[np.int32]:
        texts = barcodes.to_pylist()
        for text in texts:
            if text not in self._number:
                self._number[text] = len(self.names)
                self.names.append(text)
        return np.fromiter(map(self._number.__getitem__, texts), dtype=np.int32, count=len(texts))


@dataclass
class FragmentCounts:
    """The counts of a file.

    Attributes
    ----------
    barcodes : list of str
    n_fragments, n_in_peaks, n_mitochondrial : int64 arrays of shape (n_barcodes,)
        Fragments outside the mitochondrial chromosome, their insertions that lie in peaks, and fragments on the mitochondrial
        chromosome.
    n_at_sites, n_beside_sites : int64 arrays of shape (n_barcodes,)
        Insertions in the centres and the flanks of start sites.
    counts : csr_matrix of shape (n_barcodes, n_peaks), int32
    n_repeated : int
        Lines that repeat a fragment of the same barcode.
    n_lines : int
    chromosome_ends : dict of str to int
        The largest end of a fragment on each chromosome, of any barcode.
    example : str or None
        A barcode of the file.
    """

    barcodes: list[str]
    n_fragments: NDArray[np.int64]
    n_in_peaks: NDArray[np.int64]
    n_mitochondrial: NDArray[np.int64]
    n_at_sites: NDArray[np.int64]
    n_beside_sites: NDArray[np.int64]
    counts: sparse.csr_matrix
    n_repeated: int
    n_lines: int
    chromosome_ends: dict[str, int]
    example: str | None


# Barcode, peak and count.
_Entries: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


class _Fragments(NamedTuple):
    """Fragments of one chromosome with the numbers of their barcodes; starts do not fall."""

    chrom: str
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    barcode: NDArray[np.int32]

    def rows(self, rows: slice | NDArray[np.bool_]) -> _Fragments:
        return _Fragments(self.chrom, self.start[rows], self.end[rows], self.barcode[rows])

    def followed_by(self, other: _Fragments) -> _Fragments:
        return _Fragments(
            self.chrom,
            np.concatenate([self.start, other.start]),
            np.concatenate([self.end, other.end]),
            np.concatenate([self.barcode, other.barcode]),
        )


def count_fragments(
    path: str | os.PathLike[str],
    barcodes: Barcodes,
    peaks: IntervalIndex,
    n_peaks: int,
    *,
    counting: Counting,
    sites: StartSites | None = None,
    chromosome_sizes: Mapping[str, int] | None = None,
    standard_name: Callable[[str], str] = str,
    quiet: bool = False,
) -> FragmentCounts:
    """Count the fragments of a file.

    An insertion lies in a peak if the base ``start`` or ``end - 1`` of its fragment does. A fragment that a file has several times,
    with the same barcode and interval, counts once. Memory grows with the entries of the result, not with the file.

    Parameters
    ----------
    path : path
        See :func:`scbasset_zoo.counting.fragment_file.read_fragments`.
    barcodes : Barcodes
        Which barcodes are counted.
    peaks : IntervalIndex
    n_peaks : int
    counting : "insertions" or "fragments"
        Count every insertion in a peak; or once each fragment that has one or two insertions in it.
    sites : StartSites, optional
    chromosome_sizes : mapping of str to int, optional
        Lengths in bp, by the names of the file. A fragment that reaches beyond its chromosome is an error.
    standard_name : callable, optional
        Returns the name that peaks and sites have for a chromosome of the file.
    quiet : bool
        Show no progress.
    """
    per_barcode = {name: np.zeros(0, dtype=np.int64) for name in ("fragments", "in_peaks", "mito", "at_sites", "beside_sites")}
    entries: list[_Entries] = []
    seen = _Seen()

    def add(name: str, barcode: NDArray[np.int32]) -> None:
        before = per_barcode[name]
        now = np.bincount(barcode, minlength=len(before))
        now[: len(before)] += before
        per_barcode[name] = now

    with progress(f"counting fragments of {os.path.basename(path)}", None, quiet=quiet) as advance:
        blocks = _numbered(read_fragments(path, chromosome_sizes), barcodes, standard_name, seen, advance)
        for part in _without_repeats(blocks, seen):
            n = len(part.start)
            insertions = np.concatenate([part.start, part.end - 1])
            place, peak = peaks.find(part.chrom, insertions)
            fragment = place % n
            if part.chrom in MITOCHONDRIA:
                add("mito", part.barcode)
            else:
                add("fragments", part.barcode)
                in_peaks = np.zeros(2 * n, dtype=bool)
                in_peaks[place] = True
                add("in_peaks", part.barcode[np.flatnonzero(in_peaks) % n])
            if counting == "fragments":
                fragment, peak = np.divmod(np.unique(fragment * n_peaks + peak), n_peaks)
            entries.append(_entries(part.barcode[fragment].astype(np.int64) * n_peaks + peak, n_peaks))
            if sites is not None:
                for name, where in zip(("at_sites", "beside_sites"), sites.count(part.chrom, insertions), strict=True):
                    add(name, part.barcode[where % n])
    n_barcodes = len(barcodes.names)
    totals = {name: np.concatenate([n, np.zeros(n_barcodes - len(n), np.int64)]) for name, n in per_barcode.items()}
    return FragmentCounts(
        barcodes.names,
        totals["fragments"],
        totals["in_peaks"],
        totals["mito"],
        totals["at_sites"],
        totals["beside_sites"],
        _joined(entries, (n_barcodes, n_peaks)),
        n_repeated=seen.n_repeated,
        n_lines=seen.n_lines,
        chromosome_ends=seen.chromosome_ends,
        example=seen.example,
    )


@dataclass
class _Seen:
    """What is noted about a file while it is read; see :class:`FragmentCounts`."""

    n_lines: int = 0
    n_repeated: int = 0
    chromosome_ends: dict[str, int] = field(default_factory=dict)
    example: str | None = None


def _numbered(
    blocks: Iterable[FragmentBlock],
    barcodes: Barcodes,
    standard_name: Callable[[str], str],
    seen: _Seen,
    advance: Callable[[int], None],
) -> Iterator[_Fragments]:
    """Yield the fragments of the barcodes that are counted."""
    for block in blocks:
        chrom = standard_name(block.chrom)
        seen.n_lines += len(block)
        seen.chromosome_ends[chrom] = max(seen.chromosome_ends.get(chrom, 0), int(block.end.max()))
        seen.example = seen.example or block.barcodes[0].as_py()
        number = barcodes.numbers(block.barcodes)[block.barcode]
        counted = number >= 0
        if counted.any():
            yield _Fragments(chrom, block.start[counted], block.end[counted], number[counted])
        advance(len(block))


def _without_repeats(parts: Iterable[_Fragments], seen: _Seen) -> Iterator[_Fragments]:
    """Yield each fragment once. Repeats have the same start, so the last start of a part waits for the next part."""
    waiting: _Fragments | None = None
    for part in parts:
        if waiting is not None and waiting.chrom == part.chrom:
            part = waiting.followed_by(part)
        elif waiting is not None:
            yield _distinct(waiting, seen)
        first_waiting = int(np.searchsorted(part.start, part.start[-1]))
        waiting = part.rows(slice(first_waiting, None))
        if first_waiting:
            yield _distinct(part.rows(slice(0, first_waiting)), seen)
    if waiting is not None:
        yield _distinct(waiting, seen)


def _distinct(part: _Fragments, seen: _Seen) -> _Fragments:
    """Return the fragments without repeats."""
    same_start = part.start[1:] == part.start[:-1]
    candidates = np.flatnonzero(np.r_[False, same_start] | np.r_[same_start, False])
    start, end, barcode = (values[candidates] for values in part[1:])
    order = np.lexsort((end, barcode, start))
    repeats = np.ones(max(len(order) - 1, 0), dtype=bool)
    for values in (start, end, barcode):
        repeats &= np.diff(values[order]) == 0
    if not repeats.any():
        return part
    seen.n_repeated += int(repeats.sum())
    kept = np.ones(len(part.start), dtype=bool)
    kept[candidates[order[1:][repeats]]] = False
    return part.rows(kept)


def _entries(keys: NDArray[np.int64], n_peaks: int) -> _Entries:
    """Return barcode, peak and count of each distinct key ``barcode * n_peaks + peak``."""
    keys = np.sort(keys)
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    barcode, peak = np.divmod(keys[first], n_peaks)
    return barcode.astype(np.int32), peak.astype(np.int32), np.diff(first, append=len(keys)).astype(np.int32)


def _joined(entries: list[_Entries], shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the counts as a matrix; entries of the same place are added up."""
    if not entries:
        return sparse.csr_matrix(shape, dtype=np.int32)
    barcode, peak, count = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    entries.clear()
    counts = sparse.coo_matrix((count, (barcode, peak)), shape=shape).tocsr()
    counts.sort_indices()
    return counts
