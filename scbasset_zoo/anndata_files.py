"""Writes an AnnData that is in memory to .h5ad or .zarr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scbasset_zoo.errors import InputError
from scbasset_zoo.hdf5_writing import new_hdf5

if TYPE_CHECKING:
    import anndata as ad

SUFFIXES = (".h5ad", ".zarr")


def check_suffix(path: Path) -> None:
    """Raise InputError unless an AnnData can have this name."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: the result is an AnnData; expected a name that ends in {' or '.join(SUFFIXES)}.")


def write_anndata_file(data: ad.AnnData, path: Path) -> None:
    """Write an AnnData by the suffix of the path.

    Raises
    ------
    OSError
        The disk is full, or the file cannot be written for another reason.
    """
    import anndata as ad
    import h5py
    import zarr

    if path.suffix == ".zarr":
        # AnnData.write_zarr warns that it writes version 2, which all readers know.
        ad.io.write_elem(zarr.open_group(path, mode="w", zarr_format=ad.settings.zarr_write_format), "/", data)
    else:
        with new_hdf5(path) as target, h5py.File(target, "w") as file:
            ad.io.write_elem(file, "/", data)
