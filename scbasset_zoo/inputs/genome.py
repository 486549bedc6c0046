"""Read the sequence of a genome by coordinates, whatever the format of its file and the names of its chromosomes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import checked_path
from scbasset_zoo.inputs.assemblies import naming_hint, some_names
from scbasset_zoo.inputs.dna import Codes, N
from scbasset_zoo.inputs.fasta_file import FastaFile
from scbasset_zoo.inputs.sequence_file import SequenceFile
from scbasset_zoo.inputs.twobit_file import TwoBitFile, is_twobit

# Windows less than GAP (bp) apart are read together, but not more than STRETCH (bp) at once.
GAP = 1 << 16
STRETCH = 1 << 22


class Genome:
    """A genome that is read by coordinates: a FASTA (plain, bgzip or gzip) or a .2bit file.

    Every read opens the file again, so many threads can share a Genome, and a Genome can be pickled. A gzip FASTA is unpacked once
    into the user's cache. The index of a FASTA is written beside it.

    Parameters
    ----------
    path : str or Path
        The file. The index of a symbolic link is written beside the link.

    Attributes
    ----------
    path : Path
        The file.
    chromosome_sizes : dict of str to int
        Length of each chromosome in bp, in the file's order and with the file's names.

    Raises
    ------
    InputError
        The file is missing, empty, damaged or of another kind; two chromosomes have the same name; the index of a FASTA is missing
        and cannot be written; or the lines of a chromosome differ in length.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = checked_path(path)
        self.file = _opened(self.path)
        self.chromosome_sizes = self.file.chromosome_sizes

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}, {len(self.chromosome_sizes):,} chromosomes)"

    def codes(self, chrom: str, start: int, end: int) -> Codes:
        """Return the codes of `chrom` from `start` to `end` (0-based, half-open); N outside the chromosome.

        Returns
        -------
        int8 array of shape (end - start,)

        Raises
        ------
        InputError
            The file has no such chromosome, it changed since it was opened, or the lines of the chromosome differ in length.
        """
        self.require([chrom])
        codes = np.full(max(end - start, 0), N, dtype=np.int8)
        first, last = max(start, 0), min(end, self.chromosome_sizes[chrom])
        if first < last:
            codes[first - start : last - start] = self.file.read(chrom, first, last)
        return codes

    def windows(self, chroms: Sequence[str] | NDArray[np.object_], starts: ArrayLike, length: int) -> Codes:
        """Return the codes of many windows of one length, in the given order; N outside the chromosome.

        Parameters
        ----------
        chroms : sequence of str, n
            The chromosome of each window.
        starts : integers, n
            The first base of each window, 0-based; may be negative.
        length : int
            Length of the windows, in bp.

        Returns
        -------
        int8 array of shape (n, length)

        Raises
        ------
        InputError
            See :meth:`codes`.
        """
        names = np.asarray(chroms, dtype=object)
        first = np.asarray(starts, dtype=np.int64)
        windows = np.full((len(first), length), N, dtype=np.int8)
        distinct, chrom_number = np.unique(names.astype(str), return_inverse=True)
        self.require(distinct.tolist())
        order = np.lexsort((first, chrom_number))
        chrom_number, first = chrom_number[order], first[order]
        # A new read starts at a new chromosome, after a gap, or in a new bin of STRETCH bp.
        breaks = (np.diff(chrom_number) != 0) | (np.diff(first) > length + GAP) | (np.diff(first // STRETCH) != 0)
        for group in np.split(np.arange(len(order)), np.flatnonzero(breaks) + 1):
            if len(group):
                low, high = int(first[group[0]]), int(first[group[-1]]) + length
                sequence = self.codes(str(distinct[chrom_number[group[0]]]), low, high)
                windows[order[group]] = np.lib.stride_tricks.sliding_window_view(sequence, length)[first[group] - low]
        return windows

    def require(self, chroms: Iterable[str]) -> None:
        """Raise InputError unless the genome has all of these chromosomes."""
        missing = [chrom for chrom in dict.fromkeys(chroms) if chrom not in self.chromosome_sizes]
        if missing:
            raise InputError(
                f"{self.path} has no chromosome {some_names(missing)}; it has {some_names(self.chromosome_sizes)}."
                + naming_hint(missing, self.chromosome_sizes)
            )


def _opened(path: Path) -> SequenceFile:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        start = b""
    return TwoBitFile(path) if is_twobit(start) else FastaFile(path)
