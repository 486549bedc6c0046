"""The files of a prepared peak set: checked against their manifest, so that data that changed on disk is not trained on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import progress
from scbasset_zoo.training.splits import NEEDED_SPLITS
from scbasset_zoo.validation import field_problems

PREPARE_AGAIN = "Prepare the peaks again."
ARRAYS = {"sequences.npy": np.dtype(np.int8), "indptr.npy": np.dtype(np.int64), "indices.npy": np.dtype(np.int32)}
FILES = (*ARRAYS, "cells.parquet", "peaks.parquet")
_BYTES_AT_ONCE = 1 << 24

Count = Annotated[int, Field(ge=0, strict=True)]
Stamps = dict[str, tuple[int, int, int]]


class _File(BaseModel):
    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Source(BaseModel):
    name: str
    files: dict[str, dict[str, int | str]] = {}


class _Sources(BaseModel):
    matrix: _Source
    fasta: _Source


class _Parameters(BaseModel):
    split: str
    split_column: str | None
    test_chroms: list[str]
    seed: int


class _OverlappingPeaks(BaseModel):
    all: Count = 0
    across_splits: Count = 0


class _Manifest(BaseModel):
    """The fields of manifest.json that later steps read."""

    assembly: str
    chromosome_sizes: dict[str, Count]
    chromosome_names: dict[str, str] = {}
    sources: _Sources
    parameters: _Parameters
    n_cells: Annotated[Count, Field(ge=1)]
    n_peaks: Annotated[Count, Field(ge=1)]
    n_input_peaks: Count
    n_empty_cells: Count
    nnz: Count
    sequence_length: Annotated[Count, Field(ge=1)]
    flank: Count
    splits: dict[str, Count]
    left_out: dict[str, dict[str, Any]]
    # Peak sets of earlier versions do not have it.
    overlapping_peaks: _OverlappingPeaks = _OverlappingPeaks()
    files: dict[str, _File]


def check_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise an InputError that lists all fields of the manifest that are missing or wrong."""
    try:
        checked = _Manifest.model_validate(manifest)
    except ValidationError as error:
        problems = "\n  ".join([f"{folder / 'manifest.json'} is damaged:", *field_problems(error)])
        raise InputError(f"{problems}\n{PREPARE_AGAIN}") from None
    for name in FILES:
        if name not in checked.files:
            raise InputError(f"{folder / 'manifest.json'} does not list {name}. {PREPARE_AGAIN}")


def check_sizes(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise an InputError for a file that is missing or has another size than the manifest says."""
    for name in FILES:
        expected, file = manifest["files"][name]["bytes"], folder / name
        if not file.is_file():
            raise InputError(f"{folder} lacks {name}. {PREPARE_AGAIN}")
        if file.stat().st_size != expected:
            raise InputError(f"{file} has {file.stat().st_size:,} bytes, its manifest says {expected:,}. {PREPARE_AGAIN}")


def check_digests(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise an InputError for a file whose content is not the one that was prepared."""
    total = sum(manifest["files"][name]["bytes"] for name in FILES)
    with progress("checking the prepared peaks", total) as advance:
        for name in FILES:
            digest = hashlib.sha256()
            with readable(str(folder / name)), open(folder / name, "rb") as file:
                while piece := file.read(_BYTES_AT_ONCE):
                    digest.update(piece)
                    advance(len(piece))
            if digest.hexdigest() != manifest["files"][name]["sha256"]:
                raise InputError(
                    f"{folder / name} was changed or damaged after it was prepared: its SHA-256 is not the one in manifest.json. "
                    f"{PREPARE_AGAIN}"
                )


def open_array(file: Path) -> NDArray[Any]:
    """Open an array of a prepared peak set as a memory map; raise an InputError if its type or order of axes is another.

    Returns
    -------
    array
        A plain array over the mapped file, because indexing np.memmap is slow for the many small reads of training.
    """
    with readable(str(file)):
        array = np.load(file, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    if array.dtype != ARRAYS[file.name]:
        raise InputError(f"{file} has values of type {array.dtype}; expected {ARRAYS[file.name]}. {PREPARE_AGAIN}")
    if not array.flags.c_contiguous:
        raise InputError(f"{file} is stored by column (Fortran order); expected by row. {PREPARE_AGAIN}")
    return array


def check_values(folder: Path, n_cells: int, sequences: dna.Codes, indptr: NDArray[np.int64], indices: NDArray[np.int32]) -> None:
    """Raise an InputError for values that no preparation writes: codes that are no bases, cells that do not exist or repeat."""
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise InputError(f"{folder / 'indptr.npy'} does not divide the {len(indices):,} entries of indices.npy. {PREPARE_AGAIN}")
    rows_at_once = max(1, _BYTES_AT_ONCE // sequences.shape[1])
    for first in range(0, len(sequences), rows_at_once):
        # Negative codes are large as unsigned numbers.
        wrong = np.argwhere(sequences[first : first + rows_at_once].view(np.uint8) > dna.N)
        if len(wrong):
            peak, position = first + wrong[0, 0], wrong[0, 1]
            raise InputError(
                f"{folder / 'sequences.npy'}, peak {peak:,}, position {position:,}: the code of a base must be 0 to {dna.N}; found "
                f"{sequences[peak, position]}. {PREPARE_AGAIN}"
            )
    for first in range(0, len(indices), _BYTES_AT_ONCE):
        before = max(0, first - 1)
        block = indices[before : first + _BYTES_AT_ONCE]
        ascends = np.diff(block) > 0
        starts = indptr[slice(*np.searchsorted(indptr, (before + 1, before + len(block))))]
        ascends[starts - before - 1] = True  # the first cell of a peak may be below the last one of the peak before
        if block.min() < 0 or block.max() >= n_cells or not ascends.all():
            raise InputError(
                f"{folder / 'indices.npy'}: the open cells of each peak must ascend and lie between 0 and {n_cells - 1:,}. "
                f"{PREPARE_AGAIN}"
            )


def check_tables(
    folder: Path, manifest: dict[str, Any], cells: pd.DataFrame, peaks: pd.DataFrame, indptr: NDArray[np.int64]
) -> None:
    """Raise an InputError for a table that lacks a column, or contradicts the manifest or the other files."""
    for name, table, columns in (
        ("cells.parquet", cells, ("n_open_peaks",)),
        ("peaks.parquet", peaks, ("chrom", "start", "end", "split", "n_open_cells")),
    ):
        missing = [column for column in columns if column not in table]
        if missing:
            raise InputError(f"{folder / name} lacks the columns {', '.join(missing)}. {PREPARE_AGAIN}")
    counts = peaks["split"].value_counts().to_dict()
    if counts != {split: n for split, n in manifest["splits"].items() if n} or not set(NEEDED_SPLITS) <= set(counts):
        raise InputError(
            f"{folder / 'peaks.parquet'} has the splits {counts}, its manifest says {manifest['splits']}; each of "
            f"{' and '.join(NEEDED_SPLITS)} needs peaks. {PREPARE_AGAIN}"
        )
    if not np.array_equal(peaks["n_open_cells"], np.diff(indptr)):
        raise InputError(f"{folder / 'peaks.parquet'}: n_open_cells is not what indptr.npy says. {PREPARE_AGAIN}")


def stamps(folder: Path) -> Stamps:
    """Return what tells that a file was written to: its inode, size and time of change, by name."""
    described = {name: (folder / name).stat() for name in FILES}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in described.items()}
