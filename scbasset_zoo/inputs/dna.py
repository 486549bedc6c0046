"""DNA as numbers: the alphabet, one-hot encoding, reverse complement, and a shuffle that preserves k-lets.

A sequence is held as codes, one byte a base: A 0, C 1, G 2, T 3, and N (any other letter) 4.
One-hot rows are in the order A C G T; N is 0.25 in each channel, always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError

ALPHABET = "ACGT"
N = 4
Codes = NDArray[np.int8]

_ONE_HOT = np.vstack([np.eye(4, dtype=np.float32), np.full((1, 4), 0.25, dtype=np.float32)])
_FROM_ASCII = np.full(256, N, dtype=np.int8)
for _code, _base in enumerate(ALPHABET):
    _FROM_ASCII[ord(_base)] = _FROM_ASCII[ord(_base.lower())] = _code
_TO_ASCII = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.int8)


def encode(sequence: str | bytes) -> Codes:
    """Codes of a sequence; lower case counts as upper, every letter but A, C, G and T as N.

    Parameters
    ----------
    sequence : str or bytes
        `length` letters.

    Returns
    -------
    int8 array of shape (length,)
    """
    raw = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    return _FROM_ASCII[np.frombuffer(raw, dtype=np.uint8)]


def decode(codes: Codes) -> str:
    """Letters of one sequence of codes, shape (length,)."""
    return _TO_ASCII[codes].tobytes().decode("ascii")


def one_hot(codes: Codes) -> NDArray[np.float32]:
    """One-hot encoding: (..., length) codes to (..., length, 4) float32, channels A C G T, N as 0.25 in each."""
    return _ONE_HOT[codes]


def reverse_complement(codes: Codes) -> Codes:
    """Codes of the opposite strand, read 5' to 3'; works on the last axis."""
    return _COMPLEMENT[codes][..., ::-1]


def as_codes(sequences: str | Sequence[str] | NDArray[Any], length: int | None = None) -> Codes:
    """Codes of sequences in any accepted form.

    Parameters
    ----------
    sequences : str, sequence of str, integer array (n, length), or array (n, length, 4)
        Strings, int8 codes, or one-hot rows (channels A C G T; N as 0.25 or 0 in each). One sequence alone counts as n = 1.
    length : int, optional
        The length that every sequence must have, in bp.

    Returns
    -------
    int8 array of shape (n, length)

    Raises
    ------
    InputError
        Unequal or wrong lengths, codes outside 0..4, or rows that are neither one-hot nor N.
    """
    if isinstance(sequences, str):
        sequences = [sequences]
    try:
        array = sequences if isinstance(sequences, np.ndarray) else np.asarray(list(sequences))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Sequences must be strings, codes or one-hot rows, all of one length; found a {type(sequences).__name__} that is not."
        ) from error
    if array.shape == (0,):
        return np.empty((0, length or 0), dtype=np.int8)
    if array.dtype.kind in "UO" and array.ndim == 1 and all(isinstance(sequence, str) for sequence in array):
        wanted = length if length is not None else len(array[0])
        for row, sequence in enumerate(array):
            if len(sequence) != wanted:
                raise InputError(f"Sequence {row} has {len(sequence):,} bp; expected {wanted:,} bp.")
        codes = encode("".join(array)).reshape(len(array), wanted)
    else:
        codes = _from_one_hot(array) if array.dtype.kind == "f" or array.ndim == 3 else _checked_codes(array)
    if length is not None and codes.shape[1] != length:
        raise InputError(f"The sequences have {codes.shape[1]:,} bp; expected {length:,} bp.")
    return codes


def shuffle(codes: Codes, rng: np.random.Generator, *, k: int = 2, n: int = 1) -> Codes:
    """Shuffle one sequence, keeping its count of every k-let.

    A random Eulerian path through the graph of (k-1)-lets: a random arborescence towards the last (k-1)-let fixes
    each vertex's last exit, all other exits are shuffled (Altschul & Erickson, Mol. Biol. Evol. 1985; the arborescence
    by Wilson's loop-erased random walk, as in Jiang et al., BMC Bioinformatics 2008). All such sequences are equally likely.

    Parameters
    ----------
    codes : int8 array of shape (length,)
    rng : numpy.random.Generator
    k : int
        Length of the k-lets whose counts are kept; 2 keeps dinucleotides, 1 is a plain permutation.
    n : int
        How many shuffled copies.

    Returns
    -------
    int8 array of shape (n, length)
    """
    codes = np.asarray(codes, dtype=np.int8)
    if k < 1 or n < 1:
        raise InputError(f"k and n must be 1 or more; found k = {k}, n = {n}.")
    if k == 1 or len(codes) <= k:
        return np.stack([rng.permutation(codes) if k == 1 else codes for _ in range(n)])
    words = np.lib.stride_tricks.sliding_window_view(codes, k - 1)
    _, first, vertex = np.unique(words, axis=0, return_index=True, return_inverse=True)
    vertex = vertex.reshape(-1)
    letter = words[first, -1]
    exits = [vertex[1:][vertex[:-1] == v] for v in range(len(first))]
    shuffled = np.empty((n, len(codes)), dtype=np.int8)
    shuffled[:, : k - 1] = words[0]
    for copy in range(n):
        path = _eulerian_path(exits, int(vertex[0]), int(vertex[-1]), rng)
        shuffled[copy, k - 1 :] = letter[path]
    return shuffled


def _eulerian_path(exits: list[NDArray[np.intp]], start: int, end: int, rng: np.random.Generator) -> list[int]:
    last_exit = _arborescence(exits, end, rng)
    order: list[list[int]] = []
    for v, choices in enumerate(exits):
        remaining = choices.tolist()
        if v in last_exit:
            remaining.remove(last_exit[v])
        order.append([*rng.permutation(np.array(remaining, dtype=np.intp)).tolist(), *([last_exit[v]] if v in last_exit else [])])
    path, used, v = [], [0] * len(exits), start
    for _ in range(sum(len(choices) for choices in exits)):
        v_next = order[v][used[v]]
        used[v] += 1
        path.append(v_next)
        v = v_next
    return path


def _arborescence(exits: list[NDArray[np.intp]], root: int, rng: np.random.Generator) -> dict[int, int]:
    in_tree = {root}
    last_exit: dict[int, int] = {}
    for v in range(len(exits)):
        walker = v
        while walker not in in_tree:
            last_exit[walker] = int(exits[walker][rng.integers(len(exits[walker]))])
            walker = last_exit[walker]
        walker = v
        while walker not in in_tree:
            in_tree.add(walker)
            walker = last_exit[walker]
    last_exit.pop(root, None)
    return last_exit


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
    known = array.max(axis=2) == 1
    total = array.sum(axis=2)
    is_base = known & (total == 1)
    is_n = (array == array[..., :1]).all(axis=2) & ((total == 1) | (total == 0))
    wrong = ~(is_base | is_n)
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        raise InputError(
            f"Sequence {row}, position {position}: {array[row, position].tolist()} is neither one-hot nor N (0.25 in each channel)."
        )
    return np.where(is_base, array.argmax(axis=2), N).astype(np.int8)
