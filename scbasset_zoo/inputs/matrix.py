"""Open cells x peaks of any format in use: AnnData and MuData in memory, .h5ad, .h5mu, .zarr, 10x .h5, 10x folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import anndata as ad
import h5py
import zarr

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.anndata_matrix import Reopen, Store, from_anndata, from_store
from scbasset_zoo.inputs.hdf5_filters import load_hdf5_filters
from scbasset_zoo.inputs.joint_matrix import join_matrices
from scbasset_zoo.inputs.mudata_matrix import from_mudata, from_mudata_store, is_mudata, is_mudata_store
from scbasset_zoo.inputs.outside_links import check_no_outside_links
from scbasset_zoo.inputs.peak_matrix import EXPECTED_FORMATS, PeakMatrix, check_matrix
from scbasset_zoo.inputs.samples import check_samples
from scbasset_zoo.inputs.tenx_matrix import from_10x_folder, from_10x_h5, is_10x_folder
from scbasset_zoo.wording import option

# An AnnData, a MuData or the path of a file or folder.
MatrixLike: TypeAlias = Any


def open_matrix(matrix: MatrixLike, *, modality: str | None = None, layer: str | None = None) -> PeakMatrix:
    """Open cells x peaks without reading the values.

    Parameters
    ----------
    matrix : AnnData, MuData, or path of an .h5ad, an .h5mu, a .zarr, a 10x .h5 or a 10x mtx folder
        Peaks are in `.var`: columns chr, chrom, chromosome or seqnames, and start, end; or names such as chr1:100-600,
        chr1-100-600, chr1_100_600. If there are several feature types, only "Peaks" are read. Values above zero are open.
    modality : str, optional
        The modality of a MuData with the peaks. By default "atac", or else the only one that has intervals of peaks.
    layer : str, optional
        The layer with the counts, instead of X.

    Raises
    ------
    InputError
        The file is missing or of another kind, there are no cells or no peaks, a peak has no interval, a barcode repeats, or there
        is no such modality or layer.
    """
    if isinstance(matrix, ad.AnnData):
        _refuse(modality, "modality", "the AnnData")
        opened = from_anndata(matrix, layer=layer)
    elif is_mudata(matrix):
        opened = from_mudata(matrix, modality=modality, layer=layer)
    else:
        if not isinstance(matrix, str | os.PathLike):
            raise InputError(
                f"The matrix must be a path, an AnnData or a MuData; found {type(matrix).__name__}. {EXPECTED_FORMATS}."
            )
        path = Path(matrix)
        with readable(str(path)):
            opened = _open_path(path, modality, layer)
    check_matrix(opened)
    return opened


def open_matrices(
    matrices: Sequence[MatrixLike], samples: Sequence[str] = (), *, modality: str | None = None, layer: str | None = None
) -> PeakMatrix:
    """Open the matrices of several samples as one, see :func:`scbasset_zoo.inputs.joint_matrix.join_matrices`.

    Parameters
    ----------
    matrices : sequence
        As :func:`open_matrix` takes them.
    samples : sequence of str
        A name for each matrix. One matrix needs none, and keeps its barcodes without one.
    modality, layer : str, optional
        See :func:`open_matrix`; the same for all.

    Raises
    ------
    InputError
        As :func:`open_matrix`; the number of samples is another than that of the matrices; a file is given twice; or the matrices
        have different peaks.
    """
    if not matrices:
        raise InputError(f"There is no matrix. {EXPECTED_FORMATS}.")
    check_samples(samples, matrices)
    opened = [open_matrix(matrix, modality=modality, layer=layer) for matrix in matrices]
    if not samples:
        return opened[0]
    if len(opened) > 1:
        in_memory = [replace(each, where=f"{each.where} of {sample}") for each, sample in zip(opened, samples, strict=True)]
        opened = [each if each.files else named for each, named in zip(opened, in_memory, strict=True)]
    return join_matrices(opened, samples)


def _open_path(path: Path, modality: str | None, layer: str | None) -> PeakMatrix:
    if not path.exists():
        raise InputError(f"There is no {path}.")
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs")):
            check_no_outside_links(path)
            store = zarr.open_group(path, mode="r")
            opened = _from_store(path, store, lambda: nullcontext(zarr.open_group(path, mode="r")), modality, layer)
            if opened is not None:
                return opened
            contents = ", ".join(sorted(store)) or "nothing"
            raise InputError(f"{path} is a Zarr store of another kind (it contains {contents}). {EXPECTED_FORMATS}.")
        if is_10x_folder(path):
            _refuse(modality, "modality", f"the 10x folder {path}")
            _refuse(layer, "layer", f"the 10x folder {path}")
            return from_10x_folder(path)
        raise InputError(f"The folder {path} has neither a Zarr store nor matrix.mtx. {EXPECTED_FORMATS}.")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an HDF5 file. {EXPECTED_FORMATS}.")
    check_no_outside_links(path)
    load_hdf5_filters()
    with h5py.File(path, "r") as file:
        groups = set(file)
        if (known := _known_kind(path, file)) is not None:
            raise InputError(known)
        if (opened := _from_store(path, file, lambda: h5py.File(path, "r"), modality, layer)) is not None:
            return opened
        if "matrix" in groups and isinstance(file["matrix"], h5py.Group) and {"barcodes", "features"} <= set(file["matrix"]):
            _refuse(modality, "modality", f"the 10x file {path}")
            _refuse(layer, "layer", f"the 10x file {path}")
            return from_10x_h5(path, file["matrix"])
        kind = _other_kind(file, groups)
    raise InputError(f"{path} is {kind} (it contains {', '.join(sorted(groups)[:10]) or 'nothing'}). {EXPECTED_FORMATS}.")


def _from_store(path: Path, store: Store, reopen: Reopen, modality: str | None, layer: str | None) -> PeakMatrix | None:
    """Read a MuData or an AnnData in an open file or store; None if it is neither."""
    if is_mudata_store(store):
        return from_mudata_store(path, store, reopen, modality=modality, layer=layer)
    if {"obs", "var"} <= set(store):
        _refuse(modality, "modality", f"the AnnData {path}")
        return from_store(str(path), path, store, reopen, layer=layer)
    return None


def _refuse(value: str | None, name: str, what: str) -> None:
    """Raise InputError if a part is asked for that this format does not have."""
    if value is not None:
        having = "an AnnData or a MuData" if name == "layer" else "a MuData (.h5mu or .zarr)"
        raise InputError(
            f"{option(name)}: {what} has no {'layers' if name == 'layer' else 'modalities'}; only {having} has. "
            f"Leave {option(name)} out."
        )


def _known_kind(path: Path, file: h5py.File) -> str | None:
    """Say what to do with a file of SnapATAC2 that is no matrix of peaks."""
    if "uns/AnnDataSet" in file and "X" not in file:
        return (
            f"{path} is an AnnDataSet of SnapATAC2, which only points to the files of its samples. Write one matrix of peaks: "
            "snapatac2.pp.make_peak_matrix(dataset, use_rep=peaks, file='matrix.h5ad').close()."
        )
    if "X" not in file and any(name.startswith("fragment_") for name in file.get("obsm", ())):
        return (
            f"{path} has the fragments of SnapATAC2, not counts in peaks. Write the matrix of peaks: "
            "snapatac2.pp.make_peak_matrix(data, use_rep=peaks, file='matrix.h5ad').close()."
        )
    return None


def _other_kind(file: h5py.File, groups: set[str]) -> str:
    """Say what kind of HDF5 file this is that is not read."""
    if {"matrix", "row_attrs", "col_attrs"} <= groups:
        return "a loom file, which holds genes; a matrix of peaks is needed, saved from Python as .h5ad"
    of_10x = {"barcodes", "genes", "indptr"}
    if any(isinstance(member, h5py.Group) and of_10x <= set(member) for member in map(file.get, groups)):
        return "a gene matrix of Cell Ranger 1 or 2; the peaks are in the matrix of Cell Ranger ATAC"
    return "an HDF5 file of another kind"
