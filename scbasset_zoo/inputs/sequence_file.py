"""A file with the sequence of a genome, as `Genome` reads it; each format is a class of its own module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import Codes


class SequenceFile(ABC):
    """A file that is read by coordinates. Every read opens it again, so many threads can share it, and it can be pickled.

    Attributes
    ----------
    path : Path
    format : str
        The format in words, such as "2bit".
    chromosome_sizes : dict of str to int
        Length of each chromosome in bp, in the file's order.
    """

    format: str
    chromosome_sizes: dict[str, int]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version = _version(path)

    @abstractmethod
    def read(self, chrom: str, start: int, end: int) -> Codes:
        """Return the codes of a chromosome of the file from `start` to `end`, which lie within it."""

    @abstractmethod
    def sampled_n_fraction(self, chroms: list[str]) -> float:
        """Return the fraction of N in chromosomes, from a sample where counting all of them takes long."""

    def require_unchanged(self) -> None:
        """Raise InputError if the file was written again since it was opened."""
        if _version(self.path) != self._version:
            raise InputError(f"{self.path} changed since it was opened. Open it again.")


def _version(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written again: its number on the disk, size and time."""
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns
