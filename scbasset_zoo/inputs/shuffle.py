"""Shuffle a sequence and keep its count of every k-let."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import Codes


def shuffle(codes: Codes, rng: np.random.Generator, *, k: int = 2, n: int = 1) -> Codes:
    """Shuffle one sequence and keep its count of every k-let.

    Every sequence with the same counts is equally likely. The shuffled sequence is a random Eulerian path through the graph
    of (k-1)-lets (Altschul & Erickson, Mol. Biol. Evol. 1985): a random arborescence towards the last (k-1)-let gives the
    last exit of each vertex, and the other exits are shuffled. The arborescence comes from Wilson's loop-erased random walk
    (Jiang et al., BMC Bioinformatics 2008).

    Parameters
    ----------
    codes : int8 array of shape (length,)
    rng : numpy.random.Generator
    k : int
        Length of the k-lets whose counts are kept; 2 keeps dinucleotide counts, 1 is a plain permutation.
    n : int
        Number of shuffled copies.

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
    """Return the vertices of a random Eulerian path from `start` to `end`, without `start`."""
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
    """Return the last exit of each vertex but the root, in a random tree whose edges lead to the root."""
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
