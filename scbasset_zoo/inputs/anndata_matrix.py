"""Read cells x peaks from an AnnData: in memory, .h5ad or .zarr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import pandas as pd
import zarr

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.matrix_entries import Entries, open_entries
from scbasset_zoo.inputs.peak_matrix import EXPECTED_FORMATS, PeakMatrix, peak_rows
from scbasset_zoo.inputs.peaks import has_intervals, peaks_from_var


def from_anndata(adata: ad.AnnData) -> PeakMatrix:
    """Read an AnnData in memory or backed."""
    where = "the AnnData"
    if adata.isbacked:
        # The file may be open for writing elsewhere, so the matrix is read through the handle that is open.
        where = str(adata.filename)
    return _peak_matrix(where, adata.obs, adata.var, adata.X, [])


def from_h5ad(path: Path, file: h5py.File) -> PeakMatrix:
    """Read an AnnData in an open HDF5 file."""
    return _from_store(path, file, lambda: h5py.File(path, "r"))


def from_zarr(path: Path) -> PeakMatrix:
    """Read an AnnData in a Zarr store."""
    store = zarr.open_group(path, mode="r")
    check_no_mudata(path, store)
    if not {"obs", "var"} <= set(store):
        raise InputError(
            f"{path} is a Zarr store of another kind (it contains {', '.join(sorted(store)) or 'nothing'}). {EXPECTED_FORMATS}."
        )
    return _from_store(path, store, lambda: contextlib.nullcontext(zarr.open_group(path, mode="r")))


def check_no_mudata(path: Path, store: h5py.File | zarr.Group) -> None:
    """Raise InputError that names the modalities if a store is a MuData."""
    modalities = store.get("mod")
    if not isinstance(modalities, h5py.Group | zarr.Group):
        return
    names = sorted(modalities)
    peaks = "atac" if "atac" in names else "NAME"
    read = "read_zarr" if path.is_dir() else "read"
    raise InputError(
        f"{path} is a MuData with the modalities {', '.join(names)}; expected one AnnData, cells x peaks. Write the modality of "
        f"the peaks: mudata.{read}({path.name!r}).mod[{peaks!r}].write_h5ad('peaks.h5ad')."
    )


def _from_store(path: Path, store: Any, reopen: Callable[[], Any]) -> PeakMatrix:
    if "X" not in store:
        raise InputError(f"{path} has no X. {EXPECTED_FORMATS}.")
    obs, var = ad.io.read_elem(store["obs"]), ad.io.read_elem(store["var"])
    if not (isinstance(obs, pd.DataFrame) and isinstance(var, pd.DataFrame)):
        raise InputError(f"{path} was written by an anndata older than 0.7. Read it with anndata and write it again.")

    def read() -> Iterator[Entries]:
        with reopen() as reopened:
            yield from open_entries(_stored(reopened["X"]))

    return _peak_matrix(str(path), obs, var, _stored(store["X"]), [path], read)


def _stored(x: Any) -> Any:
    return ad.io.sparse_dataset(x) if isinstance(x, h5py.Group | zarr.Group) else x


def _peak_matrix(
    where: str,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    x: Any,
    files: list[Path],
    read: Callable[[], Iterator[Entries]] | None = None,
) -> PeakMatrix:
    if x is None:
        raise InputError(f"{where} has no X, so there are no cells x peaks.")
    if tuple(x.shape) != (len(obs), len(var)):
        raise InputError(f"{where} is damaged: X is {x.shape}, but .obs has {len(obs):,} rows and .var {len(var):,}.")
    obs = obs.set_axis(obs.index.astype(str), axis=0)
    types = var["feature_types"].to_numpy(dtype=object) if "feature_types" in var else None
    rows = peak_rows(types, len(var), where)
    try:
        peaks = peaks_from_var(var.iloc[rows], f"{where}, .var", rows)
    except InputError as error:
        if len(obs) and has_intervals(obs) and not has_intervals(var):
            raise InputError(
                f"{where}: the peaks are in .obs and the cells in .var, so the matrix is peaks x cells. Expected "
                "cells x peaks: transpose it (adata.T)."
            ) from error
        raise
    return PeakMatrix(where, obs, peaks, files, read or (lambda: open_entries(x)), len(var))
