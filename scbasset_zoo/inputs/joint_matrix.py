"""Join the cells x peaks of several samples into one: the same peaks, cells named sample#barcode."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.joined_tables import stacked
from scbasset_zoo.inputs.matrix_entries import Entries
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.inputs.peaks import peak_names
from scbasset_zoo.inputs.samples import with_sample
from scbasset_zoo.progress import say

SAMPLE = "sample"
_SHOWN = 3


def join_matrices(matrices: Sequence[PeakMatrix], samples: Sequence[str]) -> PeakMatrix:
    """Join matrices that have the same peaks, in any order. Their values stay where they are, and are read one after the other.

    Parameters
    ----------
    matrices : sequence of PeakMatrix
    samples : sequence of str
        A name for each of them. Cells are called ``sample#barcode``, as in ArchR, and have the column "sample".

    Returns
    -------
    PeakMatrix
        The peaks of the first, with those of its columns that all have. The cells of all, with the columns of all.

    Raises
    ------
    InputError
        A matrix has other peaks than the first one.
    """
    first = matrices[0]
    places = [_places(first, other) for other in matrices]
    cells, barcodes = [], []
    for matrix, sample in zip(matrices, samples, strict=True):
        table = matrix.cells
        if SAMPLE in table:
            say(f"{matrix.where}: the column {SAMPLE!r} of .obs is replaced by the name of the sample, {sample!r}.")
            table = table.drop(columns=SAMPLE)
        table = table.copy()
        table.insert(0, SAMPLE, sample)
        cells.append(table)
        barcodes.append(with_sample(sample, table.index))
    index = barcodes[0].append(barcodes[1:])
    shared = [name for name in first.peaks.columns if all(name in other.peaks for other in matrices)]
    columns = first.peaks.index.to_numpy()
    parts = tuple(
        dataclasses.replace(matrix, origin=matrix.origin | {SAMPLE: sample})
        for matrix, sample in zip(matrices, samples, strict=True)
    )

    def read() -> Iterator[Entries]:
        before = 0
        for matrix, place in zip(matrices, places, strict=True):
            for cell, peak in matrix.open_entries():
                yield cell.astype(np.int64) + before, columns[place[peak]], np.ones(len(cell), dtype=np.int8)
            before += matrix.n_cells

    return PeakMatrix(
        first.where if len(matrices) == 1 else _name([matrix.where for matrix in matrices]),
        stacked(cells, index),
        first.peaks[shared],
        [file for matrix in matrices for file in matrix.files],
        read,
        int(columns.max()) + 1,
        origin=parts[0].origin if len(parts) == 1 else {},
        parts=parts,
    )


def _name(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _places(first: PeakMatrix, other: PeakMatrix) -> NDArray[np.intp]:
    """Return the position of each peak of a matrix among those of the first one."""
    expected, found = (pd.MultiIndex.from_frame(matrix.peaks[["chrom", "start", "end"]]) for matrix in (first, other))
    places: NDArray[np.intp] = expected.get_indexer(found)
    lacking = ~np.isin(np.arange(len(expected)), places)
    if (places < 0).any() or lacking.any():
        differences = [
            f"{int(is_own.sum()):,} of the {own.n_peaks:,} peaks of {own.where} are not in {their.where}, first "
            f"{', '.join(peak_names(own.peaks[is_own])[:_SHOWN])}"
            for own, their, is_own in ((first, other, lacking), (other, first, places < 0))
            if is_own.any()
        ]
        raise InputError(
            f"The matrices have different peaks: {'; '.join(differences)}. All samples need the counts of one set of peaks: merge "
            "their peaks with `scbasset-zoo merge-peaks`, and count the fragments of each sample in them with `scbasset-zoo count`."
        )
    return places
