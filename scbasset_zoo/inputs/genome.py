"""Read the sequence of a genome by coordinates, from a plain or bgzip FASTA."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyfaidx
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import checked_path
from scbasset_zoo.inputs.assemblies import naming_hint, some_names
from scbasset_zoo.inputs.dna import Codes, N, encode
from scbasset_zoo.inputs.fasta_index import build_index, is_bgzip, read_index
from scbasset_zoo.progress import say

# pyfaidx makes the index but does not read the sequence: it takes 17 s for chr20 of a bgzip FASTA, whole blocks take 3 s.

# Windows less than GAP (bp) apart are read together, but not more than STRETCH (bp) at once.
GAP = 1 << 16
STRETCH = 1 << 22
_SCAN_BYTES = 1 << 23
_MAX_TITLE = 1 << 20
_REWRAP = "Give all its lines one length: `seqkit seq --line-width 60 IN.fa > OUT.fa`."


class Genome:
    """A FASTA file (plain or bgzip) that is read by coordinates.

    The index (`.fai`, and `.gzi` for bgzip) is written beside the file if it is missing, older than the file, or does not fit it.
    It only says where to look: titles, line lengths and the end of the file are compared with it at opening, and each chromosome is
    read through once before its first use. Every read opens the file again, so many threads can share a Genome, and a Genome can
    be pickled.

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
        The file is missing, empty, not a FASTA, or gzip but not bgzip; two chromosomes have the same name; the index is
        missing and cannot be written; or the lines of a chromosome differ in length.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = checked_path(path)
        compressed = is_bgzip(self.path)
        self._version = _version(self.path)
        self._records, self._blocks = read_index(self.path, compressed)
        if problem := self._index_problem():
            say(f"the index of {self.path.name} does not fit it: {problem}")
            build_index(self.path)
            self._records, self._blocks = read_index(self.path, compressed)
            if problem := self._index_problem():
                raise InputError(f"{self.path} cannot be read by coordinates: {problem}. {_REWRAP}")
        self._checked: set[str] = set()
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
            The FASTA has no such chromosome, it changed since it was opened, or the lines of the chromosome differ in length.
        """
        self.require([chrom])
        self._require_regular_lines(chrom)
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

    def _index_problem(self) -> str | None:
        """Return where the index differs from the file, or None: titles, places of the chromosomes, and the end of the file."""
        end, is_base = 0, True
        for name, record in sorted(self._records.items(), key=lambda item: item[1].offset):
            if record.rlen < 0 or record.offset <= end or (record.rlen and not 1 <= record.lenc <= record.lenb):
                return f"the place of {name} is impossible"
            title_pattern = rb"[\r\n]*>[ \t]*" + re.escape(name.encode()) + rb"(?:[ \t\v\f][^\r\n]*)?\r?\n"
            try:
                fits = record.offset - end <= _MAX_TITLE and re.fullmatch(title_pattern, self._bytes(end, record.offset))
            except InputError:
                return "the blocks of the .gzi are not those of the file"
            if not is_base or not fits:
                return f"the title of {name} is not where the index says"
            end = record.offset + _bytes_before(record, record.rlen)
            # An empty chromosome has no last base.
            is_base = not record.rlen or bool(self._bytes(end - 1, end).strip())
        if not is_base:
            return "the file ends before the last chromosome of the index"
        if not end or self._bytes(end, end + _MAX_TITLE).strip(b"\r\n"):
            return "the file goes on after the last chromosome of the index"
        return None

    def _require_regular_lines(self, chrom: str) -> None:
        """Raise InputError unless the lines of a chromosome have the lengths that the index says; checked once."""
        if chrom in self._checked:
            return
        record = self._records[chrom]
        end = record.offset + _bytes_before(record, record.rlen)
        for first in range(record.offset, end, _SCAN_BYTES):
            last = min(first + _SCAN_BYTES, end)
            raw = np.frombuffer(self._bytes(first, last), dtype=np.uint8)
            lines = np.arange((first - record.offset) // record.lenb, (last - record.offset) // record.lenb + 1)
            breaks = ((record.offset + lines * record.lenb)[:, None] + np.arange(record.lenc, record.lenb)).ravel()
            breaks = breaks[(breaks >= first) & (breaks < last)] - first
            blank = np.flatnonzero(raw <= ord(" "))
            if len(raw) != last - first or not np.array_equal(blank, breaks) or (raw == ord(">")).any():
                raise InputError(
                    f"{self.path}: the lines of {chrom} do not all have {record.lenc:,} letters, or there are blanks between them, "
                    f"so {self.path.name} cannot be read by coordinates. {_REWRAP}"
                )
        self._checked.add(chrom)

    def _read_codes(self, chrom: str, start: int, end: int) -> Codes:
        record = self._records[chrom]
        first, last = (record.offset + _bytes_before(record, position) for position in (start, end))
        raw = np.frombuffer(self._bytes(first, last), dtype=np.uint8)
        return encode(raw[raw > ord(" ")].tobytes())

    def _bytes(self, first: int, last: int) -> bytes:
        """Read bytes `first` to `last` of the uncompressed FASTA."""
        if _version(self.path) != self._version:
            raise InputError(f"{self.path} changed since it was opened. Open it again.")
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


def _bytes_before(record: pyfaidx.IndexRecord, position: int) -> int:
    """Return how many bytes lie between the first base of a record and the end of the base before `position`."""
    return position + max(position - 1, 0) // record.lenc * (record.lenb - record.lenc) if position else 0


def _version(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written again: its number on the disk, size and time."""
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns
