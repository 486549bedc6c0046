"""Read the sequence of a genome by coordinates, whatever the format of its file and the names of its chromosomes."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import checked_path
from scbasset_zoo.inputs.assemblies import naming_hint, some_names
from scbasset_zoo.inputs.chromosome_names import names_in_genome, naming_line
from scbasset_zoo.inputs.dna import Codes, N
from scbasset_zoo.inputs.fasta_file import FastaFile
from scbasset_zoo.inputs.named_genome import genome_name, named_genome
from scbasset_zoo.inputs.sequence_file import SequenceFile
from scbasset_zoo.inputs.twobit_file import TwoBitFile, is_twobit
from scbasset_zoo.progress import say

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
        The file, or the name of an assembly, such as hg38, which is downloaded once from UCSC into the user's cache. The index of a
        symbolic link is written beside the link.

    Attributes
    ----------
    path : Path
        The file.
    name : str or None
        UCSC's name of the assembly, if the genome was given by its name.
    chromosome_sizes : dict of str to int
        Length of each chromosome in bp, in the file's order and with the file's names.
    other_names : dict of str to str
        The file's name of a chromosome by each other name that is read too, see :meth:`with_names_of`.

    Raises
    ------
    SourceError
        A genome that is given by its name cannot be downloaded.
    InputError
        The file is missing, empty, damaged or of another kind; two chromosomes have the same name; the index of a FASTA is missing
        and cannot be written; or the lines of a chromosome differ in length.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if re.match(r"(https?|ftp|s3):/", str(path)):
            raise InputError(f"{path}: a genome is not read from an address. Fetch the file, or give a name such as hg38.")
        self.name = genome_name(path)
        self.path = checked_path(path) if self.name is None else named_genome(self.name)
        try:
            self.file = _opened(self.path)
        except InputError as error:
            if self.name is None:
                raise
            raise InputError(f"{error} If it is in the cache, delete it there, and it is downloaded again.") from error
        self.chromosome_sizes = self.file.chromosome_sizes
        self.other_names: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}, {len(self.chromosome_sizes):,} chromosomes)"

    @property
    def sizes_by_name(self) -> dict[str, int]:
        """Length of each chromosome in bp, by each of its names: the file's, and those of `other_names`."""
        return self.chromosome_sizes | {name: self.chromosome_sizes[own] for name, own in self.other_names.items()}

    def with_names_of(self, assembly: str, sizes: Mapping[str, int] | None = None) -> Genome:
        """Return the same genome, which also knows its chromosomes by their other names: 1, CM000663.2 or NC_000001.11 for chr1.

        A chromosome has other names only if its length is the one that is known for the assembly.

        Parameters
        ----------
        assembly : str
            The genome's assembly, for example "hg38".
        sizes : mapping of str to int, optional
            Further lengths of the assembly's chromosomes in bp, such as those of a model's card.
        """
        genome = copy.copy(self)
        genome.other_names = names_in_genome(self.chromosome_sizes, assembly, sizes)
        return genome

    def renamed(self, chroms: Iterable[str]) -> dict[str, str]:
        """Return the file's name of those chromosomes that have another name here than in the file."""
        return {chrom: self.other_names[chrom] for chrom in dict.fromkeys(chroms) if chrom in self.other_names}

    def same_as(self, chroms: Iterable[str], others: Iterable[str]) -> dict[str, str]:
        """Return for each of some chromosomes the name of the same chromosome among `others`; those that have none are left out."""
        own = {self.other_names.get(other, other): other for other in others}
        return {chrom: own[name] for chrom in chroms if (name := self.other_names.get(chrom, chrom)) in own}

    def say_renamed(self, chroms: Iterable[str], what: str = "peaks") -> dict[str, str]:
        """Return :meth:`renamed`, and say in one line which chromosomes `what` names otherwise than the file."""
        if renamed := self.renamed(chroms):
            say(naming_line(renamed, what, self.path.name))
        return renamed

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
        chrom = self.other_names.get(chrom, chrom)
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
        missing = [c for c in dict.fromkeys(chroms) if c not in self.chromosome_sizes and c not in self.other_names]
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
