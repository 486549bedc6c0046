"""Read the sequence of a genome by coordinates, from a plain or bgzip FASTA."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import naming_hint, some_names
from scbasset_zoo.inputs.dna import Codes, N, encode
from scbasset_zoo.inputs.fasta_index import is_bgzip, read_index

# pyfaidx makes the index but does not read the sequence: it takes 17 s for chr20 of a bgzip FASTA, whole blocks take 3 s.

# Windows less than GAP (bp) apart are read together, but not more than STRETCH (bp) at once.
GAP = 1 << 16
STRETCH = 1 << 22


class Genome:
    """A FASTA file (plain or bgzip) that is read by coordinates.

    The index (`.fai`, and `.gzi` for bgzip) is written beside the file if it is missing or older than the file. Every read
    opens the file again, so many threads can share a Genome, and a Genome can be pickled.

    Parameters
    ----------
    path : str or Path
        The FASTA. The index of a symbolic link is written beside the link.

    Attributes
    ----------
    chromosome_sizes : dict of str to int
        Length of each chromosome in bp, in the file's order.

    Raises
    ------
    InputError
        The file is missing, empty, not a FASTA, or gzip but not bgzip; two chromosomes have the same name; or the index is
        missing and cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        compressed = is_bgzip(self.path)
        self._records, self._blocks = read_index(self.path, compressed)
        self.chromosome_sizes: dict[str, int] = {name: record.rlen for name, record in self._records.items()}

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
            The FASTA has no such chromosome, or is damaged at this place.
        """
        self.require([chrom])
        codes = np.full(max(end - start, 0), N, dtype=np.int8)
        first, last = max(start, 0), min(end, self.chromosome_sizes[chrom])
        if first < last:
            codes[first - start : last - start] = self._read_codes(chrom, first, last)
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
        """Raise InputError unless the FASTA has all of these chromosomes."""
        missing = [chrom for chrom in dict.fromkeys(chroms) if chrom not in self.chromosome_sizes]
        if missing:
            raise InputError(
                f"{self.path} has no chromosome {some_names(missing)}; it has {some_names(self.chromosome_sizes)}."
                + naming_hint(missing, self.chromosome_sizes)
            )

    def _read_codes(self, chrom: str, start: int, end: int) -> Codes:
        record = self._records[chrom]
        break_width = record.lenb - record.lenc
        first = record.offset + start + start // record.lenc * break_width
        last = record.offset + end + (end - 1) // record.lenc * break_width
        raw = np.frombuffer(self._bytes(first, last), dtype=np.uint8)
        letters = raw[(raw != ord("\n")) & (raw != ord("\r"))]
        if len(letters) != end - start or ord(">") in letters:
            raise InputError(
                f"{self.path}: {chrom}:{start:,}-{end:,} is not where the index {self.path.name}.fai says. The FASTA has "
                f"changed or was cut short: delete {self.path.name}.fai (and .gzi), or fetch the FASTA again."
            )
        return encode(letters.tobytes())

    def _bytes(self, first: int, last: int) -> bytes:
        """Read bytes `first` to `last` of the uncompressed FASTA."""
        with self.path.open("rb") as file:
            if self._blocks is None:
                file.seek(first)
                return file.read(last - first)
            starts, positions = self._blocks
            block = int(np.searchsorted(starts, first, side="right")) - 1
            end_block = int(np.searchsorted(starts, last, side="left"))
            file.seek(int(positions[block]))
            size = int(positions[end_block] - positions[block]) if end_block < len(positions) else -1
            try:
                text = gzip.decompress(file.read(size))
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(
                    f"{self.path} is damaged or does not match its index ({error}). Delete {self.path.name}.gzi and .fai, "
                    "or fetch the FASTA again."
                ) from error
        return text[first - int(starts[block]) : last - int(starts[block])]
