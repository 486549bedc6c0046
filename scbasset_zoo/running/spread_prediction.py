"""A prediction whose peaks are embedded by other processes or machines, in shards, or in two goes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.parts import DividedAnalysis, Range, ranges
from scbasset_zoo.inputs.windows import fasta_windows
from scbasset_zoo.options import checked_options
from scbasset_zoo.progress import progress
from scbasset_zoo.running.results import provenance_of
from scbasset_zoo.runtime.models import Models, members
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.runtime.output import held_outputs, write_prediction
from scbasset_zoo.runtime.predictions import Prediction, predicted_anndata
from scbasset_zoo.runtime.several_predictions import open_prediction
from scbasset_zoo.spreading.executors import described
from scbasset_zoo.spreading.work import Work, require_no_pipes
from scbasset_zoo.wording import option
from scbasset_zoo.zoo.models import opened

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.extend.analysis import Context
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.runtime.model import Model
    from scbasset_zoo.runtime.options import DeviceName, Precision
    from scbasset_zoo.spreading.part_files import PartFile
    from scbasset_zoo.zoo.models import Given


class SpreadOptions(PredictOptions):
    """Options of a prediction, and the files that it reads."""

    peaks: Path | Any | None = Field(None, description="Peaks to predict.")
    genome: Path | Any | None = Field(None, description="Genome of the model's assembly.")
    sequences: Path | None = Field(None, description="FASTA of sequences to predict instead of peaks.")


class DividedPrediction(DividedAnalysis):
    """A prediction as divided work. Its parts are the stripes of peaks that a prediction in one process embeds in turn.

    It is no analysis that users name. The blocks of a prediction are joined by itself (:meth:`Prediction.take`).
    """

    name = "predict"
    Options = SpreadOptions

    def open_inputs(self, model: Model, options: SpreadOptions) -> Prediction:
        return _open([model], options, quiet=True)

    def parts(self, model: Model, inputs: Prediction, options: SpreadOptions) -> list[Range]:
        return ranges("peaks", inputs.n_peaks, inputs.stripe)

    def run_part(self, model: Model, inputs: Prediction, options: SpreadOptions, part: Range) -> Arrays:
        return {str(strand): values for strand, values in enumerate(inputs.strands(slice(part.first, part.last)))}

    def join(
        self, model: Model, inputs: Prediction, options: SpreadOptions, results: Iterable[tuple[Range, Arrays]], context: Context
    ) -> ad.AnnData:
        inputs.take(_stripes(results))
        return predicted_anndata(inputs)


def spread_prediction(
    model: Given,
    out: Path | None,
    *,
    executor: Executor | None,
    resume: bool,
    bigwig: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    device: DeviceName = "auto",
    precision: Precision = "float32",
    common_cells: bool = False,
    **options: Any,
) -> ad.AnnData | Prediction:
    """Predict as :func:`scbasset_zoo.predict` does; an executor embeds the peaks.

    Parameters
    ----------
    model, out, executor, resume, bigwig, overwrite, device, precision, common_cells
        As for :func:`scbasset_zoo.predict`.
    **options
        The fields of :class:`SpreadOptions`.

    Raises
    ------
    InputError
        As for :func:`scbasset_zoo.predict`.
    """
    if resume and out is None:
        raise InputError(f"{option('resume')} needs {option('out')}: finished parts are kept beside that file.")
    checked = checked_options("predict", SpreadOptions, options)
    require_no_pipes(checked)
    given = list(model) if isinstance(model, Models | list | tuple) else [model]
    with _held(out, bigwig, overwrite=overwrite, inputs=[given, *options.values()]):
        models = members(opened(model, device, common_cells=common_cells, precision=precision))
        prediction, work = _work(given, models, checked)
        prediction.uns["scbasset_zoo"]["spread"] = described(executor, len(work.parts))
        with work.computed(_by_stripe(work), executor, out if resume else None, quiet=False) as results:
            return _finished(prediction, work, results, out, bigwig, overwrite=overwrite)


def merged_prediction(
    files: Sequence[PartFile],
    given: Any,
    out: Path | None,
    *,
    bigwig: str | os.PathLike[str] | None,
    device: DeviceName,
    overwrite: bool,
    quiet: bool,
) -> ad.AnnData | Prediction:
    """Join the shards of a prediction. They are complete; arguments as for :func:`scbasset_zoo.merge`."""
    header = files[0].header
    checked = SpreadOptions.model_validate_json(header["options"])
    inputs = [given, *(file.path for file in files), checked.peaks, checked.genome, checked.sequences]
    with _held(out, bigwig, overwrite=overwrite, inputs=inputs):
        models = members(opened(given, device, common_cells=True, precision=header["precision"]))
        prediction, work = _work(given, models, checked)
        files[0].require_same(work.header, "this merge")
        prediction.uns["scbasset_zoo"]["spread"] = f"{len(work.parts)} parts in {len(files)} shards"
        of_number = {number: file for file in files for number in file.numbers()}
        with progress("joining parts", len(work.parts), quiet=quiet) as advance:

            def read() -> Iterator[tuple[int, Arrays]]:
                for number in _by_stripe(work):
                    yield number, of_number[number].read(number)
                    advance(1)

            return _finished(prediction, work, read(), out, bigwig, overwrite=overwrite)


def _open(models: Sequence[Model], options: SpreadOptions, *, quiet: bool) -> Prediction:
    """Open the prediction of one model or several."""
    peaks = options.peaks if options.sequences is None else fasta_windows(options.sequences, models[0].sequence_length)
    of_prediction = PredictOptions(**{name: value for name, value in dict(options).items() if name in PredictOptions.model_fields})
    return open_prediction(models, peaks, options.genome, of_prediction, quiet=quiet)


def _work(given: Sequence[Any], models: Sequence[Model], options: SpreadOptions) -> tuple[Prediction, Work]:
    prediction, analysis = _open(models, options, quiet=True), DividedPrediction()
    return prediction, Work(analysis, given, models, prediction.of_models, options, provenance_of(analysis, models, options))


def _by_stripe(work: Work) -> list[int]:
    """Return the numbers of the parts so that each stripe of peaks has those of all models together."""
    n_models = len(work.models)
    n_stripes = len(work.parts) // n_models
    return [model * n_stripes + stripe for stripe in range(n_stripes) for model in range(n_models)]


def _finished(
    prediction: Prediction,
    work: Work,
    results: Iterator[tuple[int, Arrays]],
    out: Path | None,
    bigwig: str | os.PathLike[str] | None,
    *,
    overwrite: bool,
) -> ad.AnnData | Prediction:
    """Give the results to the prediction, and write it, or return it as an AnnData."""
    prediction.take(_stripes((work.parts[number][1], arrays) for number, arrays in results))
    if out is None:
        return predicted_anndata(prediction)
    write_prediction(prediction, out, bigwig, overwrite=overwrite)
    return prediction


def _stripes(results: Iterable[tuple[Range, Arrays]]) -> Iterator[tuple[slice, list[Any]]]:
    for part, arrays in results:
        yield slice(part.first, part.last), [arrays[name] for name in sorted(arrays)]


def _held(
    out: Path | None, bigwig: str | os.PathLike[str] | None, *, overwrite: bool, inputs: Sequence[Any]
) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if out is None else held_outputs(out, bigwig, overwrite=overwrite, inputs=inputs)
