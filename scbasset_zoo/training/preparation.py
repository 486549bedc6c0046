"""Makes the prepared peak set from a matrix and a genome, in passes over chunks."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import check_destination, new_folder, sha256
from scbasset_zoo.inputs.assemblies import check_assembly, naming_hint
from scbasset_zoo.inputs.dna import N
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.matrix import CHUNK, PeakMatrix, open_matrix
from scbasset_zoo.inputs.peaks import check_order
from scbasset_zoo.package.card import SPLITS
from scbasset_zoo.progress import progress
from scbasset_zoo.training.dataset import (
    BEYOND_END,
    FILES,
    NO_CHROMOSOME,
    REASONS,
    SCHEMA_VERSION,
    TOO_FEW_CELLS,
    TOO_MANY_N,
    PreparedPeaks,
    left_out_table,
    open_prepared,
    read_manifest,
)
from scbasset_zoo.training.splits import assign_splits, shares, split_words
from scbasset_zoo.version import __version__

WINDOWS_AT_ONCE = 20_000


def prepare(
    matrix: ad.AnnData | str | os.PathLike[str],
    *,
    fasta: str | os.PathLike[str],
    assembly: str,
    out: str | os.PathLike[str],
    length: int = 1344,
    flank: int = 8,
    min_cell_fraction: float = 0.01,
    min_peaks_per_cell: int = 0,
    max_n_fraction: float = 0.25,
    split: str = "90/5/5",
    test_chroms: str | Sequence[str] = (),
    validation_chroms: str | Sequence[str] = (),
    split_column: str | None = None,
    sort_peaks: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> PreparedPeaks:
    """Turn cells x peaks and a genome into a prepared peak set on disk.

    Cells are filtered first, on the input's peaks; then peaks by the kept cells; then peaks by their sequence. The matrix
    is read in chunks, twice (once more when cells are left out).

    Parameters
    ----------
    matrix : AnnData or path
        Cells x peaks, see :func:`scbasset_zoo.inputs.matrix.open_matrix`. Values above zero are open.
    fasta : path
        The genome, plain or bgzip.
    assembly : str
        Its name, as "hg19"; checked by chromosome lengths where it is known.
    out : path
        The folder to make.
    length, flank : int
        Window around the centre of each peak, and what is stored beside it for shifts in training, in bp.
    min_cell_fraction : float
        Share of the cells in which a peak must be open. The paper uses 0.01 and 0.05 (Yuan & Kelley 2022, Methods).
    min_peaks_per_cell : int
        Leave out cells with fewer open peaks; from 1, also those with none left among the kept peaks. With 0 a cell with no
        open peak in the input is an error, and cells that lose their last are kept.
    max_n_fraction : float
        Leave out peaks with a larger share of N in their window.
    split : str
        Percentages of peaks for training, validation and test, drawn at random with `seed`. The paper's is 90/5/5.
    test_chroms, validation_chroms : str ("chr8,chr9") or sequence of str
        Split by chromosome instead; without `validation_chroms`, validation peaks are drawn from the other chromosomes.
    split_column : str, optional
        Split by this column of `.var` instead: train, validation (val, valid) or test.
    sort_peaks : bool
        Sort peaks that are not sorted, rather than refuse them.
    seed : int
        Of the random split.
    overwrite : bool
        Replace an earlier prepared peak set at `out`.
    quiet : bool
        Show no progress.

    Returns
    -------
    PreparedPeaks

    Raises
    ------
    InputError
        Something given cannot be used, or no peak remains; nothing is left at `out`.
    """
    parameters = {
        "length": int(length),
        "flank": int(flank),
        "min_cell_fraction": float(min_cell_fraction),
        "min_peaks_per_cell": int(min_peaks_per_cell),
        "max_n_fraction": float(max_n_fraction),
        "split": split,
        "test_chroms": _names(test_chroms),
        "validation_chroms": _names(validation_chroms),
        "split_column": split_column,
        "sort_peaks": bool(sort_peaks),
        "seed": int(seed),
    }
    _check_parameters(parameters)
    parts = shares(split)
    out = Path(out)
    check_destination(
        out,
        overwrite=overwrite,
        replaceable=lambda folder: "schema_version" in (read_manifest(folder) or {}),
        inputs=[matrix, fasta],
    )
    genome = Genome(fasta)
    check_assembly(assembly, genome.chromosome_sizes)
    source = open_matrix(matrix)
    peaks = source.peaks
    column = split_words(peaks, split_column, source.where) if split_column is not None else None
    if sort_peaks:
        order = np.lexsort((peaks["end"], peaks["start"], pd.factorize(peaks["chrom"])[0]))
    else:
        check_order(peaks, source.where)
        order = np.arange(len(peaks))
    in_genome = peaks["chrom"].isin(list(genome.chromosome_sizes)).to_numpy()
    if not in_genome.any():
        genome.require(peaks["chrom"].unique())

    cell_kept, n_open_cells, left_out_cells = _filter_cells(source, min_peaks_per_cell, quiet)
    reason = np.full(source.n_peaks, -1)
    # A tolerance far below one cell: 0.07 of 100 cells is 7, not the 7.000000000000001 of floating point.
    reason[n_open_cells < min_cell_fraction * cell_kept.sum() - 1e-6] = REASONS.index(TOO_FEW_CELLS)
    reason[(reason < 0) & ~in_genome] = REASONS.index(NO_CHROMOSOME)
    size = peaks["chrom"].map(genome.chromosome_sizes).fillna(0).to_numpy()
    reason[(reason < 0) & (peaks["end"].to_numpy() > size)] = REASONS.index(BEYOND_END)

    with new_folder(out, overwrite=overwrite) as folder:
        candidates = order[reason[order] < 0]
        window_start = (peaks["start"] + peaks["end"]).to_numpy() // 2 - length // 2
        n_fraction = np.zeros(source.n_peaks)
        with (
            progress("reading windows", len(candidates), quiet=quiet) as advance,
            (folder / "sequences.npy").open("wb") as file,
        ):
            _npy_header(file, "|i1", (0, length + 2 * flank))
            for first in range(0, len(candidates), WINDOWS_AT_ONCE):
                rows = candidates[first : first + WINDOWS_AT_ONCE]
                chroms, starts = peaks["chrom"].to_numpy()[rows], window_start[rows] - flank
                codes = genome.windows(chroms, starts, length + 2 * flank)
                n_fraction[rows] = (codes[:, flank : flank + length] == N).mean(axis=1)
                enough = n_fraction[rows] <= max_n_fraction
                reason[rows[~enough]] = REASONS.index(TOO_MANY_N)
                file.write(codes[enough].data)
                advance(len(rows))
            kept = order[reason[order] < 0]
            file.seek(0)
            _npy_header(file, "|i1", (len(kept), length + 2 * flank))
        left_out_peaks = {
            why: peaks["chrom"][reason == number].value_counts(sort=False).to_dict() for number, why in enumerate(REASONS)
        }
        if not len(kept):
            hint = naming_hint(left_out_peaks[NO_CHROMOSOME], genome.chromosome_sizes)
            raise InputError(
                f"None of the {source.n_peaks:,} peaks of {source.where} remains.{hint}\n{left_out_table(left_out_peaks)}\n"
                f"Lower --min-cell-fraction ({min_cell_fraction:g}), raise --max-n-fraction ({max_n_fraction:g}), or give a "
                "FASTA with these chromosomes."
            )
        drawn = assign_splits(peaks.iloc[kept], parts, parameters, None if column is None else column[kept])

        peak_number = np.full(source.n_peaks, -1, dtype=np.int32)
        peak_number[kept] = np.arange(len(kept))
        if min_peaks_per_cell:
            # Cells with nothing left among the kept peaks: no count of a kept peak changes when they go.
            emptied = cell_kept & (_count(source, cell_kept, peak_number >= 0, quiet)[0] == 0)
            cell_kept &= ~emptied
            if emptied.any():
                left_out_cells["no open peak left"] = int(emptied.sum())
        cell_number = np.where(cell_kept, np.cumsum(cell_kept) - 1, -1).astype(np.int32)
        indptr = np.concatenate([[0], np.cumsum(n_open_cells[kept])])
        if not indptr[-1]:
            raise InputError(f"{source.where}: none of the {len(kept):,} remaining peaks is open in any cell.")
        n_open_peaks = _fill(source, folder, cell_number, peak_number, indptr, quiet)

        _cells_table(source.cells[cell_kept], n_open_peaks).to_parquet(folder / "cells.parquet")
        _peaks_table(
            peaks.iloc[kept],
            split_column,
            window_start=window_start[kept],
            n_fraction=n_fraction[kept],
            n_open_cells=n_open_cells[kept],
            split=drawn,
        ).to_parquet(folder / "peaks.parquet")
        np.save(folder / "indptr.npy", indptr)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "parameters": parameters,
            "sources": {"matrix": _source(source), "fasta": {"name": genome.path.name, "bytes": genome.path.stat().st_size}},
            "assembly": assembly,
            "chromosome_sizes": genome.chromosome_sizes,
            "n_cells": int(cell_kept.sum()),
            "n_peaks": len(kept),
            "nnz": int(indptr[-1]),
            "sequence_length": length,
            "flank": flank,
            "n_input_cells": source.n_cells,
            "n_input_peaks": source.n_peaks,
            "n_empty_cells": int((n_open_peaks == 0).sum()),
            "left_out": {"cells": left_out_cells, "peaks": left_out_peaks},
            "splits": {name: int((drawn == name).sum()) for name in SPLITS},
            "files": {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in FILES},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return open_prepared(out)


def _filter_cells(
    source: PeakMatrix, min_peaks_per_cell: int, quiet: bool
) -> tuple[NDArray[np.bool_], NDArray[np.int64], dict[str, int]]:
    """Which cells are kept, in how many of them each peak is open, and how many cells were left out, by reason."""
    everything = np.ones(source.n_cells, dtype=bool), np.ones(source.n_peaks, dtype=bool)
    n_open_peaks, n_open_cells = _count(source, *everything, quiet)
    zero = source.cells.index[n_open_peaks == 0]
    if len(zero) and not min_peaks_per_cell:
        raise InputError(
            f"{source.where}: {len(zero):,} of {source.n_cells:,} cells have no open peak, first {', '.join(zero[:3])}. "
            "Pass --min-peaks-per-cell 1 (min_peaks_per_cell=1) to leave them out."
        )
    kept = n_open_peaks >= min_peaks_per_cell
    if not kept.any():
        raise InputError(
            f"{source.where}: none of the {source.n_cells:,} cells has {min_peaks_per_cell:,} open peaks; the most is "
            f"{n_open_peaks.max():,}. Lower --min-peaks-per-cell."
        )
    if not kept.all():
        _, n_open_cells = _count(source, kept, everything[1], quiet)
    left_out = int((~kept).sum())
    return kept, n_open_cells, {f"fewer than {min_peaks_per_cell:,} open peaks": left_out} if left_out else {}


def _count(
    source: PeakMatrix, cells: NDArray[np.bool_], peaks: NDArray[np.bool_], quiet: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Open peaks of each cell and open cells of each peak, among these cells and peaks."""
    by_cell, by_peak = np.zeros(len(cells), dtype=np.int64), np.zeros(len(peaks), dtype=np.int64)
    with progress("counting open peaks", None, quiet=quiet) as advance:
        for cell, peak in source.open_entries():
            wanted = cells[cell] & peaks[peak]
            by_cell += np.bincount(cell[wanted], minlength=len(cells))
            by_peak += np.bincount(peak[wanted], minlength=len(peaks))
            advance(len(cell))
    return by_cell, by_peak


