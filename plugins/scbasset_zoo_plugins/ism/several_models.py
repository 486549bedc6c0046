"""Combines results of `ism` of several models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.console import option, say
from scbasset_zoo.extend.several_models import STD, mean_and_std
from scbasset_zoo_plugins.ism.description import WITHOUT_SEQUENCE, verdict
from scbasset_zoo_plugins.ism.inputs import IsmInputs, IsmOptions
from scbasset_zoo_plugins.ism.motif_matches import MotifMatches
from scbasset_zoo_plugins.ism.output import Output, Shapes
from scbasset_zoo_plugins.ism.scores import importance
from scbasset_zoo_plugins.ism.tables import match_variables

if TYPE_CHECKING:
    import xarray as xr

_MEANS = ("scores", "importance")


def combiner(options: IsmOptions) -> Callable[[Sequence[xr.Dataset], Any, Context], xr.Dataset]:
    """Return the function that combines results; raise InputError if the scores would be latent."""
    if options.group_by is None and options.cells is None:
        raise InputError(
            f"Several models need {option('group_by')} or {option('cells')}: latent scores of different models cannot be combined."
        )
    return combine


def combine(results: Sequence[xr.Dataset], inputs: IsmInputs, context: Context) -> xr.Dataset:
    """Combine the scores of several models, region by region: means, and standard deviations over models.

    Motif matches are scored by the mean scores. The spread at random positions is the mean over models. p against shuffled regions
    is the largest over models.
    """
    import xarray as xr

    first = results[0]
    head = xr.Dataset(coords=first.coords, attrs=_attributes(results))
    output = Output(head, _shapes(first), context)
    matches = MotifMatches(inputs.search, inputs.columns) if inputs.search is not None else None
    largest = np.zeros((first.sizes["region"], len(inputs.columns)), np.float32)
    for number, name in enumerate(first["region"].to_numpy()):
        codes = first["reference"][number].to_numpy()
        scores, std = mean_and_std([result["scores"][number].to_numpy() for result in results])
        of_bases = importance(scores, codes)
        importance_std = mean_and_std([result["importance"][number].to_numpy() for result in results])[1]
        values = {"reference": codes, "scores": scores, "importance": of_bases}
        for variable, value in (values | {f"scores_{STD}": std, f"importance_{STD}": importance_std}).items():
            output.arrays[variable][number] = value
        largest[number] = np.abs(of_bases).max(axis=0)
        if matches is not None:
            matches.add([str(name)], range(number, number + 1), codes[None], [scores])
    tables = match_variables(matches, inputs) if matches is not None else xr.Dataset()
    tables["largest_importance"] = ("region", inputs.dimension), largest
    if "random_spread" in first:
        spread, spread_std = mean_and_std([result["random_spread"].to_numpy() for result in results])
        tables["random_spread"], tables[f"random_spread_{STD}"] = (inputs.dimension, spread), (inputs.dimension, spread_std)
        for name in ("random_p", "random_p_overall"):
            tables[name] = first[name].dims, np.max([result[name].to_numpy() for result in results], axis=0)
    say(verdict(tables.assign_attrs(head.attrs)))
    return output.with_tables(tables)


def _shapes(result: xr.Dataset) -> Shapes:
    """Return the dimensions and types of the arrays of the combined result."""
    names = {name: name for name in ("reference", *_MEANS)} | {f"{name}_{STD}": name for name in _MEANS}
    return {
        name: ({str(dimension): size for dimension, size in result[of].sizes.items()}, result[of].dtype.type)
        for name, of in names.items()
    }


def _attributes(results: Sequence[xr.Dataset]) -> dict[str, Any]:
    """Return the attributes of the first result, with the number of models, and what the model learnt that learnt least."""
    learnt = [result.attrs["model_learnt"] for result in results]
    least = next((each for each in learnt if each in WITHOUT_SEQUENCE), learnt[0])
    meaning = json.loads(results[0].attrs["meaning"])
    meaning |= {f"{name}_{STD}": f"standard deviation over models of {name}" for name in (*_MEANS, "random_spread")}
    for name in ("random_p", "random_p_overall"):
        meaning[name] += ", the largest over models"
    return results[0].attrs | {"n_models": len(results), "model_learnt": least, "meaning": json.dumps(meaning)}
