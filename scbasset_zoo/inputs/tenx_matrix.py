"""Read cells x peaks as 10x Genomics writes them: .h5 files, and folders with matrix.mtx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import matrix_entries
from scbasset_zoo.inputs.bed import read_bed
from scbasset_zoo.inputs.gene_counts import GENE_IDS, GeneCounts, gene_columns
from scbasset_zoo.inputs.matrix_entries import Entries, open_entries_of_compressed
from scbasset_zoo.inputs.peak_matrix import EXPECTED_FORMATS, PeakMatrix, peak_rows
from scbasset_zoo.inputs.peaks import peaks_from_var
from scbasset_zoo.inputs.text_files import open_text, text_lines, unquoted, whole_number


def from_10x_h5(path: Path, group: h5py.Group) -> PeakMatrix:
    """Read a 10x .h5 file, given its open group `matrix`."""
    in_file = group["features"]
    features = {name: _strings(in_file[name]) for name in ("id", "name", "feature_type") if name in in_file}
    cells = pd.DataFrame(index=_strings(group["barcodes"]))
    n_features, n_cells = (int(n) for n in group["shape"][:])
    if "id" not in features or (len(features["id"]), len(cells)) != (n_features, n_cells):
        raise InputError(
            f"{path} is damaged: its shape is {n_features:,} features x {n_cells:,} barcodes, but its lists have other lengths."
        )
    rows = peak_rows(features.get("feature_type"), n_features, str(path))
    peaks = peaks_from_var(pd.DataFrame(index=features["id"][rows]), f"{path}, features", rows)

    def read() -> Iterator[Entries]:
        with h5py.File(path, "r") as file:
            reopened = file["matrix"]
            yield from open_entries_of_compressed(reopened["indptr"][:], reopened["indices"], reopened["data"], by_row=True)

    genes = _genes(str(path), features.get("feature_type"), features["id"], features.get("name", features["id"]), n_cells, read)
    return PeakMatrix(str(path), cells, peaks, [path], read, n_features, _read_genes=genes)


def is_10x_folder(path: Path) -> bool:
    """Return whether a folder has a matrix.mtx, plain or gzip."""
    return _file_in(path, "matrix.mtx") is not None


def from_10x_folder(path: Path) -> PeakMatrix:
    """Read a 10x folder with matrix.mtx, barcodes.tsv and features.tsv or peaks.bed, plain or gzip."""
    matrix = _file_in(path, "matrix.mtx")
    barcodes, features, bed = _file_in(path, "barcodes.tsv"), _file_in(path, "features.tsv"), _file_in(path, "peaks.bed")
    if matrix is None or barcodes is None or (features is None and bed is None):
        raise InputError(
            f"The folder {path} lacks {'barcodes.tsv' if barcodes is None else 'features.tsv or peaks.bed'}. {EXPECTED_FORMATS}."
        )
    cells = pd.DataFrame(index=_table(barcodes)[0].to_numpy(dtype=object))
    genes = None

    def read() -> Iterator[Entries]:
        yield from _mtx_entries(matrix)

    if features is not None:
        table = _table(features)
        types = table[2].to_numpy() if table.shape[1] > 2 else None
        rows = peak_rows(types, len(table), str(features))
        ids, names = table[0].to_numpy(), table[min(1, table.shape[1] - 1)].to_numpy()
        genes = _genes(str(path), types, ids, names, len(cells), read)
        peaks = peaks_from_var(pd.DataFrame(index=table[0].to_numpy()[rows]), str(features), rows)
        n_features = len(table)
    else:
        assert bed is not None
        peaks = read_bed(bed)[["name", "chrom", "start", "end"]]
        n_features = len(peaks)
    shape, _, _ = _mtx_header(matrix)
    if shape != (n_features, len(cells)):
        hint = " It is cells x peaks: 10x writes peaks x cells." if shape == (len(cells), n_features) else ""
        raise InputError(
            f"{matrix} is {shape[0]:,} x {shape[1]:,}, but there are {n_features:,} peaks or features and {len(cells):,} "
            f"barcodes in the folder.{hint} The files do not belong together."
        )
    files = [file for file in (matrix, barcodes, features or bed) if file]
    return PeakMatrix(str(path), cells, peaks, files, read, n_features, _read_genes=genes)


def _genes(
    where: str,
    types: NDArray[Any] | None,
    ids: NDArray[Any],
    names: NDArray[Any],
    n_cells: int,
    read: Callable[[], Iterator[Entries]],
) -> Callable[[], GeneCounts] | None:
    """Return how to open the counts of the genes among features; None if there are none."""
    columns = gene_columns(types)
    if not len(columns):
        return None
    genes = pd.DataFrame({GENE_IDS: ids[columns]}, index=names[columns])
    return lambda: GeneCounts(where, genes, columns, np.arange(n_cells), len(ids), read)


def _mtx_header(path: Path) -> tuple[tuple[int, int], int, bool]:
    """Return the shape, the number of entries, and whether entries have no value (a pattern)."""
    with open_text(path) as file:
        banner = file.readline().split()
        kind, values = [word.lower() for word in banner[:3] + banner[4:]], "".join(banner[3:4]).lower()
        if kind != ["%%matrixmarket", "matrix", "coordinate", "general"] or values not in ("integer", "real", "pattern"):
            raise InputError(
                f"{path} is not a Matrix Market coordinate file of integers, reals or a pattern: its first line is "
                f"{' '.join(banner)[:80]!r}."
            )
        for line in file:
            if line.strip() and not line.startswith("%"):
                sizes = [whole_number(word) for word in line.split()]
                if len(sizes) != 3 or None in sizes:
                    raise InputError(f"{path}: expected numbers of rows, columns and entries; found {line.strip()[:80]!r}.")
                rows, columns, n_entries = (size or 0 for size in sizes)
                return (rows, columns), n_entries, values == "pattern"
    raise InputError(f"{path} is incomplete: it has no line with its shape.")


def _mtx_entries(path: Path) -> Iterator[Entries]:
    """Yield (cell numbers, feature numbers, values) of the entries above zero of a Matrix Market file, features x cells."""
    _, expected_entries, is_pattern = _mtx_header(path)
    columns: dict[Any, Any] = {"feature": np.int64, "cell": np.int64} | ({} if is_pattern else {"value": np.float64})
    n_entries = 0
    with open_text(path) as file:
        for line in file:
            if line.strip() and not line.startswith("%"):
                break
        # Without a name for a column too many, pandas would take the first column for row names.
        names = [*columns, "more"]
        options: dict[str, Any] = {"sep": r"\s+", "header": None, "names": names, "dtype": columns, "index_col": False}
        chunks = pd.read_csv(file, chunksize=matrix_entries.CHUNK, **options) if expected_entries else []
        for chunk in chunks:
            n_entries += len(chunk)
            if chunk["more"].notna().any():
                raise InputError(f"{path}: expected {len(columns)} numbers on a line, as its first line says; found more.")
            cell, feature = chunk["cell"].to_numpy() - 1, chunk["feature"].to_numpy() - 1
            value = np.ones(len(chunk)) if is_pattern else chunk["value"].to_numpy()
            matrix_entries.check_counts(value, cell, feature)
            is_open = value > 0
            yield cell[is_open], feature[is_open], value[is_open]
    if n_entries != expected_entries:
        raise InputError(
            f"{path} is incomplete or was changed: its header says {expected_entries:,} entries, but it has {n_entries:,}."
        )


def _file_in(folder: Path, name: str) -> Path | None:
    """Return the plain or gzip file of this name, or None."""
    return next((folder / file for file in (name, f"{name}.gz") if (folder / file).is_file()), None)


def _table(path: Path) -> pd.DataFrame:
    """Read a table without header; columns that some lines lack are left out."""
    rows = [[unquoted(column) for column in line.split("\t")] for _, line in text_lines(path, comments=())]
    width = min((len(row) for row in rows), default=1)
    return pd.DataFrame([row[:width] for row in rows], columns=range(width), dtype=object)


def _strings(dataset: h5py.Dataset) -> NDArray[np.object_]:
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in dataset[:]]
    strings: NDArray[np.object_] = np.array(texts, dtype=object)
    return strings