def _fill(
    source: PeakMatrix,
    folder: Path,
    cell_number: NDArray[np.int32],
    peak_number: NDArray[np.int32],
    indptr: NDArray[np.int64],
    quiet: bool,
) -> NDArray[np.int64]:
    """Write indices.npy by a counting sort over the chunks; return the number of open peaks of each kept cell."""
    n_peaks, n_cells = len(indptr) - 1, int(cell_number.max()) + 1
    n_open_peaks = np.zeros(n_cells, dtype=np.int64)
    place, end = indptr[:-1].copy(), indptr[1:]
    indices = _new_npy(folder / "indices.npy", int(indptr[-1]))
    changed = InputError(f"{source.where} changed while it was being read. Start again.")
    with progress("writing open peaks", int(indptr[-1]), quiet=quiet) as advance:
        for source_cell, source_peak in source.open_entries():
            cell, peak = cell_number[source_cell], peak_number[source_peak]
            wanted = (cell >= 0) & (peak >= 0)
            cell, peak = cell[wanted], peak[wanted]
            n_open_peaks += np.bincount(cell, minlength=n_cells)
            # SciPy's conversion to rows is a counting sort that runs in C; cells ride along as values.
            by_peak = sparse.coo_matrix((cell, (peak, np.arange(len(cell)))), shape=(n_peaks, len(cell))).tocsr()
            count = np.diff(by_peak.indptr)
            if (place + count > end).any():
                raise changed
            indices[np.repeat(place - by_peak.indptr[:-1], count) + np.arange(len(cell))] = by_peak.data
            place += count
            advance(len(cell))
    if (place != end).any():
        raise changed
    _sort_rows(indices, indptr, n_cells, source)
    return n_open_peaks


