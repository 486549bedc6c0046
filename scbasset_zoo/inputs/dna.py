"""DNA as numbers: codes, one-hot encoding and reverse complement.

A sequence is an array of codes, one byte a base: A is 0, C 1, G 2, T (and U of RNA) 3, and N (every other letter) 4.
The channels of a one-hot encoding are A, C, G, T; N is 0.25 in each channel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say

ALPHABET = "ACGT"
N = 4
Codes = NDArray[np.int8]

_ONE_HOT = np.vstack([np.eye(4, dtype=np.float32), np.full((1, 4), 0.25, dtype=np.float32)])
_FROM_ASCII = np.full(256, N, dtype=np.int8)
for _code, _base in enumerate(ALPHABET):
    _FROM_ASCII[ord(_base)] = _FROM_ASCII[ord(_base.lower())] = _code
# RNA.
_FROM_ASCII[ord("U")] = _FROM_ASCII[ord("u")] = ALPHABET.index("T")
_TO_ASCII = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.int8)


def encode(sequence: str | bytes) -> Codes:
    """Return the codes of a sequence. Lower case counts as upper case, U as T, and every other letter as N.

    A line tells the user about the first sequence that has a U.

    Parameters
    ----------
    sequence : str or bytes
        `length` letters.

    Returns
    -------
    int8 array of shape (length,)
    """
    raw = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    if b"U" in raw or b"u" in raw:
        _say_u_is_t()
    return _FROM_ASCII[np.frombuffer(raw, dtype=np.uint8)]


@functools.cache
def _say_u_is_t() -> None:
    say("a sequence has U, as RNA: U is read as T")


def decode(codes: Codes) -> str:
    """Return the letters of one sequence, given as codes of shape (length,)."""
    return _TO_ASCII[codes].tobytes().decode("ascii")


def one_hot(codes: Codes) -> NDArray[np.float32]:
    """Encode codes of shape (..., length) as float32 of shape (..., length, 4); channels A C G T, N is 0.25 in each."""
    return _ONE_HOT[codes]


def reverse_complement(codes: Codes) -> Codes:
    """Return the codes of the opposite strand, 5' to 3', along the last axis."""
    return _COMPLEMENT[codes][..., ::-1]


def as_codes(sequences: str | Sequence[str] | NDArray[Any], length: int | None = None) -> Codes:
    """Return the codes of sequences in any accepted form.

    Parameters
    ----------
    sequences : str, sequence of str, integer array (n, length), or array (n, length, 4)
        Strings, codes, or one-hot encodings (channels A C G T; N is 0.25 or 0 in each). A single sequence counts as n = 1.
    length : int, optional
        Length that every sequence must have, in bp.

    Returns
    -------
    int8 array of shape (n, length)

    Raises
    ------
    InputError
        The lengths differ or are wrong, a code lies outside 0..4, or a position is neither one-hot nor N.
    """
    if isinstance(sequences, str):
        sequences = [sequences]
    try:
        array = sequences if isinstance(sequences, np.ndarray) else np.asarray(list(sequences))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Sequences must be strings, codes or one-hot encodings of the same length; found a "
            f"{type(sequences).__name__} of other values."
        ) from error
    if array.shape == (0,):
        return np.empty((0, length or 0), dtype=np.int8)
    if array.dtype.kind in "UO" and array.ndim == 1 and all(isinstance(sequence, str) for sequence in array):
        expected_length = length if length is not None else len(array[0])
        for row, sequence in enumerate(array):
            if len(sequence) != expected_length:
                raise InputError(f"Sequence {row} has {len(sequence):,} bp; expected {expected_length:,} bp.")
        codes = encode("".join(array)).reshape(len(array), expected_length)
    else:
        codes = _from_one_hot(array) if array.dtype.kind == "f" or array.ndim == 3 else _checked_codes(array)
    if length is not None and codes.shape[1] != length:
        raise InputError(f"The sequences have {codes.shape[1]:,} bp; expected {length:,} bp.")
    return codes


def _checked_codes(array: NDArray[Any]) -> Codes:
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        raise InputError(
            f"Sequences must be strings, integer codes (n, length) or one-hot (n, length, 4); found an array of "
            f"{array.dtype} with shape {array.shape}."
        )
    array = np.atleast_2d(array)
    if array.size and (array.min() < 0 or array.max() > N):
        raise InputError(f"Sequence codes must lie in 0..4 (A C G T N); found {array.min()}..{array.max()}.")
    return array.astype(np.int8, copy=False)


def _from_one_hot(array: NDArray[Any]) -> Codes:
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[2] != 4:
        raise InputError(f"One-hot sequences must have shape (n, length, 4); found {array.shape}.")
    has_one = array.max(axis=2) == 1
    total = array.sum(axis=2)
    is_base = has_one & (total == 1)
    is_n = (array == array[..., :1]).all(axis=2) & ((total == 1) | (total == 0))
    wrong = ~(is_base | is_n)
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        raise InputError(
            f"Sequence {row}, position {position}: {array[row, position].tolist()} is neither one-hot nor N (0.25 in each channel)."
        )
    return np.where(is_base, array.argmax(axis=2), N).astype(np.int8)
