"""Write predictions to a file in blocks: AnnData (.h5ad, .zarr) or a table of peaks (.parquet)."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination, new_file, require_separate
from scbasset_zoo.hdf5_writing import new_hdf5
from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.read_ahead import read_ahead
from scbasset_zoo.runtime.models import Models, members
from scbasset_zoo.runtime.options import PredictKeywords, PredictOptions
from scbasset_zoo.runtime.prediction_tracks import Blocks, blocks_with_tracks
from scbasset_zoo.runtime.predictions import STD, Block, Prediction, latent_anndata
from scbasset_zoo.runtime.several_predictions import open_prediction
from scbasset_zoo.runtime.storable import storable
from scbasset_zoo.tracks.bigwig import tracks_in
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import anndata as ad
    import pyarrow as pa

    from scbasset_zoo.runtime.model import Model

SUFFIXES = (".h5ad", ".zarr", ".parquet")
MAX_TABLE_COLUMNS = 20_000
# Cells and peaks of a chunk on disk: 1 MiB of float32 in HDF5, and 4 MiB in Zarr, where each chunk is a file.
_H5AD_CHUNK, _ZARR_CHUNK = (1024, 256), (4096, 256)


@declares_options(PredictOptions)
def write_predictions(
    model: Model | Models,
    peaks: PeaksLike | Windows,
    genome: GenomeLike | None,
    out: str | os.PathLike[str],
    *,
    bigwig: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    **options: Unpack[PredictKeywords],
) -> Prediction:
    """Predict to a file, in blocks: memory does not grow with cells x peaks. The file appears when it is complete.

    Parameters
    ----------
    model : Model or Models
    peaks, genome
        As for :meth:`scbasset_zoo.Model.predict`.
    out : path
        File to write. ``.h5ad`` and ``.zarr`` hold the AnnData that `Model.predict` returns. ``.parquet`` has one row for each
        peak: its chrom, start, end and name, and one column for each cell or group, or for each dimension of the peak
        embedding. For several models, the columns of the standard deviations follow; their names end in ``_std``.
    bigwig : path, optional
        Folder for a bigWig file of each group, or of each of at most 200 cells, with the value of each peak. See
        :class:`scbasset_zoo.tracks.bigwig.BigWigFolder`.
    overwrite : bool
        Replace `out` and `bigwig` if they exist.
    **options
        See :class:`scbasset_zoo.runtime.options.PredictOptions`.

    Returns
    -------
    Prediction
        Its `obs`, `var` and `uns` are those of the file.

    Raises
    ------
    InputError
        `out` has another suffix, exists, cannot be written, or would be a table of more than 20,000 columns; `bigwig` exists,
        lies in `out`, would have more than 200 files, or the peaks are sequences; or an error of `Model.predict`.
    """
    models, out = members(model), Path(out)
    with held_outputs(out, bigwig, overwrite=overwrite, inputs=[*models, peaks, genome]):
        prediction = open_prediction(models, peaks, genome, checked_options("predict", PredictOptions, options))
        write_prediction(prediction, out, bigwig, overwrite=overwrite)
        return prediction


@contextlib.contextmanager
def held_outputs(out: Path, bigwig: str | os.PathLike[str] | None, *, overwrite: bool, inputs: Sequence[Any]) -> Iterator[None]:
    """Hold the outputs of a prediction; raise InputError if one cannot be written, or would replace an input or the other."""
    if out.suffix not in SUFFIXES:
        raise InputError(f"{out} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    with contextlib.ExitStack() as stack:
        stack.enter_context(destination(out, overwrite=overwrite, inputs=inputs))
        if bigwig is not None:
            require_separate({"out": out, "bigwig": Path(bigwig)})
            stack.enter_context(destination(bigwig, overwrite=overwrite, replaceable=tracks_in, inputs=inputs))
        yield


def write_prediction(
    prediction: Prediction, out: Path, bigwig: str | os.PathLike[str] | None = None, *, overwrite: bool = False
) -> None:
    """Write a prediction to a file, and its tracks to a folder if one is given, in blocks. Both are held."""
    if bigwig is None:
        _write_blocks(prediction, prediction.blocks, out, overwrite=overwrite)
    else:
        with blocks_with_tracks(prediction, bigwig, overwrite=overwrite) as blocks:
            _write_blocks(prediction, blocks, out, overwrite=overwrite)


def _write_blocks(prediction: Prediction, blocks: Blocks, out: Path, *, overwrite: bool) -> None:
    if out.suffix == ".parquet":
        _check_columns(prediction, out)
        with new_file(out, overwrite=overwrite) as partial:
            _write_parquet(prediction, blocks, partial)
    elif prediction.options.output == "peak_embedding":
        write_anndata(latent_anndata(prediction), None, out, overwrite=overwrite)
    else:
        import anndata as ad

        tables = ad.AnnData(obs=prediction.obs, var=prediction.var, uns=prediction.uns)
        with read_ahead(blocks()) as computed:
            write_anndata(tables, computed, out, overwrite=overwrite)


def write_anndata(
    tables: ad.AnnData, blocks: Iterable[Block] | None, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write an AnnData whose X comes in blocks: memory does not grow with the size of X.

    Parameters
    ----------
    tables : AnnData
        Everything except X.
    blocks : iterable of Block, or None
        X in blocks, float32. Its columns may be peaks, genes, motifs or anything else; `Block.peaks` are their positions.
        With None the file has no X. If blocks have a standard deviation, it is the layer "std".
    path : path
        File to write: ``.h5ad`` or ``.zarr``.
    overwrite : bool
        Replace `path` if it exists.
    """
    import anndata as ad
    import h5py
    import zarr

    with new_file(path, overwrite=overwrite) as partial:
        stored = storable(tables)
        if partial.suffix == ".h5ad":
            with new_hdf5(partial) as target, h5py.File(target, "w") as file:
                _write_parts(stored, file)
                _write_values(blocks, stored.shape, file.create_dataset, _H5AD_CHUNK, target.check)
        else:
            store = zarr.open_group(partial, mode="w", zarr_format=ad.settings.zarr_write_format)
            _write_parts(stored, store)
            _write_values(blocks, stored.shape, store.create_array, _ZARR_CHUNK, lambda: None)


