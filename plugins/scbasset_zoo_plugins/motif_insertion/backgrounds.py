"""Background sequences: peaks drawn at random and shuffled, keeping dinucleotides."""

from __future__ import annotations

import numpy as np

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.sequences import Windows

MOST_N = 0.25


def shuffled_backgrounds(windows: Windows, n: int, seed: int, context: Context | None = None) -> dna.Codes:
    """Dinucleotide-shuffled sequences of peaks drawn at random, (n, length) codes.

    Parameters
    ----------
    windows : Windows
        The peaks; those with more than a quarter N are passed over. If there are fewer than n, some are drawn again.
    n, seed : int
    context : Context, optional
        Shows progress.

    Raises
    ------
    InputError
        No peak with known sequence.
    """
    rng = np.random.default_rng([seed, 0])
    found: list[dna.Codes] = []
    n_found, shown = 0, context or Context(None, True, {})
    with shown.progress("shuffling peaks", n) as advance:
        while n_found < n:
            before = n_found
            for position in rng.permutation(len(windows)):
                codes = windows.read(position, position + 1)
                if (codes == dna.N).mean() <= MOST_N:
                    found.append(dna.shuffle(codes[0], rng))
                    n_found += 1
                    advance(1)
                if n_found == n:
                    break
            if n_found == before:
                raise InputError(f"None of the {len(windows):,} peaks has known sequence: each is more than a quarter N.")
    return np.concatenate(found)