def _sort_rows(indices: NDArray[np.int32], indptr: NDArray[np.int64], n_cells: int, source: PeakMatrix) -> None:
    """Sort each peak's cells in place where a chunk order has left them unsorted; refuse a cell that is there twice."""
    row = 0
    while row < len(indptr) - 1:
        until = max(row + 1, int(np.searchsorted(indptr, indptr[row] + CHUNK, side="right")) - 1)
        first, last = indptr[row], indptr[until]
        local = indptr[row : until + 1] - first
        block = np.array(indices[first:last])
        if not _rises(block, local):
            rows = sparse.csr_matrix((np.zeros(len(block), dtype=bool), block, local), shape=(until - row, n_cells))
            rows.sort_indices()
            if not _rises(rows.indices, local):
                raise InputError(
                    f"{source.where} has the same cell and peak more than once. Add such entries up first, as with "
                    "adata.X.sum_duplicates()."
                )
            indices[first:last] = rows.indices
        row = until


def _rises(block: NDArray[np.int32], indptr: NDArray[np.int64]) -> bool:
    rises = np.diff(block) > 0
    starts = indptr[1:-1]
    rises[starts[(starts > 0) & (starts < len(block))] - 1] = True
    return bool(rises.all())


def _names(names: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in (names.split(",") if isinstance(names, str) else names) if name.strip()]