def _write_parts(tables: ad.AnnData, store: Any) -> None:
    """Write the elements of an AnnData file, without X: https://anndata.readthedocs.io/en/stable/fileformat-prose.html."""
    import anndata as ad

    store.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    for name in ("obs", "var", "uns", "obsm", "varm", "obsp", "varp", "layers"):
        element = getattr(tables, name)
        ad.io.write_elem(store, name, element if name in ("obs", "var") else dict(element))


def _write_values(
    blocks: Iterable[Block] | None,
    shape: tuple[int, int],
    create: Callable[..., Any],
    chunk: tuple[int, int],
    check: Callable[[], None],
) -> None:
    if blocks is None:
        return
    chunks = tuple(max(1, min(pair)) for pair in zip(shape, chunk, strict=True))

    def new_array(name: str) -> Any:
        array = create(name, shape=shape, dtype=np.float32, chunks=chunks)
        array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        return array

    x, std = new_array("X"), None
    for block in blocks:
        x[block.rows, block.peaks] = block.values
        if block.std is not None:
            std = new_array(f"layers/{STD}") if std is None else std
            std[block.rows, block.peaks] = block.std
        check()


def _write_parquet(prediction: Prediction, blocks: Blocks, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = _value_columns(prediction)
    positions = _position_columns(prediction)
    schema = pa.schema(
        [*((name, values.type) for name, values in positions.items()), *((name, pa.float32()) for name in names)],
        metadata={"scbasset_zoo": json.dumps(prediction.uns["scbasset_zoo"])},
    )
    with pq.ParquetWriter(path, schema) as writer, read_ahead(_rows_of_peaks(prediction, blocks)) as rows:
        for peaks, values in rows:
            n = peaks.stop - peaks.start
            columns = [column.slice(peaks.start, n) for column in positions.values()]
            writer.write_table(pa.table([*columns, *(pa.array(row) for row in values)], schema=schema))


def _rows_of_peaks(prediction: Prediction, blocks: Blocks) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the values of consecutive peaks in all columns, (columns, peaks), joined from the blocks of a stripe."""
    if prediction.options.output == "peak_embedding":
        yield slice(0, prediction.n_peaks), np.ascontiguousarray(prediction.peak_embedding().T)
        return
    gathered: list[NDArray[np.float32]] = []
    gathered_std: list[NDArray[np.float32]] = []
    for block in blocks():
        gathered.append(block.values)
        if block.std is not None:
            gathered_std.append(block.std)
        if block.rows.stop == prediction.n_rows:
            yield block.peaks, np.concatenate([*gathered, *gathered_std])
            gathered, gathered_std = [], []


def _position_columns(prediction: Prediction) -> dict[str, pa.Array]:
    import pyarrow as pa

    var = prediction.var
    if "chrom" not in var:
        return {"name": pa.array(var.index.to_numpy(dtype=object), pa.string())}
    types = {"chrom": pa.string(), "start": pa.int64(), "end": pa.int64(), "name": pa.string()}
    return {name: pa.array(var[name].to_numpy(), kind) for name, kind in types.items()}


def _value_columns(prediction: Prediction) -> list[str]:
    if prediction.options.output == "peak_embedding":
        return [f"embedding_{i}" for i in range(prediction.model.cell_embedding.shape[1])]
    names = [str(name) for name in prediction.obs.index]
    return names if prediction.values_per_entry == 1 else [*names, *(f"{name}_{STD}" for name in names)]


def _check_columns(prediction: Prediction, out: Path) -> None:
    names = _value_columns(prediction)
    if len(names) > MAX_TABLE_COLUMNS:
        raise InputError(
            f"{out} would have {len(names):,} columns; a table has at most {MAX_TABLE_COLUMNS:,}. Group the cells with "
            f"{option('group_by')}, choose some with {option('cells')}, or write .zarr or .h5ad."
        )
    repeated = {name for name in prediction.obs.index if f"{name}_{STD}" in prediction.obs.index}
    if repeated and prediction.values_per_entry == 2:
        raise InputError(
            f"{out}: '{min(repeated)}_{STD}' is the name of a cell or group, and of a column of standard deviations. "
            "Write .zarr or .h5ad."
        )
    clash = {"chrom", "start", "end", "name"}.intersection(names)
    if clash:
        raise InputError(
            f"{out}: {sorted(clash)[0]!r} is the name of a cell or group and of a column of peaks. Write .zarr or .h5ad instead."
        )
