"""Edits of reference sequences: checks them and applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import dna

Index = NDArray[np.int64]

# Successive edits of a place are not cut apart, if each place has 3, or each has 4.
_NOT_CUT = 12


@dataclass(frozen=True)
class Edits:
    """Edits, each of which replaces bases of a reference by as many others.

    Parameters
    ----------
    reference : int64 array of shape (n_edits,)
        Position, among the references, of the sequence that each edit changes.
    start : int64 array of shape (n_edits,)
        First replaced base, counting from 0.
    width : int64 array of shape (n_edits,)
        Number of replaced bases.
    bases : int8 codes of shape (n_edits, largest width)
        New bases. Codes beyond the width of an edit are ignored.
    """

    reference: Index
    start: Index
    width: Index
    bases: dna.Codes

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: slice | NDArray[Any]) -> Edits:
        """Return some of the edits."""
        return Edits(self.reference[rows], self.start[rows], self.width[rows], self.bases[rows])

    def parts(self, size: int) -> Iterator[tuple[slice, Edits]]:
        """Yield the edits in parts of about the same size, at most `size` rounded up to a multiple of 12, each with its slice."""
        n_parts = max(1, -(-len(self) // size))
        step = max(1, -(-len(self) // (n_parts * _NOT_CUT))) * _NOT_CUT
        for first in range(0, len(self), step):
            yield slice(first, first + step), self.take(slice(first, first + step))

    def windows(self, codes: dna.Codes, width: int) -> tuple[Index, dna.Codes, dna.Codes]:
        """Return a window of `width` bases around each edit. Edits may be narrower than the window.

        Returns
        -------
        int64 array of shape (n_edits,)
            First base of each window.
        int8 codes of shape (n_edits, width)
            Bases of the window before the edit.
        int8 codes of shape (n_edits, width)
            Bases of the window after the edit.
        """
        start = np.minimum(self.start, codes.shape[1] - width)
        before = codes[self.reference[:, None], start[:, None] + np.arange(width)]
        column = np.arange(width) - (self.start - start)[:, None]
        edited = (column >= 0) & (column < self.width[:, None])
        after = np.take_along_axis(self.bases, column.clip(0, self.bases.shape[1] - 1), axis=1)
        return start, before, np.where(edited, after, before)

    def change_nothing(self, codes: dna.Codes) -> NDArray[np.bool_]:
        """Return True for each edit that leaves its reference as it is."""
        _, before, after = self.windows(codes, self.bases.shape[1])
        return (before == after).all(axis=1)

    def applied(self, codes: dna.Codes) -> dna.Codes:
        """Return the edited sequences, int8 codes (n_edits, length)."""
        return self.windows(codes, codes.shape[1])[2]


def as_edits(codes: dna.Codes, starts: ArrayLike, bases: str | Sequence[str] | NDArray[Any], reference: ArrayLike) -> Edits:
    """Return checked edits.

    Parameters
    ----------
    codes : int8 codes of shape (n, length)
        The references.
    starts, reference : int, or integers (n_edits,)
        As `start` and `reference` of :class:`Edits`. A single number is used for all edits.
    bases : str, sequence of str, or integer codes (n_edits, width)
        A single string, or a single row, is used for all edits.

    Raises
    ------
    InputError
        `starts`, `bases` and `reference` differ in length, an edit has no bases or reaches beyond its sequence, or a reference
        does not exist.
    """
    new_bases, width = _padded(bases)
    start, edited = (_integers(name, values) for name, values in (("starts", starts), ("reference", reference)))
    counts = {"starts": len(start), "bases": len(new_bases), "reference": len(edited)}
    several = {count for count in counts.values() if count != 1}
    if len(several) > 1:
        lengths = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        raise InputError(f"starts, bases and reference must have the same length, or a single value; found {lengths}.")
    n_edits = several.pop() if several else 1
    start, edited, width = (np.broadcast_to(values, n_edits) for values in (start, edited, width))
    n_references, length = codes.shape
    _require(width > 0, lambda row: f"Edit {row} replaces no base.")
    _require(
        (start >= 0) & (start <= length - width),
        lambda row: (
            f"Edit {row} replaces {width[row]:,} bases from {start[row]:,}; the sequences have {length:,} bp, counting from 0."
        ),
    )
    _require(
        (edited >= 0) & (edited < n_references),
        lambda row: f"Edit {row} is of reference {edited[row]:,}; there are {n_references:,}, counting from 0.",
    )
    return Edits(edited, start, width, np.broadcast_to(new_bases, (n_edits, new_bases.shape[1])))


def _padded(bases: str | Sequence[str] | NDArray[Any]) -> tuple[dna.Codes, Index]:
    """Return codes (n_edits, largest width), padded with N, and the width of each edit."""
    if isinstance(bases, str):
        bases = [bases]
    if isinstance(bases, np.ndarray) and bases.dtype.kind in "UO":
        bases = bases.tolist()
    if not isinstance(bases, np.ndarray) and all(isinstance(letters, str) for letters in bases):
        width = np.array([len(letters) for letters in bases], dtype=np.int64)
        padded = np.full((len(width), width.max(initial=1)), dna.N, np.int8)
        padded[np.arange(padded.shape[1]) < width[:, None]] = dna.encode("".join(bases))
        return padded, width
    codes = dna.as_codes(bases)
    width = np.full(len(codes), codes.shape[1], dtype=np.int64)
    return (codes if codes.shape[1] else np.empty((len(codes), 1), np.int8)), width


def _integers(name: str, values: ArrayLike) -> Index:
    try:
        array = np.atleast_1d(np.asarray(values))
    except ValueError as error:
        raise InputError(
            f"{name} must be one integer, or one integer for each edit; found a nested {type(values).__name__}."
        ) from error
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise InputError(f"{name} must be one integer, or one integer for each edit; found {array.dtype} of shape {array.shape}.")
    return array.astype(np.int64)


def _require(valid: NDArray[np.bool_], message: Callable[[int], str]) -> None:
    """Raise the message of the first edit that is not valid."""
    if not valid.all():
        raise InputError(message(int(np.argmin(valid))))
