"""Read cells x peaks from an AnnData: in memory, .h5ad or .zarr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.gene_counts import GENE_IDS, GeneCounts, gene_columns
from scbasset_zoo.inputs.matrix_entries import Entries, open_entries
from scbasset_zoo.inputs.peak_matrix import EXPECTED_FORMATS, PeakMatrix, peak_rows
from scbasset_zoo.inputs.peaks import has_intervals, peaks_from_var
from scbasset_zoo.wording import did_you_mean, option

Store: TypeAlias = h5py.File | h5py.Group | zarr.Group
# Opens the part of a file or store that holds the AnnData.
Reopen: TypeAlias = Callable[[], AbstractContextManager[Any]]


def from_anndata(adata: ad.AnnData, where: str | None = None, *, layer: str | None = None) -> PeakMatrix:
    """Read an AnnData in memory or backed.

    The file of a backed one may be open for writing elsewhere, so the matrix is read through the handle that is open.
    """
    where = where or (str(adata.filename) if adata.isbacked else "the AnnData")
    require_layer(adata.layers, layer, where)
    x = adata.X if layer is None else adata.layers[layer]
    return _peak_matrix(where, adata.obs, adata.var, x, [], tuple(adata.layers), layer)


def from_store(where: str, path: Path, store: Store, reopen: Reopen, *, layer: str | None = None) -> PeakMatrix:
    """Read an AnnData in an open HDF5 file or Zarr store at `path`."""
    layers = tuple(store["layers"]) if "layers" in store else ()
    require_layer(layers, layer, where)
    if layer is None and "X" not in store:
        raise InputError(f"{where} has no X. {_layers(layers)}{EXPECTED_FORMATS}.")
    obs, var = tables_of_store(where, store)

    def read() -> Iterator[Entries]:
        with reopen() as reopened:
            yield from open_entries(_values(reopened, layer))

    return _peak_matrix(where, obs, var, _values(store, layer), [path], layers, layer, read)


def tables_of_store(where: str, store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read .obs and .var of an AnnData in an open file or store."""
    obs, var = ad.io.read_elem(store["obs"]), ad.io.read_elem(store["var"])
    if not (isinstance(obs, pd.DataFrame) and isinstance(var, pd.DataFrame)):
        raise InputError(f"{where} was written by an anndata older than 0.7. Read it with anndata and write it again.")
    return obs, var


def require_layer(layers: Any, layer: str | None, where: str) -> None:
    """Raise InputError that lists the layers if a layer is asked for that does not exist."""
    if layer is not None and layer not in layers:
        others = f"It has the layers {', '.join(layers)}" if len(layers) else "It has none"
        raise InputError(
            f"{option('layer')}: {where} has no layer {layer!r}. {others}; without {option('layer')}, X is read."
            f"{did_you_mean(layer, layers)}"
        )


def all_genes(where: str, var: pd.DataFrame, cells: NDArray[np.intp], read: Callable[[], Iterator[Entries]]) -> GeneCounts:
    """Return the counts of all columns as genes.

    Parameters
    ----------
    where : str
        Name of the AnnData, for messages.
    var : DataFrame
        Table of the genes.
    cells : int array
        Number of the cell of each row, see :class:`GeneCounts`.
    read : callable
        Yields the entries.
    """
    return _genes(where, var, np.arange(len(var)), cells, read)


def _genes(
    where: str, var: pd.DataFrame, columns: NDArray[np.intp], cells: NDArray[np.intp], read: Callable[[], Iterator[Entries]]
) -> GeneCounts:
    table = var.iloc[columns]
    names = table.index.astype(str)
    ids = table[GENE_IDS].astype(str).to_numpy(dtype=object) if GENE_IDS in table else names.to_numpy(dtype=object)
    return GeneCounts(where, pd.DataFrame({GENE_IDS: ids}, index=names), columns, cells, len(var), read)


def _values(store: Store, layer: str | None) -> Any:
    x = store["X"] if layer is None else store["layers"][layer]
    return ad.io.sparse_dataset(x) if isinstance(x, h5py.Group | zarr.Group) else x


def _layers(layers: tuple[str, ...]) -> str:
    return f"It has the layers {', '.join(layers)}: choose one with {option('layer')}. " if layers else ""


def _peak_matrix(
    where: str,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    x: Any,
    files: list[Path],
    layers: tuple[str, ...],
    layer: str | None,
    read: Callable[[], Iterator[Entries]] | None = None,
) -> PeakMatrix:
    if x is None:
        raise InputError(f"{where} has no X, so there are no cells x peaks. {_layers(layers)}".rstrip())
    values = "X" if layer is None else f"layers[{layer!r}]"
    if tuple(x.shape) != (len(obs), len(var)):
        raise InputError(f"{where} is damaged: {values} is {x.shape}, but .obs has {len(obs):,} rows and .var {len(var):,}.")
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
    read = read or (lambda: open_entries(x))
    columns = gene_columns(types)
    genes = (lambda: _genes(where, var, columns, np.arange(len(obs)), read)) if len(columns) else None
    origin = {} if layer is None else {"layer": layer}
    return PeakMatrix(where, obs, peaks, files, read, len(var), values, layers, origin, genes)
