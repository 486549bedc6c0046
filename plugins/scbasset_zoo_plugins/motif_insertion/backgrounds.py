"""Background sequences: peaks drawn at random and shuffled, with their dinucleotides kept."""

from __future__ import annotations

import numpy as np

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.sequences import Windows

MAX_N_FRACTION = 0.25


def shuffled_backgrounds(windows: Windows, n: int, seed: int) -> dna.Codes:
    """Draw peaks at random and shuffle their sequences, with the dinucleotides kept.

    Parameters
    ----------
    windows : Windows
        The peaks. Peaks with more than a quarter N are not used. If fewer than n are left, some are drawn more than once.
    n : int
        Number of background sequences.
    seed : int

    Returns
    -------
    int8 codes (n, length)

    Raises
    ------
    InputError
        Every peak has more than a quarter N.
    """
    rng = np.random.default_rng([seed, 0])
    backgrounds: list[dna.Codes] = []
    while len(backgrounds) < n:
        n_before = len(backgrounds)
        for position in rng.permutation(len(windows)):
            codes = windows.read(position, position + 1)
            if (codes == dna.N).mean() <= MAX_N_FRACTION:
                backgrounds.append(dna.shuffle(codes[0], rng))
            if len(backgrounds) == n:
                break
        if len(backgrounds) == n_before:
            raise InputError(
                f"All {len(windows):,} peaks have more than a quarter N. Give a FASTA that has the sequence of the peaks."
            )
    return np.concatenate(backgrounds)
