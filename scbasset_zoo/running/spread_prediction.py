"""A prediction whose peaks are embedded by other processes or machines, or that goes on after it was interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.parts import DividedAnalysis, Range, ranges
from scbasset_zoo.files import destination
from scbasset_zoo.inputs.windows import fasta_windows
from scbasset_zoo.options import checked_options
from scbasset_zoo.runtime.models import Models, members
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.runtime.output import require_suffix, write_prediction
from scbasset_zoo.runtime.predictions import Prediction
from scbasset_zoo.spreading.executors import described
from scbasset_zoo.spreading.work import Work, require_divided
from scbasset_zoo.version import __version__
from scbasset_zoo.zoo.models import opened

if TYPE_CHECKING:
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.runtime.model import Model
    from scbasset_zoo.runtime.options import DeviceName, Precision
    from scbasset_zoo.zoo.models import Given


class SpreadOptions(PredictOptions):
    """Options of a prediction, and the files that it reads."""

    peaks: Path | Any | None = Field(None, description="Peaks to predict.")
    genome: Path | Any | None = Field(None, description="Genome of the model's assembly.")
    sequences: Path | None = Field(None, description="FASTA of sequences to predict instead of peaks.")


class SpreadPrediction(DividedAnalysis):
    """A prediction as divided work. Its parts are the stripes of peaks that a prediction in one process embeds in turn."""

    name = "predict"
    Options = SpreadOptions

    def open_inputs(self, model: Model, options: SpreadOptions) -> Prediction:
        peaks = options.peaks if options.sequences is None else fasta_windows(options.sequences, model.sequence_length)
        of_prediction = {name: value for name, value in dict(options).items() if name in PredictOptions.model_fields}
        return Prediction(model, peaks, options.genome, PredictOptions(**of_prediction), quiet=True)

    def parts(self, model: Model, inputs: Prediction, options: SpreadOptions) -> list[Range]:
        return ranges("peaks", inputs.n_peaks, inputs.stripe)

    def run_part(self, model: Model, inputs: Prediction, options: SpreadOptions, part: Range) -> Arrays:
        return {str(strand): values for strand, values in enumerate(inputs.strands(slice(part.first, part.last)))}

    def join(
        self, model: Model, inputs: Prediction, options: SpreadOptions, results: Iterable[tuple[Range, Arrays]], context: Context
    ) -> Any:
        inputs.take((slice(part.first, part.last), [arrays[name] for name in sorted(arrays)]) for part, arrays in results)
        assert context.out is not None
        write_prediction(inputs, context.out, overwrite=True)


def write_spread_prediction(
    model: Given,
    out: str | os.PathLike[str],
    *,
    executor: Executor | None,
    resume: bool,
    overwrite: bool = False,
    device: DeviceName = "auto",
    precision: Precision = "float32",
    **options: Any,
) -> Prediction:
    """Predict to a file as :func:`scbasset_zoo.predict` does; an executor embeds the peaks.

    Parameters
    ----------
    model, out, device, precision, overwrite
        As for :func:`scbasset_zoo.predict`; one model.
    executor : Executor, optional
        Computes the parts; without it, this process does.
    resume : bool
        Keep finished parts beside `out`, and go on with those of an interrupted run.
    **options
        The fields of :class:`SpreadOptions`.

    Raises
    ------
    InputError
        As for :func:`scbasset_zoo.predict`, or there are several models.
    """
    out, given = Path(out), list(model) if isinstance(model, Models | list | tuple) else [model]
    analysis = require_divided(SpreadPrediction(), len(given))
    checked = checked_options("predict", SpreadOptions, options)
    require_suffix(out)
    with destination(out, overwrite=overwrite, inputs=[given, *options.values()]):
        opened_model = members(opened(given[0], device, precision=precision))[0]
        prediction: Prediction = analysis.open_inputs(opened_model, checked)
        provenance = {
            "analysis": analysis.name,
            "plugin": "scbasset_zoo",
            "card_sha256": opened_model.card_sha256,
            "precision": opened_model.device.precision,
            "options": json.dumps(checked.model_dump(mode="json", fallback=repr)),
            "scbasset_zoo_version": __version__,
        }
        work = Work(analysis, given[0], opened_model, prediction, checked, provenance)
        prediction.uns["scbasset_zoo"]["spread"] = described(executor, len(work.parts))
        numbers = range(len(work.parts))
        with work.computed(numbers, executor, out if resume else None, quiet=False) as results:
            analysis.join(opened_model, prediction, checked, work.named(results), Context(out, False, provenance))
    return prediction
