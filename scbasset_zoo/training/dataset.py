"""The prepared peak set: opens its files, memory-mapped, and reads batches of peaks for training."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import checked_path
from scbasset_zoo.inputs.assemblies import naming_hint
from scbasset_zoo.inputs.dna import Codes
from scbasset_zoo.package.card import SPLITS
from scbasset_zoo.training.prepared_files import (
    ARRAYS,
    FILES,
    PREPARE_AGAIN,
    Stamps,
    check_digests,
    check_manifest,
    check_sizes,
    check_tables,
    check_values,
    open_array,
    stamps,
)
from scbasset_zoo.training.prepared_tables import read_tables

SCHEMA_VERSION = 1
CHROMOSOMES_SHOWN = 30
# Peak sets that this process has read through: folder, manifest, and the size and times of change of each file.
_CHECKED: set[tuple[Any, ...]] = set()
PEAKS_AT_ONCE = 10_000

TOO_FEW_CELLS = "open in too few cells"
NO_CHROMOSOME = "not in the FASTA"
BEYOND_END = "beyond the end"
BLACKLISTED = "in the blacklist"
TOO_MANY_N = "too many N"
REASONS = (TOO_FEW_CELLS, NO_CHROMOSOME, BEYOND_END, BLACKLISTED, TOO_MANY_N)


@dataclass(frozen=True)
class PreparedPeaks:
    """The prepared peak set, memory-mapped.

    Attributes
    ----------
    folder : Path
    manifest : dict
        Options, sources, assembly, chromosome sizes, cells and peaks that were left out, files with their SHA-256.
    sequences : int8 array of shape (n_peaks, sequence_length + 2 flank)
        Codes of each peak's window with its flanks.
    indptr, indices : int64 (n_peaks + 1,), int32
        Peak p is open in the cells ``indices[indptr[p]:indptr[p + 1]]``, ascending.
    cells : DataFrame
        A row for each cell, indexed by barcode; ``n_open_peaks`` is its number of open peaks among the kept ones.
    peaks : DataFrame
        A row for each peak: name, chrom, start, end, window_start, n_fraction, n_open_cells, split, and
        the other columns of the input.
    stamps : dict
        Inode, size and time of change of each file when it was opened.
    """

    folder: Path
    manifest: dict[str, Any]
    sequences: Codes
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    cells: pd.DataFrame
    peaks: pd.DataFrame
    stamps: Stamps = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"PreparedPeaks({self.n_cells:,} cells x {self.n_peaks:,} peaks, {str(self.folder)!r})"

    @property
    def n_cells(self) -> int:
        return int(self.manifest["n_cells"])

    @property
    def n_peaks(self) -> int:
        return int(self.manifest["n_peaks"])

    @property
    def sequence_length(self) -> int:
        """Length of a window without its flanks, in bp."""
        return int(self.manifest["sequence_length"])

    @property
    def flank(self) -> int:
        """Bases stored on each side of a window, in bp."""
        return int(self.manifest["flank"])

    @property
    def held_out_splits(self) -> tuple[str, ...]:
        """The splits that a model is scored on: validation, and test if there are test peaks."""
        return ("validation", "test") if self.manifest["splits"].get("test") else ("validation",)

    def rows(self, split: str) -> NDArray[np.intp]:
        """Return the peak numbers of a split: "train", "validation" or "test"."""
        if split not in SPLITS:
            raise InputError(f"There is no split {split!r}; the splits are {', '.join(SPLITS)}.")
        return np.flatnonzero((self.peaks["split"] == split).to_numpy())

    def batch(self, rows: ArrayLike) -> tuple[Codes, NDArray[np.int32], NDArray[np.int32]]:
        """Return the sequences and open cells of some peaks.

        Parameters
        ----------
        rows : integers, b
            Peak numbers.

        Returns
        -------
        codes : int8 array of shape (b, sequence_length + 2 flank)
        peak, cell : int32 arrays of shape (n_open,)
            Peak `peak[i]` of the batch (0 to b - 1) is open in cell `cell[i]`; ascending by peak, then by cell.
        """
        rows = np.asarray(rows, dtype=np.intp)
        indptr, cells = self._open_cells(rows)
        return self.sequences[rows], np.repeat(np.arange(len(rows), dtype=np.int32), np.diff(indptr)), cells

    def labels(self, rows: ArrayLike) -> sparse.csr_matrix:
        """Return the accessibility of some peaks, as a sparse float32 matrix of ones of shape (b, n_cells)."""
        rows = np.asarray(rows, dtype=np.intp)
        indptr, cells = self._open_cells(rows)
        return sparse.csr_matrix((np.ones(len(cells), dtype=np.float32), cells, indptr), shape=(len(rows), self.n_cells))

    def count_open_peaks(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the number of peaks among `rows` that are open in each cell."""
        count = np.zeros(self.n_cells, dtype=np.int64)
        for block in np.array_split(rows, -(-len(rows) // PEAKS_AT_ONCE)):
            count += np.bincount(self._open_cells(block)[1], minlength=self.n_cells)
        return count

    def require_unchanged(self) -> None:
        """Raise an InputError if a file was written to since it was opened; a file that was replaced is still read as it was."""
        for name, (inode, *opened) in self.stamps.items():
            try:
                stat = (self.folder / name).stat()
            except OSError:  # moved or removed, but still open
                continue
            if stat.st_ino == inode and [stat.st_size, stat.st_mtime_ns] != opened:
                raise InputError(f"{self.folder / name} was changed while it was in use. {PREPARE_AGAIN}")

    def summary(self) -> str:
        """Describe in plain text what was kept, what was left out and why."""
        m = self.manifest
        cells = "".join(f"; left out {n:,} with {why}" for why, n in m["left_out"]["cells"].items())
        empty = f"; {m['n_empty_cells']:,} have no open peak left" if m["n_empty_cells"] else ""
        splits = ", ".join(f"{split} {n:,}" for split, n in m["splits"].items())
        lines = [
            f"cells    {m['n_cells']:,}{cells}{empty}",
            f"peaks    {m['n_peaks']:,} of {m['n_input_peaks']:,}",
            f"split    {splits}",
            f"density  {m['nnz'] / (m['n_cells'] * m['n_peaks']):.2%} of cells x peaks is open",
            f"windows  {m['sequence_length']:,} bp of {m['assembly']}, {m['flank']} bp of flank",
        ]
        # Peak sets of earlier versions do not say how many overlap.
        overlapping = m.get("overlapping_peaks", {})
        if n := overlapping.get("all", 0):
            lines.insert(2, f"overlaps {n:,} peaks overlap another, {overlapping.get('across_splits', 0):,} one of another split")
        left_out = m["left_out"]["peaks"]
        if any(left_out.values()):
            hint = naming_hint(left_out.get(NO_CHROMOSOME, {}), m["chromosome_sizes"])
            lines += ["", "peaks left out, and why", left_out_table(left_out)] + ([hint.strip()] if hint else [])
        return "\n".join(lines)

    def _open_cells(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        starts = self.indptr[rows]
        indptr = np.concatenate([[0], np.cumsum(self.indptr[rows + 1] - starts)])
        return indptr, self.indices[np.repeat(starts - indptr[:-1], np.diff(indptr)) + np.arange(indptr[-1])]


def open_prepared(folder: str | os.PathLike[str]) -> PreparedPeaks:
    """Open a prepared peak set.

    Raises
    ------
    InputError
        The folder is not a prepared peak set, is incomplete, was changed or damaged since it was prepared, or was made by
        another version.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder} is not a prepared peak set: it has no manifest.json. Make one with `scbasset-zoo prepare`.")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{folder}/manifest.json has schema version {manifest.get('schema_version')!r}; this version of scbasset-zoo "
            f"reads {SCHEMA_VERSION}. Prepare the peaks again, or update scbasset-zoo."
        )
    check_manifest(folder, manifest)
    check_sizes(folder, manifest)
    opened = stamps(folder)
    sequences, indptr, indices = (open_array(folder / name) for name in ARRAYS)
    cells, peaks = read_tables(folder)
    n_cells, n_peaks, width = manifest["n_cells"], manifest["n_peaks"], manifest["sequence_length"] + 2 * manifest["flank"]
    for name, shape, expected_shape in (
        ("sequences.npy", sequences.shape, (n_peaks, width)),
        ("indptr.npy", indptr.shape, (n_peaks + 1,)),
        ("indices.npy", indices.shape, (manifest["nnz"],)),
        ("cells.parquet", (len(cells),), (n_cells,)),
        ("peaks.parquet", (len(peaks),), (n_peaks,)),
    ):
        if shape != expected_shape:
            raise InputError(f"{folder / name} has shape {shape}, its manifest says {expected_shape}. {PREPARE_AGAIN}")
    changed = [(folder / name).stat().st_ctime_ns for name in FILES]
    checked = (folder.resolve(), json.dumps(manifest["files"]), *opened.items(), *changed)
    if checked not in _CHECKED:
        check_digests(folder, manifest)
        check_values(folder, n_cells, sequences, indptr, indices)
        _CHECKED.add(checked)
    check_tables(folder, manifest, cells, peaks, indptr)
    return PreparedPeaks(folder, manifest, sequences, np.array(indptr), indices, cells, peaks, opened)


def files_of_prepared(folder: Path) -> list[str] | None:
    """Return the names of the files of a prepared peak set, or None if a folder is none."""
    try:
        manifest = read_manifest(folder)
    except InputError:
        return None
    return ["manifest.json", *FILES] if manifest and {"schema_version", "n_cells", "n_peaks", "files"} <= set(manifest) else None


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read manifest.json; return None if `folder` has none."""
    try:
        manifest = json.loads((checked_path(folder) / "manifest.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder}/manifest.json is damaged ({error}). {PREPARE_AGAIN}") from error
    return manifest if isinstance(manifest, dict) else None


def left_out_table(left_out: dict[str, dict[str, int]]) -> str:
    """Return a table of the peaks that were left out, chromosomes x reasons, with totals; rare chromosomes share one line."""
    table = pd.DataFrame({why: pd.Series(counts, dtype="int64") for why, counts in left_out.items() if counts})
    table = table.fillna(0).astype("int64")
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    total = table.sum()
    if len(table) > CHROMOSOMES_SHOWN:
        rest = table.iloc[CHROMOSOMES_SHOWN:]
        table = table.iloc[:CHROMOSOMES_SHOWN]
        table.loc[f"{len(rest):,} more"] = rest.sum()
    table.loc["all"] = total
    # Indented, as messages print all lines but the first.
    return indent(table.to_string(formatters=[lambda n: f"{n:,}"] * table.shape[1]), "  ")
