"""Writes the windows of all peaks of a prepared peak set to one file; `inputs.windows` says where a window lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.inputs.dna import N
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.progress import progress
from scbasset_zoo.training.npy_files import write_npy_header

WINDOWS_AT_ONCE = 20_000


def write_windows(
    path: Path,
    genome: Genome,
    chroms: NDArray[np.object_],
    starts: NDArray[np.int64],
    *,
    length: int,
    flank: int,
    max_n_fraction: float,
    quiet: bool,
) -> NDArray[np.float64]:
    """Write the sequences of windows with their flanks to an int8 .npy file; windows with too many N are left out.

    Parameters
    ----------
    path : Path
        The file to write.
    genome : Genome
    chroms, starts : arrays of shape (n,)
        Chromosome and first base of each window.
    length, flank : int
        Length of a window, and of the sequence stored on each side of it, in bp.
    max_n_fraction : float
        Windows with a larger fraction of N are left out.
    quiet : bool
        Show no progress.

    Returns
    -------
    float64 array of shape (n,)
        The fraction of N in each window, flanks apart.
    """
    n_fraction = np.zeros(len(chroms))
    width = length + 2 * flank
    with progress("reading windows", len(chroms), quiet=quiet) as advance, path.open("wb") as file:
        write_npy_header(file, "|i1", (0, width))
        for first in range(0, len(chroms), WINDOWS_AT_ONCE):
            block = slice(first, first + WINDOWS_AT_ONCE)
            codes = genome.windows(chroms[block], starts[block] - flank, width)
            n_fraction[block] = (codes[:, flank : flank + length] == N).mean(axis=1)
            file.write(codes[n_fraction[block] <= max_n_fraction].data)
            advance(len(codes))
        file.seek(0)
        write_npy_header(file, "|i1", (int((n_fraction <= max_n_fraction).sum()), width))
    return n_fraction
