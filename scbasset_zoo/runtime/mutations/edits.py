"""Edits of reference sequences: which bases are replaced, where, by what; checked, and written into sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import dna

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Edits:
    """Replacements of bases by as many others.

    Parameters
    ----------
    reference : int64 array of shape (edits,)
        Which sequence each edit is of.
    start : int64 array of shape (edits,)
        First replaced base.
    width : int64 array of shape (edits,)
        Number of replaced bases.
    bases : int8 codes of shape (edits, largest width)
        What stands there instead; codes beyond an edit's width mean nothing.
    """

    reference: Index
    start: Index
    width: Index
    bases: dna.Codes

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: slice | NDArray[Any]) -> Edits:
        """Some of the edits."""
        return Edits(self.reference[rows], self.start[rows], self.width[rows], self.bases[rows])

    def parts(self, size: int) -> Iterator[tuple[slice, Edits]]:
        """The edits, at most `size` at a time."""
        for first in range(0, len(self), size):
            part = slice(first, first + size)
            yield part, self.take(part)

    def windows(self, codes: dna.Codes, width: int) -> tuple[Index, dna.Codes, dna.Codes]:
        """Windows of `width` bases that hold the edits, which may be narrower.

        Returns
        -------
        int64 array of shape (edits,)
            First base of each window.
        int8 codes of shape (edits, width), twice
            The window before and after the edit.
        """
        start = np.minimum(self.start, codes.shape[1] - width)
        before = codes[self.reference[:, None], start[:, None] + np.arange(width)]
        column = np.arange(width) - (self.start - start)[:, None]
        edited = (column >= 0) & (column < self.width[:, None])
        after = np.take_along_axis(self.bases, column.clip(0, self.bases.shape[1] - 1), axis=1)
        return start, before, np.where(edited, after, before)

    def change_nothing(self, codes: dna.Codes) -> NDArray[np.bool_]:
        """Whether each edit leaves its reference as it is."""
        _, before, after = self.windows(codes, self.bases.shape[1])
        return (before == after).all(axis=1)

    def applied(self, codes: dna.Codes) -> dna.Codes:
        """The edited sequences, (edits, length) codes."""
        return self.windows(codes, codes.shape[1])[2]


def as_edits(codes: dna.Codes, starts: ArrayLike, bases: str | Sequence[str] | NDArray[Any], reference: ArrayLike) -> Edits:
    """Edits of sequences, checked.

    Parameters
    ----------
    codes : int8 codes of shape (n, length)
        The references.
    starts, reference : int, or integers (edits,)
        As in :class:`Edits`; one for all if a single number.
    bases : str, sequence of str, or integer codes (edits, width)
        One for all if a single one.

    Raises
    ------
    InputError
        Numbers of edits that disagree, an edit of no base, beyond the sequence, or of no reference.
    """
    new, width = _padded(bases)
    start, which = (_integers(name, values) for name, values in (("starts", starts), ("reference", reference)))
    counts = {"starts": len(start), "bases": len(new), "reference": len(which)}
    several = {count for count in counts.values() if count != 1}
    if len(several) > 1:
        found = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        raise InputError(f"Each edit needs a start, bases and a reference, or all share one; found {found}.")
    n_edits = several.pop() if several else 1
    start, which, width = (np.broadcast_to(values, n_edits) for values in (start, which, width))
    n_references, length = codes.shape
    _require(width > 0, lambda row: f"Edit {row} replaces no base.")
    _require(
        (start >= 0) & (start <= length - width),
        lambda row: f"Edit {row} replaces {width[row]:,} bases from {start[row]:,}; the sequences have {length:,} bp (from 0).",
    )
    _require(
        (which >= 0) & (which < n_references),
        lambda row: f"Edit {row} is of reference {which[row]:,}; there are {n_references:,} (from 0).",
    )
    return Edits(which, start, width, np.broadcast_to(new, (n_edits, new.shape[1])))


def _padded(bases: str | Sequence[str] | NDArray[Any]) -> tuple[dna.Codes, Index]:
    """Codes (edits, largest width), filled up with N, and the width of each."""
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
        raise InputError(f"{name} must be one integer, or one for each edit; found a nested {type(values).__name__}.") from error
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise InputError(f"{name} must be one integer, or one for each edit; found {array.dtype} of shape {array.shape}.")
    return array.astype(np.int64)


def _require(good: NDArray[np.bool_], message: Any) -> None:
    if not good.all():
        raise InputError(message(int(np.argmin(good))))
