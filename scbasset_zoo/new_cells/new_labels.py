"""The peaks and open entries that new cells are fitted to: filtered as `prepare` does, embedded by the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.blacklist import in_blacklist, read_blacklist
from scbasset_zoo.inputs.dna import N
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.inputs.windows import window_starts
from scbasset_zoo.new_cells.embed_options import EmbedCellsOptions
from scbasset_zoo.progress import progress
from scbasset_zoo.training.cell_and_peak_filters import KEPT, filter_cells, filter_peaks
from scbasset_zoo.training.dataset import REASONS, TOO_MANY_N, left_out_table

if TYPE_CHECKING:
    from scbasset_zoo.inputs.genome import Genome
    from scbasset_zoo.runtime.model import Model

_PEAKS_AT_ONCE = 1024


@dataclass(frozen=True)
class NewLabels:
    """What new cells are fitted to.

    Attributes
    ----------
    cells : DataFrame of n_cells rows
        The kept cells, indexed by barcode.
    peak_embedding : float32 array of shape (n_peaks, embedding_size)
        Of the kept peaks.
    is_open : csr_matrix of shape (n_cells, n_peaks)
        Stored entries are open.
    n_input_peaks : int
    chromosome_names : dict of str to str
        Names in the genome of chromosomes that the matrix names otherwise.
    """

    cells: pd.DataFrame
    peak_embedding: NDArray[np.float32]
    is_open: sparse.csr_matrix
    n_input_peaks: int
    chromosome_names: dict[str, str]


def read_new_labels(model: Model, source: PeakMatrix, genome: Genome, options: EmbedCellsOptions, *, quiet: bool) -> NewLabels:
    """Filter the cells and peaks of a matrix, embed the peaks and read the open entries.

    Raises
    ------
    InputError
        No cell or no peak is left; the message has a table of the peaks and why they were left out.
    """
    chroms = source.peaks["chrom"].unique()
    if not pd.Series(chroms).isin(list(genome.sizes_by_name)).any():
        genome.require(chroms)
    chromosome_names = genome.say_renamed(chroms)
    # A new cell without an open peak is an error of prepare, which advises the same option.
    cells = filter_cells(source, options.min_peaks_per_cell, quiet=quiet)
    blacklist = read_blacklist(options.blacklist, lambda names: genome.same_as(names, chroms))
    is_blacklisted = in_blacklist(source.peaks, blacklist)
    reason = filter_peaks(source, cells, genome.sizes_by_name, options.min_cell_fraction, is_blacklisted)
    candidates = np.flatnonzero(reason == KEPT)
    embedding, has_few_n = _embed(model, genome, source.peaks.iloc[candidates], options.max_n_fraction, quiet=quiet)
    reason[candidates[~has_few_n]] = REASONS.index(TOO_MANY_N)
    kept = candidates[has_few_n]
    if len(kept) < 2:
        chrom = source.peaks["chrom"]
        left_out = {name: chrom[reason == number].value_counts(sort=False).to_dict() for number, name in enumerate(REASONS)}
        raise InputError(
            f"{len(kept)} of the {source.n_peaks:,} peaks of {source.where} are left, and cells cannot be fitted to them.\n"
            f"{left_out_table(left_out)}"
        )
    is_open = _open_entries(source, np.flatnonzero(cells.mask), kept)
    return NewLabels(source.cells[cells.mask], embedding, is_open, source.n_peaks, chromosome_names)


def _embed(
    model: Model, genome: Genome, peaks: pd.DataFrame, max_n_fraction: float, *, quiet: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the embeddings of the peaks without too many N, and which peaks these are."""
    length = model.sequence_length
    chroms, starts = peaks["chrom"].to_numpy(), window_starts(peaks, length)
    embedding = np.empty((len(peaks), model.cell_embedding.shape[1]), dtype=np.float32)
    kept = np.zeros(len(peaks), dtype=bool)
    n_kept = 0
    with progress("embedding peaks", len(peaks), quiet=quiet) as advance:
        for first in range(0, len(peaks), _PEAKS_AT_ONCE):
            part = slice(first, first + _PEAKS_AT_ONCE)
            codes = genome.windows(chroms[part], starts[part], length)
            kept[part] = (codes == N).mean(axis=1) <= max_n_fraction
            embedded = model.embed(codes[kept[part]])
            embedding[n_kept : n_kept + len(embedded)] = embedded
            n_kept += len(embedded)
            advance(len(codes))
    return embedding[:n_kept], kept


def _open_entries(source: PeakMatrix, cells: NDArray[np.intp], peaks: NDArray[np.intp]) -> sparse.csr_matrix:
    """Return the open entries of the kept cells and peaks."""
    cell_number = np.full(source.n_cells, -1, dtype=np.int32)
    cell_number[cells] = np.arange(len(cells))
    peak_number = np.full(source.n_peaks, -1, dtype=np.int32)
    peak_number[peaks] = np.arange(len(peaks))
    parts = []
    for source_cell, source_peak in source.open_entries():
        cell, peak = cell_number[source_cell], peak_number[source_peak]
        is_kept = (cell >= 0) & (peak >= 0)
        parts.append((cell[is_kept], peak[is_kept]))
    cell, peak = (np.concatenate(values) for values in zip(*parts, strict=True)) if parts else (np.empty(0, int), np.empty(0, int))
    parts.clear()
    is_open = sparse.coo_matrix((np.ones(len(cell), dtype=np.int8), (cell, peak)), shape=(len(cells), len(peaks))).tocsr()
    is_open.sort_indices()
    return is_open
