"""Read cells x peaks from a modality of a MuData: in memory, .h5mu or .zarr. The package mudata is not needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.anndata_matrix import Reopen, Store, all_genes, from_anndata, from_store, tables_of_store
from scbasset_zoo.inputs.gene_counts import GeneCounts
from scbasset_zoo.inputs.joined_tables import rows_of
from scbasset_zoo.inputs.matrix_entries import Entries, open_entries
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.inputs.peaks import has_intervals
from scbasset_zoo.progress import say
from scbasset_zoo.wording import did_you_mean, option

ATAC, RNA = "atac", "rna"


def is_mudata(data: object) -> bool:
    """Return whether an object in memory is a MuData: it has modalities by name."""
    return isinstance(getattr(data, "mod", None), Mapping)


def is_mudata_store(store: Store) -> bool:
    """Return whether an open file or store is a MuData."""
    return isinstance(store.get("mod"), h5py.Group | zarr.Group)


def from_mudata(mdata: Any, *, modality: str | None = None, layer: str | None = None) -> PeakMatrix:
    """Read a modality of a MuData in memory or backed."""
    where = "the MuData" if getattr(mdata, "filename", None) is None else str(mdata.filename)
    name = peak_modality(where, mdata, modality)
    matrix = from_anndata(mdata.mod[name], f"{where}, modality {name}", layer=layer)
    others = {other: mdata.mod[other].obs for other in mdata.mod if other != name}

    def genes() -> GeneCounts:
        _require_rna(where, mdata.mod)
        rna = mdata.mod[RNA]
        x = rna.layers.get(layer, rna.X)
        rows = _cells_of_rows(f"{where}, modality {RNA}", rna.obs, matrix)
        return all_genes(f"{where}, modality {RNA}", rna.var, rows, lambda: open_entries(x))

    return _with_columns(matrix, mdata.obs, others, name, genes)


def from_mudata_store(
    path: Path, store: Store, reopen: Reopen, *, modality: str | None = None, layer: str | None = None
) -> PeakMatrix:
    """Read a modality of a MuData in an open HDF5 file or Zarr store at `path`."""
    name = peak_modality(str(path), store, modality)

    def reopen_modality(name: str) -> Reopen:
        @contextmanager
        def opened() -> Iterator[Any]:
            with reopen() as file:
                yield file["mod"][name]

        return opened

    matrix = from_store(f"{path}, modality {name}", path, store["mod"][name], reopen_modality(name), layer=layer)
    others = {other: ad.io.read_elem(group["obs"]) for other, group in _by_name(store["mod"]).items() if other != name}

    def genes() -> GeneCounts:
        with readable(str(path)), reopen() as file:
            _require_rna(str(path), file["mod"])
            rna = file["mod"][RNA]
            obs, var = tables_of_store(f"{path}, modality {RNA}", rna)
            in_layer = layer is not None and "layers" in rna and layer in rna["layers"]

        def read() -> Iterator[Entries]:
            with reopen_modality(RNA)() as reopened:
                x = reopened["layers"][layer] if in_layer else reopened["X"]
                yield from open_entries(ad.io.sparse_dataset(x) if isinstance(x, h5py.Group | zarr.Group) else x)

        rows = _cells_of_rows(f"{path}, modality {RNA}", obs, matrix)
        return all_genes(f"{path}, modality {RNA}", var, rows, read)

    return _with_columns(matrix, ad.io.read_elem(store["obs"]), others, name, genes)


def var_of_mudata(data: Any) -> pd.DataFrame:
    """Return the table of the peaks of a MuData in memory."""
    var: pd.DataFrame = data.mod[peak_modality("the MuData", data, None)].var
    return var


def peak_modality(where: str, mudata: Any, modality: str | None) -> str:
    """Return the name of the modality of the peaks.

    Parameters
    ----------
    where : str
        Name of the MuData, for messages.
    mudata : MuData, or open file or store
    modality : str or None
        The name that the user gave. By default it is "atac", or else the only modality that has intervals of peaks.

    Raises
    ------
    InputError
        There is no such modality, or none or several that may be meant.
    """
    modalities = _by_name(mudata.mod if is_mudata(mudata) else mudata["mod"])
    if modality is not None:
        if modality in modalities:
            return modality
        raise InputError(
            f"{option('modality')}: {where} has no modality {modality!r}. {_listed(modalities)}{did_you_mean(modality, modalities)}"
        )
    if ATAC in modalities:
        return ATAC
    of_peaks = [name for name in modalities if has_intervals(_var(modalities[name]))]
    if len(of_peaks) == 1:
        say(f'{where}: the peaks are those of the modality "{of_peaks[0]}", the only one that has intervals.')
        return of_peaks[0]
    which = "none has intervals of peaks" if not of_peaks else f"{', '.join(of_peaks)} have intervals of peaks"
    raise InputError(
        f"{where} has no modality {ATAC!r}, and {which}. {_listed(modalities)} Choose the one of the peaks with "
        f"{option('modality')} in prepare, or write it as an .h5ad: mdata.mod[NAME].write_h5ad('peaks.h5ad')."
    )


def _by_name(modalities: Any) -> dict[str, Any]:
    """Return the modalities by name; a group of Zarr has no order and no items."""
    return {name: modalities[name] for name in sorted(modalities)}


def _listed(modalities: Any) -> str:
    shapes = []
    for name, part in _by_name(modalities).items():
        shape = part.shape if isinstance(part, ad.AnnData) else (len(ad.io.read_elem(part["obs"])), len(_var(part)))
        shapes.append(f"{name} ({shape[0]:,} cells x {shape[1]:,})")
    return f"It has the modalities {', '.join(shapes)}." if shapes else "It has no modality."


def _var(part: Any) -> pd.DataFrame:
    var = part.var if isinstance(part, ad.AnnData) else ad.io.read_elem(part["var"])
    return var if isinstance(var, pd.DataFrame) else pd.DataFrame(index=[])


def _require_rna(where: str, modalities: Any) -> None:
    if RNA not in modalities:
        raise InputError(f"{where} has no modality {RNA!r}, so there is no gene expression. {_listed(modalities)}")


def _cells_of_rows(where: str, obs: pd.DataFrame, matrix: PeakMatrix) -> NDArray[np.intp]:
    """Return the number of the cell of each row of another modality; -1 if it is not among those of the peaks."""
    barcodes = obs.index.astype(str)
    if barcodes.has_duplicates:
        raise InputError(f"{where}: the barcode {barcodes[barcodes.duplicated()][0]!r} is there more than once. Rename the cells.")
    rows: NDArray[np.intp] = matrix.cells.index.get_indexer(barcodes)
    return rows


def _with_columns(
    matrix: PeakMatrix, joint: pd.DataFrame, others: Mapping[str, pd.DataFrame], modality: str, genes: Callable[[], GeneCounts]
) -> PeakMatrix:
    """Add the columns of the cells that the joint .obs and the other modalities have and this one lacks, by barcode."""
    # The joint .obs may have the column "depth" of the modality as "atac:depth".
    tables = [joint.rename(columns={name: str(name).removeprefix(f"{modality}:") for name in joint})]
    tables += [obs.rename(columns={name: f"{other}:{name}" for name in obs}) for other, obs in others.items()]
    cells = matrix.cells
    for table in tables:
        is_new = np.array([name not in cells for name in table.columns], dtype=bool) & ~table.columns.duplicated()
        if not is_new.any():
            continue
        barcodes = table.index.astype(str)
        if barcodes.has_duplicates:
            say(f"{matrix.where}: barcodes repeat in .obs, so its columns are not joined to the cells.")
            continue
        cells = pd.concat([cells, rows_of(table.loc[:, is_new], barcodes.get_indexer(cells.index), cells.index)], axis=1)
    origin = {"modality": modality} | matrix.origin
    return dataclasses.replace(matrix, cells=cells, origin=origin, _read_genes=genes)
