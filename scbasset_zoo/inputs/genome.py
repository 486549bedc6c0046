"""A genome's sequence by coordinates: plain or bgzip FASTA to codes, checked against the assembly it should be."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import first_mismatch, fitting_assemblies, naming_hint, some_names, with_chr_prefix
from scbasset_zoo.inputs.dna import Codes, N, encode
from scbasset_zoo.inputs.fasta_index import is_bgzip, read_index
from scbasset_zoo.progress import say

# Windows that lie closer than GAP are read in one go, but never more than STRETCH (bp) at once.
GAP = 1 << 16
STRETCH = 1 << 22


class Genome:
    """A FASTA file (plain or bgzip), read by coordinates.

    The index (`.fai`, and `.gzi` for bgzip) is made beside the file when it is missing or older than the file. Reading
    opens the file anew each time, so one Genome serves many threads and may be pickled.

    Parameters
    ----------
    path : str or Path
        The FASTA. A symbolic link is indexed beside the link.

    Attributes
    ----------
    chromosome_sizes : dict of str to int
        Length of each chromosome in bp, in the file's order.

    Raises
    ------
    InputError
        The file is missing, empty, no FASTA, gzip but not bgzip, names a chromosome twice, or has no index in a folder
        that cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        compressed = is_bgzip(self.path)
        self._records, self._blocks = read_index(self.path, compressed)
        self.chromosome_sizes: dict[str, int] = {name: record.rlen for name, record in self._records.items()}

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}, {len(self.chromosome_sizes):,} chromosomes)"

    def codes(self, chrom: str, start: int, end: int) -> Codes:
        """Codes of `chrom` from `start` to `end` (0-based, half-open); N wherever that lies outside the chromosome.

        Returns
        -------
        int8 array of shape (end - start,)

        Raises
        ------
        InputError
            The FASTA has no such chromosome, or is damaged there.
        """
        self.require([chrom])
        codes = np.full(max(end - start, 0), N, dtype=np.int8)
        first, last = max(start, 0), min(end, self.chromosome_sizes[chrom])
        if first < last:
            codes[first - start : last - start] = self._letters(chrom, first, last)
        return codes

    def windows(self, chroms: Sequence[str] | NDArray[np.object_], starts: ArrayLike, length: int) -> Codes:
        """Codes of many windows of one length, in the order given; N beyond a chromosome's ends.

        Parameters
        ----------
        chroms : sequence of str, n
            The chromosome of each window.
        starts : integers, n
            The first base of each window, 0-based; may be negative.
        length : int
            In bp.

        Returns
        -------
        int8 array of shape (n, length)

        Raises
        ------
        InputError
            As for :meth:`codes`.
        """
        names = np.asarray(chroms, dtype=object)
        first = np.asarray(starts, dtype=np.int64)
        windows = np.full((len(first), length), N, dtype=np.int8)
        distinct, chrom_number = np.unique(names.astype(str), return_inverse=True)
        self.require(distinct.tolist())
        order = np.lexsort((first, chrom_number))
        chrom_number, first = chrom_number[order], first[order]
        # A new stretch begins at a new chromosome, after a gap, or in a new bin of STRETCH bp.
        breaks = (np.diff(chrom_number) != 0) | (np.diff(first) > length + GAP) | (np.diff(first // STRETCH) != 0)
        for group in np.split(np.arange(len(order)), np.flatnonzero(breaks) + 1):
            if len(group):
                low, high = int(first[group[0]]), int(first[group[-1]]) + length
                stretch = self.codes(str(distinct[chrom_number[group[0]]]), low, high)
                windows[order[group]] = np.lib.stride_tricks.sliding_window_view(stretch, length)[first[group] - low]
        return windows

    def require(self, chroms: Iterable[str]) -> None:
        """Raise InputError unless the FASTA has every one of these chromosomes."""
        missing = [chrom for chrom in dict.fromkeys(chroms) if chrom not in self.chromosome_sizes]
        if missing:
            raise InputError(
                f"{self.path} has no chromosome {some_names(missing)}; it has {some_names(self.chromosome_sizes)}."
                + naming_hint(missing, self.chromosome_sizes)
            )

    def _letters(self, chrom: str, start: int, end: int) -> Codes:
        record = self._records[chrom]
        break_width = record.lenb - record.lenc
        first = record.offset + start + start // record.lenc * break_width
        last = record.offset + end + (end - 1) // record.lenc * break_width
        raw = np.frombuffer(self._bytes(first, last), dtype=np.uint8)
        letters = raw[(raw != ord("\n")) & (raw != ord("\r"))]
        if len(letters) != end - start or ord(">") in letters:
            raise InputError(
                f"{self.path}: {chrom}:{start:,}-{end:,} is not where the index {self.path.name}.fai says. The file has "
                f"changed or was cut short: delete {self.path.name}.fai (and .gzi), or fetch the FASTA again."
            )
        return encode(letters.tobytes())

    def _bytes(self, first: int, last: int) -> bytes:
        with self.path.open("rb") as file:
            if self._blocks is None:
                file.seek(first)
                return file.read(last - first)
            starts, positions = self._blocks
            block = int(np.searchsorted(starts, first, side="right")) - 1
            after = int(np.searchsorted(starts, last, side="left"))
            file.seek(int(positions[block]))
            size = int(positions[after] - positions[block]) if after < len(positions) else -1
            try:
                text = gzip.decompress(file.read(size))
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(
                    f"{self.path} is damaged or does not fit its index ({error}). Delete {self.path.name}.gzi and .fai, "
                    "or fetch the FASTA again."
                ) from error
        return text[first - int(starts[block]) : last - int(starts[block])]


def check_sizes(genome: Genome, expected: Mapping[str, int], who: str) -> None:
    """Refuse a genome whose chromosomes have other lengths than those expected, as by a model card.

    Parameters
    ----------
    genome : Genome
    expected : mapping of str to int
        Chromosome lengths in bp. Names are compared with or without "chr"; only shared chromosomes can be compared.
    who : str
        Who expects them, as "the model was trained on hg19".

    Raises
    ------
    InputError
        A shared chromosome has another length.
    """
    expected = {with_chr_prefix(chrom): size for chrom, size in expected.items()}
    if not {with_chr_prefix(chrom) for chrom in genome.chromosome_sizes} & set(expected):
        names = some_names(genome.chromosome_sizes)
        shared = f"none of its chromosomes ({names}) is listed" if expected else "no lengths are listed"
        say(f"{genome.path}: {who}; {shared}, so that it cannot be checked whether this is that genome.")
    found = first_mismatch(genome.chromosome_sizes, expected)
    if found:
        chrom, size, wanted = found
        raise InputError(
            f"{genome.path}: this FASTA's {chrom} is {size:,} bp; {who}, where it has {wanted:,}{fitting_assemblies(chrom, size)}. "
            "Give the FASTA of that assembly."
        )
