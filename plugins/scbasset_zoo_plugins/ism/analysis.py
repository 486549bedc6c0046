"""In silico saturation mutagenesis: the effect of every base of some regions on accessibility, and motifs that explain it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.analysis import SUFFIXES, Context
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.description import Description
from scbasset_zoo.extend.parts import DividedAnalysis, Range, ranges
from scbasset_zoo_plugins.ism.controls import compare_with_controls, score_controls
from scbasset_zoo_plugins.ism.description import describe, verdict
from scbasset_zoo_plugins.ism.inputs import IsmInputs, IsmOptions, open_inputs
from scbasset_zoo_plugins.ism.motif_matches import MotifMatches
from scbasset_zoo_plugins.ism.output import Output, Shapes
from scbasset_zoo_plugins.ism.region_scores import score_regions
from scbasset_zoo_plugins.ism.tables import effects_table, match_variables, table

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.analysis import Combine
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.extend.tracks import Tracks

Array = NDArray[np.float32]

REGIONS_PER_PART = 8
_TABLES = {"match": "motif_matches", "comparison": "motif_scores_by_group"}


class Ism(DividedAnalysis):
    """Effect of each base at each position of some regions on the logit of accessibility, for cells or groups, or latent.

    Every position is mutated to its three alternatives (Yuan & Kelley 2022, Methods). The mean of a position's four changes, of
    which the reference's is 0, is subtracted, so that its scores sum to zero. The score of the reference base is its importance.
    The scores of a group are the means over its cells. Shuffled regions show the spread of importance at random positions, which is
    the unit of effects. If motifs are given, FIMO's matches are scored by dot product or correlation of PWM and scores, and tested
    against the same PWM at every place of regions whose positions are shuffled.
    """

    name = "ism"
    Options = IsmOptions
    suffixes = SUFFIXES["Dataset"]

    def open_inputs(self, model: Model, options: IsmOptions) -> IsmInputs:
        return open_inputs(model, options)

    def parts(self, model: Model, inputs: IsmInputs, options: IsmOptions) -> list[Range]:
        regions = ranges("regions", len(inputs.windows), REGIONS_PER_PART)
        n_controls = options.n_controls if inputs.projection is not None else 0
        return regions + ranges("shuffled regions", n_controls, REGIONS_PER_PART)

    def run_part(self, model: Model, inputs: IsmInputs, options: IsmOptions, part: Range) -> Arrays:
        if part.kind == "regions":
            return score_regions(model, inputs, part)
        return score_controls(model, inputs, options.seed, part)

    def join(
        self, model: Model, inputs: IsmInputs, options: IsmOptions, results: Iterable[tuple[Range, Arrays]], context: Context
    ) -> xr.Dataset:
        import xarray as xr

        output = Output(_coordinates(inputs, model), _shapes(inputs, model.sequence_length), context)
        largest, stretches = np.zeros((2, len(inputs.windows), len(inputs.columns)), np.float32)
        matches = MotifMatches(inputs.search, inputs.columns) if inputs.search is not None else None
        controls = []
        for part, arrays in results:
            if part.kind != "regions":
                controls.append(arrays)
                continue
            regions = slice(part.first, part.last)
            for name, array in output.arrays.items():
                array[regions] = arrays[name]
            largest[regions], stretches[regions] = arrays["largest"], arrays["stretches"]
            if matches is not None:
                matches.extend(arrays)
        tables = match_variables(matches, inputs) if matches is not None else xr.Dataset()
        if inputs.projection is not None:
            tables["largest_importance"] = ("region", inputs.dimension), largest
            if options.n_controls:
                tables = tables.assign(compare_with_controls(inputs, stretches, controls))
            say(verdict(tables.assign_attrs(output.head.attrs)))
        return output.with_tables(tables)

    def combiner(self, options: IsmOptions) -> Combine:
        from scbasset_zoo_plugins.ism.several_models import combiner

        return combiner(options)

    def tracks(self, inputs: IsmInputs, options: IsmOptions) -> Tracks:
        from scbasset_zoo_plugins.ism.tracks import tracks

        return tracks(inputs)

    def plot(self, result: xr.Dataset) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.ism.figures import figures

        return figures(result)

    def tables(self, result: xr.Dataset) -> Mapping[str, pd.DataFrame]:
        effects = {"effects": effects_table(result)} if "random_spread" in result else {}
        return effects | {
            name: table(result, dimension, on_genome=True) for dimension, name in _TABLES.items() if dimension in result.dims
        }

    def describe(self, result: xr.Dataset) -> Description:
        return describe(result)


def _shapes(inputs: IsmInputs, length: int) -> Shapes:
    """Return the dimensions with their sizes, and the type, of each array of the result."""
    positions, columns = {"region": len(inputs.windows), "position": length}, {inputs.dimension: len(inputs.columns)}
    return {
        "scores": (positions | {"base": 4} | columns, np.float32),
        "importance": (positions | columns, np.float32),
        "reference": (positions, np.int8),
    }


def _coordinates(inputs: IsmInputs, model: Model) -> xr.Dataset:
    """Return the coordinates and attributes of the result, without its arrays."""
    import xarray as xr

    var, length = inputs.windows.var, model.sequence_length
    coordinates: dict[str, Any] = {
        "region": var.index.to_numpy(str),
        "position": np.arange(length),
        "base": list(dna.ALPHABET),
        inputs.dimension: np.array(inputs.columns, dtype=str),
    }
    if "chrom" in var:
        centre = (var["start"].to_numpy() + var["end"].to_numpy()) // 2
        coordinates |= {"chrom": ("region", var["chrom"].to_numpy(str)), "window_start": ("region", centre - length // 2)}
    meaning = {
        "scores": "change of the logit by each base, the four of a position summing to zero",
        "importance": "score of the reference base, 0 at an N",
        "reference": "base of the sequence: A C G T N as 0 to 4",
        "largest_importance": "largest absolute importance of the region",
        "random_spread": "root mean square of importance over the bases of shuffled regions: the unit of effects",
        "random_p": "p that the largest sums of importance over 10 bp are larger than in shuffled regions, by the rank-sum test",
        "random_p_overall": "the same for the largest sum over all groups or cells, in units of the spread",
        "window_start": "first base of the region's window, from 0",
    }
    attributes = {
        "meaning": json.dumps(meaning),
        "measure": inputs.search.measure if inputs.search is not None else "",
        "model_learnt": model.card.verdict.learnt if model.card.verdict is not None else "",
    }
    return xr.Dataset(coords=coordinates, attrs=attributes)
