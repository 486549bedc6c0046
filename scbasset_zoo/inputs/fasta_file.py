"""Read the sequence of a genome from a FASTA file: plain, bgzip, or gzip, which is unpacked once."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import numpy as np
import pyfaidx

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import Codes, N, encode
from scbasset_zoo.inputs.fasta_index import build_index, compression_of, read_index
from scbasset_zoo.inputs.sequence_file import SequenceFile
from scbasset_zoo.inputs.unpacked_fasta import unpacked
from scbasset_zoo.progress import say

# pyfaidx makes the index but does not read the sequence: it takes 17 s for chr20 of a bgzip FASTA, whole blocks take 3 s.

_SCAN_BYTES = 1 << 23
_MAX_TITLE = 1 << 20
_REWRAP = "Give all its lines one length: `seqkit seq --line-width 60 IN.fa > OUT.fa`."
# The sample that shows the fraction of N: pieces of SAMPLE_BASES, evenly spread over each chromosome.
_SAMPLES, _SAMPLE_BASES = 50, 1_000


class FastaFile(SequenceFile):
    """A FASTA file.

    The index (`.fai`, and `.gzi` for bgzip) is written beside the file if it is missing, older than the file, or does not fit it.
    It only says where to look: titles, line lengths and the end of the file are compared with it at opening, and each chromosome is
    read through once before its first use.

    Attributes
    ----------
    index : str
        What became of the index at opening, in words.

    Raises
    ------
    InputError
        The file is missing, empty or not a FASTA; two chromosomes have the same name; the index is missing and cannot be written;
        the lines of a chromosome differ in length; or a gzip file is damaged or cannot be unpacked into the cache.
    """

    def __init__(self, path: Path) -> None:
        compression = compression_of(path)
        self.format = {"": "FASTA", "bgzip": "FASTA, bgzip", "gzip": "FASTA, gzip (unpacked once into the cache)"}[compression]
        super().__init__(unpacked(path) if compression == "gzip" else path)
        compressed = compression == "bgzip"
        self._records, self._blocks, was_made = read_index(self.path, compressed)
        self.index = "made now" if was_made else "fits the file"
        if problem := self._index_problem():
            say(f"the index of {self.path.name} does not fit it: {problem}")
            build_index(self.path)
            self._records, self._blocks, _ = read_index(self.path, compressed)
            self.index = f"did not fit the file ({problem}), and was made again"
            if problem := self._index_problem():
                raise InputError(f"{self.path} cannot be read by coordinates: {problem}. {_REWRAP}")
        self._checked: set[str] = set()
        self.chromosome_sizes = {name: record.rlen for name, record in self._records.items()}

    def read(self, chrom: str, start: int, end: int) -> Codes:
        """Return the codes of a chromosome from `start` to `end`.

        Raises
        ------
        InputError
            The file changed since it was opened, or the lines of the chromosome differ in length.
        """
        self._require_regular_lines(chrom)
        return self._read_codes(chrom, start, end)

    def sampled_n_fraction(self, chroms: list[str]) -> float:
        """Return the fraction of N in chromosomes, from pieces that are evenly spread over each."""
        n_bases = n_unknown = 0.0
        for chrom in chroms:
            size = self.chromosome_sizes[chrom]
            step = max(_SAMPLE_BASES, size // _SAMPLES)
            starts = range((step - _SAMPLE_BASES) // 2, size, step)
            pieces = [self._read_codes(chrom, start, min(start + _SAMPLE_BASES, size)) for start in starts]
            n_bases += size
            n_unknown += size * float((np.concatenate(pieces) == N).mean()) if pieces else 0
        return n_unknown / max(1, n_bases)

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
            if self._line_problem(name):
                return f"the first line of {name} does not have the length that the index says"
            end = record.offset + _bytes_before(record, record.rlen)
            # An empty chromosome has no last base.
            is_base = not record.rlen or bool(self._bytes(end - 1, end).strip())
        if not is_base:
            return "the file ends before the last chromosome of the index"
        if not end or self._bytes(end, end + _MAX_TITLE).strip(b"\r\n"):
            return "the file goes on after the last chromosome of the index"
        return None

    def _line_problem(self, name: str) -> bool:
        """Whether the first line of a chromosome, if it has several, has another length than the index says."""
        record = self._records[name]
        if record.rlen <= record.lenc:
            return False
        line = self._bytes(record.offset, record.offset + record.lenb)
        letters, line_break = line[: record.lenc], line[record.lenc :]
        return len(b"".join(letters.split())) != record.lenc or bool(line_break.strip())

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
        self.require_unchanged()
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
            if size >= 0 and len(text) != starts[end_block] - starts[block]:
                raise InputError(
                    f"{self.path} does not match its index: its blocks have other lengths. Delete {self.path.name}.gzi and .fai."
                )
        return text[first - int(starts[block]) : last - int(starts[block])]


def _bytes_before(record: pyfaidx.IndexRecord, position: int) -> int:
    """Return how many bytes lie between the first base of a record and the end of the base before `position`."""
    return position + max(position - 1, 0) // record.lenc * (record.lenb - record.lenc) if position else 0
