"""`scbasset_zoo.predict`: predict peaks with one model or several, given by name, folder or URL."""

from __future__ import annotations

import os
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, overload

from scbasset_zoo.errors import InputError
from scbasset_zoo.options import declares_options
from scbasset_zoo.runtime.options import DeviceName, Precision, PredictKeywords, PredictOptions
from scbasset_zoo.wording import option
from scbasset_zoo.zoo.models import opened

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows
    from scbasset_zoo.runtime.predictions import Prediction
    from scbasset_zoo.zoo.models import Given


@overload
def predict(
    model: Given,
    peaks: PeaksLike | Windows,
    genome: GenomeLike | None = None,
    *,
    out: None = None,
    bigwig: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    device: DeviceName = "auto",
    precision: Precision = "float32",
    common_cells: bool = False,
    executor: Executor | None = None,
    resume: bool = False,
    **options: Unpack[PredictKeywords],
) -> ad.AnnData: ...


@overload
def predict(
    model: Given,
    peaks: PeaksLike | Windows,
    genome: GenomeLike | None = None,
    *,
    out: str | os.PathLike[str],
    bigwig: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    device: DeviceName = "auto",
    precision: Precision = "float32",
    common_cells: bool = False,
    executor: Executor | None = None,
    resume: bool = False,
    **options: Unpack[PredictKeywords],
) -> Prediction: ...


@declares_options(PredictOptions)
def predict(
    model: Given,
    peaks: PeaksLike | Windows,
    genome: GenomeLike | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    bigwig: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    device: DeviceName = "auto",
    precision: Precision = "float32",
    common_cells: bool = False,
    executor: Executor | None = None,
    resume: bool = False,
    **options: Unpack[PredictKeywords],
) -> ad.AnnData | Prediction:
    """Predict peaks of a genome in every cell of a model, or of several models together: in memory, or to a file.

    Parameters
    ----------
    model : Model, Models, str or path, or list of str or path
        An open model, or what :func:`scbasset_zoo.open_model` opens: a name of the zoo, a folder or a URL. Several models of the
        same cells, as for :func:`scbasset_zoo.open_models`, give their mean, and their standard deviation in ``.layers["std"]``.
    peaks, genome
        As for :meth:`scbasset_zoo.Model.predict`.
    out : path, optional
        Write the result to this .h5ad, .zarr or .parquet file; see :func:`scbasset_zoo.runtime.output.write_predictions`. It
        is computed in blocks, so it may be larger than the free memory.
    bigwig : path, optional
        Also write a bigWig file of each group, or of each of at most 200 cells, to this folder. `out` must be given, too.
    overwrite : bool
        Replace `out` and `bigwig` if they exist.
    device : "auto", "cpu", "openvino", "cuda" or "tensorrt"
        Device for a model that is given by name; an open model stays on its own device.
    precision : "float32", "bfloat16", "float16" or "tf32"
        What the factors of products are rounded to on that device, see :func:`scbasset_zoo.open_model`.
    common_cells : bool
        Keep the cells that all models have; see :func:`scbasset_zoo.open_models`.
    executor : concurrent.futures.Executor, optional
        Embeds the peaks, part by part: :class:`scbasset_zoo.LocalProcesses`, or Dask's ``client.get_executor()``. The result is the
        same.
    resume : bool
        Keep each finished part beside `out` until the file is written, and go on with those that an interrupted run left there.
    **options
        See :class:`scbasset_zoo.runtime.options.PredictOptions`.

    Returns
    -------
    AnnData or Prediction
        Without `out`, the AnnData of :meth:`scbasset_zoo.Model.predict`. With `out`, a Prediction, whose `obs`, `var` and `uns`
        are those of the file.

    Raises
    ------
    InputError
        The peaks, genome, cells, options or `out` cannot be used, or a result without `out` is larger than the free memory.
    SourceError, PackageError, DeviceError
        As for :func:`scbasset_zoo.open_model`.
    """
    if out is None and bigwig is not None:
        raise InputError(f"{option('bigwig')} needs {option('out')}: tracks are written while the result goes to its file.")
    if executor is not None or resume:
        from scbasset_zoo.running.spread_prediction import spread_prediction

        return spread_prediction(
            model, None if out is None else Path(out), executor=executor, resume=resume, bigwig=bigwig, overwrite=overwrite,
            device=device, precision=precision, common_cells=common_cells, peaks=peaks, genome=genome, **options,
        )  # fmt: skip
    if out is None:
        return opened(model, device, common_cells=common_cells, precision=precision).predict(peaks, genome, **options)
    from scbasset_zoo.runtime.output import held_outputs, write_predictions

    with held_outputs(Path(out), bigwig, overwrite=overwrite, inputs=[model, peaks, genome]):
        models = opened(model, device, common_cells=common_cells, precision=precision)
        return write_predictions(models, peaks, genome, out, bigwig=bigwig, overwrite=overwrite, **options)
