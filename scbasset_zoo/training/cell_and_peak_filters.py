"""Chooses which cells and peaks of a matrix are kept, and records why the others are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.progress import progress, say
from scbasset_zoo.training.dataset import BEYOND_END, BLACKLISTED, NO_CHROMOSOME, REASONS, TOO_FEW_CELLS
from scbasset_zoo.wording import option

KEPT = -1
# In scATAC-seq data, a few in a hundred entries are above zero.
MANY_OPEN = 0.5


@dataclass(frozen=True)
class KeptCells:
    """The cells that are kept.

    Attributes
    ----------
    mask : bool array of shape (n_input_cells,)
    n_open_cells : int64 array of shape (n_input_peaks,)
        Number of kept cells that each peak is open in.
    left_out : dict
        Number of cells that are left out, by reason.
    """

    mask: NDArray[np.bool_]
    n_open_cells: NDArray[np.int64]
    left_out: dict[str, int]


def filter_cells(source: PeakMatrix, min_peaks_per_cell: int, *, quiet: bool) -> KeptCells:
    """Choose the cells with enough open peaks.

    Raises
    ------
    InputError
        A cell has no open peak and `min_peaks_per_cell` is 0, or no cell has enough.
    """
    all_cells, all_peaks = np.ones(source.n_cells, dtype=bool), np.ones(source.n_peaks, dtype=bool)
    n_open_peaks, n_open_cells = _count_open(source, all_cells, all_peaks, quiet)
    open_fraction = n_open_cells.sum() / max(1, source.n_cells * source.n_peaks)
    if open_fraction > MANY_OPEN:
        say(
            f"{source.where}: {open_fraction:.0%} of the entries are above 0, and each of them counts as open. Most counts of "
            "scATAC-seq are 0. If these values are smoothed, imputed or predicted, take the counts instead."
        )
    closed_cells = source.cells.index[n_open_peaks == 0]
    if len(closed_cells) and not min_peaks_per_cell:
        raise InputError(
            f"{source.where}: {len(closed_cells):,} of {source.n_cells:,} cells have no open peak, first "
            f"{', '.join(closed_cells[:3])}. Leave them out with {option('min_peaks_per_cell', 1)}."
        )
    mask = n_open_peaks >= min_peaks_per_cell
    if not mask.any():
        raise InputError(
            f"{source.where}: none of the {source.n_cells:,} cells has {min_peaks_per_cell:,} open peaks; the most is "
            f"{n_open_peaks.max():,}. Lower {option('min_peaks_per_cell')}."
        )
    if not mask.all():
        _, n_open_cells = _count_open(source, mask, all_peaks, quiet)
    n_left_out = int((~mask).sum())
    return KeptCells(mask, n_open_cells, {f"fewer than {min_peaks_per_cell:,} open peaks": n_left_out} if n_left_out else {})


def filter_peaks(
    source: PeakMatrix,
    cells: KeptCells,
    chromosome_sizes: dict[str, int],
    min_cell_fraction: float,
    is_blacklisted: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Choose the peaks that are open in enough cells, lie within the genome and are not blacklisted.

    Returns
    -------
    int64 array of shape (n_input_peaks,)
        Why each peak is left out, as a position in `dataset.REASONS`; -1 (KEPT) for a peak that is kept.
    """
    peaks = source.peaks
    reason = np.full(source.n_peaks, KEPT)
    # The tolerance is far below one cell: 7 is enough for 0.07 of 100 cells, which is 7.000000000000001 in floating point.
    reason[cells.n_open_cells < min_cell_fraction * cells.mask.sum() - 1e-6] = REASONS.index(TOO_FEW_CELLS)
    in_genome = peaks["chrom"].isin(list(chromosome_sizes)).to_numpy()
    reason[(reason == KEPT) & ~in_genome] = REASONS.index(NO_CHROMOSOME)
    chromosome_size = peaks["chrom"].map(chromosome_sizes).fillna(0).to_numpy()
    reason[(reason == KEPT) & (peaks["end"].to_numpy() > chromosome_size)] = REASONS.index(BEYOND_END)
    reason[(reason == KEPT) & is_blacklisted] = REASONS.index(BLACKLISTED)
    return reason


def leave_out_emptied_cells(source: PeakMatrix, cells: KeptCells, peaks: NDArray[np.bool_], *, quiet: bool) -> KeptCells:
    """Leave out the cells without an open peak among the kept `peaks`; the counts of these peaks stay the same."""
    emptied = cells.mask & (_count_open(source, cells.mask, peaks, quiet)[0] == 0)
    if not emptied.any():
        return cells
    return KeptCells(cells.mask & ~emptied, cells.n_open_cells, cells.left_out | {"no open peak left": int(emptied.sum())})


def _count_open(
    source: PeakMatrix, cells: NDArray[np.bool_], peaks: NDArray[np.bool_], quiet: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the open peaks of each cell and the open cells of each peak, among the masked cells and peaks."""
    n_open_peaks, n_open_cells = np.zeros(len(cells), dtype=np.int64), np.zeros(len(peaks), dtype=np.int64)
    with progress("counting open peaks", None, quiet=quiet) as advance:
        for cell, peak in source.open_entries():
            is_kept = cells[cell] & peaks[peak]
            n_open_peaks += np.bincount(cell[is_kept], minlength=len(cells))
            n_open_cells += np.bincount(peak[is_kept], minlength=len(peaks))
            advance(len(cell))
    return n_open_peaks, n_open_cells