def _check_parameters(parameters: dict[str, Any]) -> None:
    for name, low, high in (
        ("length", 1, 1_000_000),
        ("flank", 0, 10_000),
        ("min_cell_fraction", 0, 1),
        ("min_peaks_per_cell", 0, float("inf")),
        ("max_n_fraction", 0, 1),
        ("seed", 0, float("inf")),
    ):
        if not low <= parameters[name] <= high:
            limits = f"between {low:,} and {high:,}" if high != float("inf") else f"{low:,} or more"
            raise InputError(f"--{name.replace('_', '-')} must be {limits}; found {parameters[name]}.")
    if parameters["validation_chroms"] and not parameters["test_chroms"]:
        raise InputError("--validation-chroms needs --test-chroms too.")
    if parameters["split_column"] is not None and parameters["test_chroms"]:
        raise InputError("Split either by --test-chroms or by --split-column, not both.")
    both = sorted(set(parameters["test_chroms"]) & set(parameters["validation_chroms"]))
    if both:
        raise InputError(f"{', '.join(both)} cannot be both test and validation chromosome.")


def _source(source: PeakMatrix) -> dict[str, Any]:
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        if path.is_file()
        else {"bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file())}
        for path in source.files
    }
    return {"name": Path(source.where).name, "files": files}


def _cells_table(cells: pd.DataFrame, n_open_peaks: NDArray[np.int64]) -> pd.DataFrame:
    table = _storable(cells.rename_axis("barcode"), {"barcode", "n_open_peaks"}, "obs")
    return table.assign(n_open_peaks=n_open_peaks)


def _peaks_table(peaks: pd.DataFrame, split_column: str | None, **columns: NDArray[Any]) -> pd.DataFrame:
    own = peaks[["name", "chrom", "start", "end"]].reset_index(drop=True).assign(**columns)
    rest = peaks.drop(columns=["name", "chrom", "start", "end"]).reset_index(drop=True)
    # The split is kept as given only where its words or its name differ from ours.
    if split_column == "split":
        rest = rest.drop(columns="split")
    return pd.concat([own, _storable(rest, set(columns), "var")], axis=1)


def _storable(table: pd.DataFrame, taken: set[str], prefix: str) -> pd.DataFrame:
    """The table with names that are text and not taken, and with objects of mixed types as text, as Parquet needs them."""
    names = [f"{prefix}_{name}" if str(name) in taken else str(name) for name in table.columns]
    table = table.set_axis(names, axis=1)
    for name in table.select_dtypes("category").columns:
        if pd.api.types.infer_dtype(table[name].cat.categories) not in ("string", "boolean", "integer", "floating", "empty"):
            table[name] = table[name].map(str, na_action="ignore")
    for name in table.select_dtypes(complex).columns:
        table[name] = table[name].map(str)
    for name in table.select_dtypes(object).columns:
        if pd.api.types.infer_dtype(table[name], skipna=True) not in ("string", "boolean", "empty"):
            table[name] = table[name].map(str, na_action="ignore")
    return table


def _new_npy(path: Path, n: int) -> NDArray[np.int32]:
    """A mapped int32 file whose blocks are there already: writing to a map on a full disk would kill the process."""
    with path.open("wb") as file:
        _npy_header(file, "<i4", (n,))
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), file.tell(), 4 * n)
        else:
            for first in range(0, n, CHUNK):
                file.write(bytes(4 * min(CHUNK, n - first)))
    mapped: NDArray[np.int32] = np.load(path, mmap_mode="r+").view(np.ndarray)
    return mapped


def _npy_header(file: BinaryIO, dtype: str, shape: tuple[int, ...]) -> None:
    # NumPy pads the header so that it keeps its size when the first axis grows.
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
