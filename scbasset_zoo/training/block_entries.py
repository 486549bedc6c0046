"""Puts the open entries of a batch in the order of blocks of cells, and those of drawn cells apart from the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.training.dataset import PreparedPeaks

Numbers = NDArray[np.int32]


def in_blocks(peak: Numbers, cell: Numbers, n_cells: int, block: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return the entries block after block, and where each block ends.

    Parameters
    ----------
    peak, cell : int32 arrays of shape (n_open,)
    n_cells : int
    block : int
        Number of cells in a block.

    Returns
    -------
    peak, cell : int32 arrays of shape (n_open,)
        Within a block, the order is that of the input.
    ends : int32 array of shape (n_blocks + 1,)
        The entries of block b are ``ends[b]`` to ``ends[b + 1]``.
    """
    n_blocks = -(-n_cells // block)
    number = cell // np.int32(block)
    if n_blocks == 1:
        return peak, cell, np.array([0, len(cell)], dtype=np.int32)
    # NumPy sorts 16 bits by counting.
    order = np.argsort(number.astype(np.int16) if n_blocks < 2**15 else number, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=n_blocks))]).astype(np.int32)
    return peak[order], cell[order], ends


class DrawnCells:
    """Draws the cells of each step, without replacement and each set equally likely; a draw depends on seed, epoch and step alone.

    Parameters
    ----------
    prepared : PreparedPeaks
    n_drawn : int
        Number of cells in a step.
    seed : int
    """

    # Apart from the order of peaks, which is drawn by (seed, epoch).
    _STREAM = 0xCE11

    def __init__(self, prepared: PreparedPeaks, n_drawn: int, seed: int):
        self.prepared, self.n_drawn, self.seed = prepared, n_drawn, seed
        self._place = np.full(prepared.n_cells, -1, dtype=np.int32)

    def draw(self, epoch: int, step: int) -> Numbers:
        """Return the cells of a step, ascending."""
        rng = np.random.default_rng([self._STREAM, self.seed, epoch, step])
        drawn = rng.choice(len(self._place), self.n_drawn, replace=False, shuffle=False)
        return np.sort(drawn).astype(np.int32)

    def entries(self, rows: NDArray[np.intp], drawn: Numbers) -> tuple[Numbers, Numbers]:
        """Return peak (its number in `rows`) and cell (its number in `drawn`) of the open entries of drawn cells."""
        self._place[drawn] = np.arange(len(drawn), dtype=np.int32)
        indptr, indices = self.prepared.indptr, self.prepared.indices
        # Peak by peak, because the entries of all cells of a batch would take much memory.
        places = [self._place[indices[indptr[row] : indptr[row + 1]]] for row in rows]
        places = [place[place >= 0] for place in places]
        self._place[drawn] = -1
        peak = np.repeat(np.arange(len(rows), dtype=np.int32), [len(place) for place in places])
        return peak, np.concatenate(places) if places else np.zeros(0, np.int32)
