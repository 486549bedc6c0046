"""Read the sequence of a genome from UCSC's .2bit format."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import Codes, N, encode
from scbasset_zoo.inputs.sequence_file import SequenceFile

# py2bit does not serve here: it ends the whole process at a damaged file. The tests compare with it.

# https://genome.ucsc.edu/FAQ/FAQformat.html#format7
_SIGNATURE = 0x1A412743
_HEADER = 16
# The four bases of each byte; the first is in the highest bits.
_BASES = encode("TCAG")[np.arange(256)[:, None] >> np.array([6, 4, 2, 0]) & 3]


class _Record(NamedTuple):
    """A chromosome: its length, the file position of its bases, and its runs of N (first base, and base after the last)."""

    size: int
    position: int
    n_starts: NDArray[np.int64]
    n_ends: NDArray[np.int64]


def is_twobit(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a .2bit file."""
    return len(start) >= 4 and _SIGNATURE in struct.unpack("<I", start[:4]) + struct.unpack(">I", start[:4])


class TwoBitFile(SequenceFile):
    """A .2bit file, of 32-bit or 64-bit positions and either byte order. Lower case (masked repeats) counts as upper case.

    Raises
    ------
    InputError
        The file is damaged or was cut short, or two chromosomes have the same name.
    """

    format = "2bit"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            with path.open("rb") as file:
                self._records = _Index(file, os.fstat(file.fileno()).st_size).records()
        except OSError as error:
            raise InputError(f"The genome {path} cannot be read: {error.strerror}.") from error
        except _Damage as damage:
            raise InputError(f"{path} is damaged or was cut short: {damage}. Fetch the file again.") from None
        self.chromosome_sizes = {name: record.size for name, record in self._records.items()}

    def read(self, chrom: str, start: int, end: int) -> Codes:
        self.require_unchanged()
        record = self._records[chrom]
        first, last = start // 4, (end + 3) // 4
        with self.path.open("rb") as file:
            file.seek(record.position + first)
            packed = np.frombuffer(file.read(last - first), dtype=np.uint8)
        if len(packed) != last - first:
            raise InputError(f"{self.path} changed since it was opened. Open it again.")
        codes = _BASES[packed].reshape(-1)[start - 4 * first : end - 4 * first]
        # Runs of N are in order and do not overlap.
        runs = slice(np.searchsorted(record.n_ends, start, side="right"), np.searchsorted(record.n_starts, end, side="left"))
        for n_start, n_end in zip(record.n_starts[runs], record.n_ends[runs], strict=True):
            codes[max(n_start - start, 0) : n_end - start] = N
        return codes

    def sampled_n_fraction(self, chroms: list[str]) -> float:
        """Return the fraction of N in chromosomes; it is exact."""
        records = [self._records[chrom] for chrom in chroms]
        n_bases = sum(int((record.n_ends - record.n_starts).sum()) for record in records)
        return n_bases / max(1, sum(record.size for record in records))


class _Damage(Exception):
    """What is wrong with a file."""


class _Index:
    """Reads the places of all chromosomes, and checks that they lie within the file."""

    def __init__(self, file: BinaryIO, n_bytes: int) -> None:
        self._file, self._n_bytes = file, n_bytes
        # No two chromosomes share bytes, so all that is read is no more than the file.
        self._budget = n_bytes

    def records(self) -> dict[str, _Record]:
        header = self._bytes(0, _HEADER)
        self._order = "<" if struct.unpack("<I", header[:4])[0] == _SIGNATURE else ">"
        _, version, n_chromosomes, _ = self._numbers(header).tolist()
        if version not in (0, 1):
            raise _Damage(f"its version is {version:,}, and there are only 0 and 1")
        if not n_chromosomes:
            raise _Damage("it has no chromosomes")
        place = struct.Struct(f"{self._order}{'Q' if version else 'I'}")
        records: dict[str, _Record] = {}
        at = _HEADER
        for _ in range(n_chromosomes):
            length = self._bytes(at, 1)[0]
            entry = self._bytes(at + 1, length + place.size)
            at += 1 + len(entry)
            try:
                name = entry[:length].decode()
            except UnicodeDecodeError:
                raise _Damage(f"the name of a chromosome is {entry[:length]!r}") from None
            if not name or name in records:
                raise _Damage(f"two chromosomes are named {name}" if name else "a chromosome has no name")
            records[name] = self._record(name, place.unpack(entry[length:])[0])
        return records

    def _record(self, name: str, at: int) -> _Record:
        size, n_runs = self._numbers(self._bytes(at, 8)).tolist()
        starts, lengths = self._numbers(self._bytes(at + 8, 8 * n_runs)).reshape(2, n_runs)
        ends = starts + lengths
        if (starts[1:] < ends[:-1]).any() or (n_runs and ends[-1] > size):
            raise _Damage(f"the runs of N of {name} overlap, or lie beyond its end")
        at += 8 + 8 * n_runs
        n_masked = int(self._numbers(self._bytes(at, 4))[0])
        at += 4 + 8 * n_masked + 4
        if at + (size + 3) // 4 > self._n_bytes:
            raise _Damage(f"the sequence of {name} lies beyond its end")
        return _Record(size, at, starts, ends)

    def _bytes(self, at: int, size: int) -> bytes:
        self._budget -= size
        if at + size > self._n_bytes or self._budget < 0:
            raise _Damage("it ends before its index does" if self._budget >= 0 else "chromosomes share places")
        self._file.seek(at)
        return self._file.read(size)

    def _numbers(self, raw: bytes) -> NDArray[np.int64]:
        return np.frombuffer(raw, dtype=f"{self._order}u4").astype(np.int64)
