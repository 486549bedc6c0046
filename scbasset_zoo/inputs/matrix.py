"""Open cells x peaks of any format in use: AnnData in memory, .h5ad, .zarr, 10x .h5, 10x folders with matrix.mtx."""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import h5py

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.anndata_matrix import check_no_mudata, from_anndata, from_h5ad, from_zarr
from scbasset_zoo.inputs.hdf5_filters import load_hdf5_filters
from scbasset_zoo.inputs.outside_links import check_no_outside_links
from scbasset_zoo.inputs.peak_matrix import EXPECTED_FORMATS, PeakMatrix, check_matrix
from scbasset_zoo.inputs.tenx_matrix import from_10x_folder, from_10x_h5, is_10x_folder


def open_matrix(matrix: ad.AnnData | str | os.PathLike[str]) -> PeakMatrix:
    """Open cells x peaks without reading the values.

    Parameters
    ----------
    matrix : AnnData, or path of an .h5ad, a .zarr, a 10x .h5 or a 10x mtx folder
        Peaks are in `.var`: columns chr, chrom, chromosome or seqnames, and start, end; or names such as chr1:100-600,
        chr1-100-600, chr1_100_600. If there are several feature types, only "Peaks" are read. Values above zero are open.

    Raises
    ------
    InputError
        The file is missing or of another kind, there are no cells or no peaks, a peak has no interval, or a barcode repeats.
    """
    if isinstance(matrix, ad.AnnData):
        opened = from_anndata(matrix)
    else:
        if not isinstance(matrix, str | os.PathLike):
            raise InputError(f"The matrix must be a path or an AnnData; found {type(matrix).__name__}. {EXPECTED_FORMATS}.")
        path = Path(matrix)
        with readable(str(path)):
            opened = _open_path(path)
    check_matrix(opened)
    return opened


def _open_path(path: Path) -> PeakMatrix:
    if not path.exists():
        raise InputError(f"There is no {path}.")
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs")):
            check_no_outside_links(path)
            return from_zarr(path)
        if is_10x_folder(path):
            return from_10x_folder(path)
        raise InputError(f"The folder {path} has neither a Zarr store nor matrix.mtx. {EXPECTED_FORMATS}.")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an HDF5 file. {EXPECTED_FORMATS}.")
    check_no_outside_links(path)
    load_hdf5_filters()
    with h5py.File(path, "r") as file:
        groups = set(file)
        check_no_mudata(path, file)
        if {"obs", "var"} <= groups:
            return from_h5ad(path, file)
        if "matrix" in groups and isinstance(file["matrix"], h5py.Group) and {"barcodes", "features"} <= set(file["matrix"]):
            return from_10x_h5(path, file["matrix"])
        kind = _other_kind(file, groups)
    raise InputError(f"{path} is {kind} (it contains {', '.join(sorted(groups)[:10]) or 'nothing'}). {EXPECTED_FORMATS}.")


def _other_kind(file: h5py.File, groups: set[str]) -> str:
    """Say what kind of HDF5 file this is that is not read."""
    if {"matrix", "row_attrs", "col_attrs"} <= groups:
        return "a loom file, which holds genes; a matrix of peaks is needed, saved from Python as .h5ad"
    of_10x = {"barcodes", "genes", "indptr"}
    if any(isinstance(member, h5py.Group) and of_10x <= set(member) for member in map(file.get, groups)):
        return "a gene matrix of Cell Ranger 1 or 2; the peaks are in the matrix of Cell Ranger ATAC"
    return "an HDF5 file of another kind"
