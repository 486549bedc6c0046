"""Shards of an analysis: computes one of N shares of its parts into a file, and merges the files of all shares into the result."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo import plugin_manager
from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination
from scbasset_zoo.options import checked_options
from scbasset_zoo.running.libraries import prepare_libraries
from scbasset_zoo.running.results import provenance_of
from scbasset_zoo.running.run import Outputs, naming_plugin, run_opened
from scbasset_zoo.running.spread_prediction import DividedPrediction, merged_prediction
from scbasset_zoo.runtime.models import Models, members
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.runtime.several_predictions import require_combinable
from scbasset_zoo.spreading.part_files import SUFFIX, PartFile, write_parts
from scbasset_zoo.spreading.work import Work, require_divided, require_no_pipes
from scbasset_zoo.wording import option
from scbasset_zoo.zoo.models import opened

if TYPE_CHECKING:
    from pydantic import BaseModel

    from scbasset_zoo.extend.analysis import Context, Result
    from scbasset_zoo.extend.parts import Arrays, DividedAnalysis
    from scbasset_zoo.running.run import OfModel, Spread
    from scbasset_zoo.runtime.model import Model
    from scbasset_zoo.runtime.options import DeviceName, Precision
    from scbasset_zoo.runtime.predictions import Prediction
    from scbasset_zoo.zoo.models import Given


def run_shard(
    name: str,
    model: Given,
    *,
    shard: str | tuple[int, int],
    out: str | os.PathLike[str],
    device: DeviceName = "auto",
    precision: Precision = "float32",
    common_cells: bool = False,
    executor: Executor | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Path:
    """Compute one of N shards of an analysis or a prediction, for :func:`merge` to join: on clusters without a scheduler of Python.

    Parameters
    ----------
    name : str
        Name of the analysis, or "predict".
    model, device, precision, common_cells, executor, resume, quiet, **options
        As for :func:`scbasset_zoo.run` or :func:`scbasset_zoo.predict`. All shards have the same options. Inputs are given as
        files.
    shard : "I/N" or (I, N)
        The number of the shard, from 1, and the number of shards. Shard I has every N-th part, from the I-th.
    out : path
        File of the shard, which ends in .parts.
    overwrite : bool
        Replace `out` if it exists.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        As for :func:`scbasset_zoo.run`, or the work of the analysis does not divide, or an option is an object in memory.
    """
    divided = _divided(name)
    checked = checked_options(name, divided.Options, options)
    given = list(model) if isinstance(model, Models | list | tuple) else [model]
    if len(given) > 1 and isinstance(checked, PredictOptions):
        require_combinable(checked)
    elif len(given) > 1:
        divided.combiner(checked)
    number, n_shards = _shard(shard)
    out = Path(out)
    if out.suffix != SUFFIX:
        raise InputError(f"{out}: a shard is written as {SUFFIX}. Choose a name that ends so; scbasset-zoo merge makes the result.")
    _require_files(divided, checked)
    require_no_pipes(checked)
    with destination(out, overwrite=overwrite, inputs=[given, *options.values()]):
        models = members(opened(model, device, common_cells=common_cells, precision=precision))
        prepare_libraries()
        provenance = provenance_of(divided, models, checked)
        with naming_plugin(divided, provenance["plugin"]):
            inputs = [divided.open_inputs(each, checked) for each in models]
            work = Work(divided, given, models, inputs, checked, provenance)
            numbers = range(len(work.parts))[number - 1 :: n_shards]
            with work.computed(numbers, executor, out if resume else None, quiet=quiet) as results:
                write_parts(out, {**work.header, "shard": [number, n_shards]}, results)
    return out


def merge(
    shards: Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    bigwig: str | os.PathLike[str] | None = None,
    igv: bool = False,
    model: Given | None = None,
    device: DeviceName = "auto",
    overwrite: bool = False,
    quiet: bool = False,
) -> Result | Prediction:
    """Join the shards of an analysis or a prediction into its result, which equals that of a run without shards.

    Parameters
    ----------
    shards : sequence of paths
        The files of all shards, in any order.
    out, plot, report, bigwig, igv, device, overwrite, quiet
        As for :func:`scbasset_zoo.run`.
    model : Model, or a name, folder or URL, or several, optional
        The models, if they are no longer where the shards found them. Inputs are opened where the shards found them.

    Returns
    -------
    AnnData, xarray.Dataset or Prediction
        As from :func:`scbasset_zoo.run`, or :func:`scbasset_zoo.predict`.

    Raises
    ------
    InputError
        A shard is missing, there twice or damaged, or has another analysis, model, options, input files or number of shards.
    """
    files = [PartFile(Path(path)) for path in shards]
    _require_complete(files)
    header = files[0].header
    divided = _divided(header["analysis"])
    given: Any = header["models"] if model is None else list(model) if isinstance(model, Models | list | tuple) else [model]
    named = {"out": out, "plot": plot, "report": report, "bigwig": bigwig}
    paths = {name: None if path is None else Path(path) for name, path in named.items()}
    if isinstance(divided, DividedPrediction):
        if plot is not None or report is not None or igv:
            raise InputError("A prediction has neither figures nor a report: give out and bigwig alone.")
        return merged_prediction(files, given, paths["out"], bigwig=bigwig, device=device, overwrite=overwrite, quiet=quiet)
    checked = checked_options(header["analysis"], divided.Options, json.loads(header["options"]))
    outputs = Outputs(**paths, igv=igv, overwrite=overwrite)
    combine = divided.combiner(checked) if len(given) > 1 else None
    with outputs.held(divided, inputs=[given, *shards, *dict(checked).values()]):
        # The shards refused models of different cells, unless their common cells were asked for.
        models = members(opened(given, device, common_cells=True, precision=header["precision"]))
        return run_opened(divided, models, checked, outputs, combine, _merged(divided, files, given), quiet=quiet)


def _divided(name: str) -> DividedAnalysis:
    """Return a prediction or an analysis, by name, as divided work."""
    return DividedPrediction() if name == DividedPrediction.name else require_divided(plugin_manager.analyses().get(name)())


def _merged(analysis: DividedAnalysis, files: Sequence[PartFile], given: Sequence[Any]) -> Spread:
    """Return what joins the parts in some files."""

    @contextlib.contextmanager
    def joined(models: Sequence[Model], inputs: Sequence[Any], options: BaseModel, context: Context) -> Iterator[OfModel]:
        work = Work(analysis, given, models, inputs, options, context.provenance)
        files[0].require_same(work.header, "this merge")
        context.provenance["spread"] = f"{len(work.parts)} parts in {len(files)} shards"
        with context.progress("joining parts", len(work.parts)) as advance:

            def read() -> Iterator[tuple[int, Arrays]]:
                of_number = {number: file for file in files for number in file.numbers()}
                for number in range(len(work.parts)):
                    yield number, of_number[number].read(number)
                    advance(1)

            results = read()
            yield lambda number, context: work.joined(results, number, context)

    return joined


def _require_complete(files: Sequence[PartFile]) -> None:
    """Raise InputError unless the files are all shards of the same work, each once."""
    if not files:
        raise InputError("There are no shards: give the files of all.")
    first, seen = files[0], dict[int, Path]()
    for file in files:
        if "shard" not in file.header:
            raise InputError(
                f"{file.path} is a part that an unfinished run keeps, and no shard. Run it again with {option('resume', True)}."
            )
        file.require_same(first.header, str(first.path))
        number, n_shards = file.header["shard"]
        if n_shards != first.header["shard"][1]:
            raise InputError(f"{file.path} is one of {n_shards} shards, and {first.path} one of {first.header['shard'][1]}.")
        if number in seen:
            raise InputError(f"{seen[number]} and {file.path} are both shard {number} of {n_shards}. Give each shard once.")
        seen[number] = file.path
    missing = [number for number in range(1, n_shards + 1) if number not in seen]
    if missing:
        raise InputError(
            f"Shard{'s' * (len(missing) > 1)} {', '.join(map(str, missing))} of {n_shards} {'are' if len(missing) > 1 else 'is'} "
            f"missing. Run {option('shard', f'{missing[0]}/{n_shards}')}, and give the files of all shards."
        )


def _require_files(analysis: DividedAnalysis, options: BaseModel) -> None:
    """Raise InputError if an option is an object in memory, which a merge could not open again."""
    try:
        written = analysis.Options.model_validate_json(options.model_dump_json())
    except ValueError:
        written = None
    if written is None or written.model_dump_json() != options.model_dump_json():
        raise InputError(
            f"A shard of {analysis.name} needs its inputs as files: an option is an object in memory. Write it to a file."
        )


def _shard(shard: str | tuple[int, int]) -> tuple[int, int]:
    """Return the number of a shard and the number of shards."""
    texts = shard.split("/") if isinstance(shard, str) else [str(number) for number in shard]
    if len(texts) == 2 and all(text.strip().isdecimal() for text in texts):
        number, n_shards = map(int, texts)
        if 1 <= number <= n_shards:
            return number, n_shards
    raise InputError(f"{option('shard')} must be I/N, with I from 1 to N, such as 2/10; found {shard!r}.")
