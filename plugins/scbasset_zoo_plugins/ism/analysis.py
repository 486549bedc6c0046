"""In silico saturation mutagenesis of regions: what every base of them does to accessibility, and which motifs explain it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.analysis import SUFFIXES, Analysis, Context
from scbasset_zoo.extend.blocks import require_memory
from scbasset_zoo_plugins.ism.inputs import IsmInputs, IsmOptions, read_inputs
from scbasset_zoo_plugins.ism.motif_labels import MotifLabels
from scbasset_zoo_plugins.ism.scores import importance, normalised_scores
from scbasset_zoo_plugins.ism.tables import match_tables, table

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from scbasset_zoo import Model

Array = NDArray[np.float32]

_ZARR_FORMAT: Literal[2] = 2  # 3 has no settled type for texts
_TABLES = {"match": "motif_matches", "comparison": "motif_scores_by_group"}


class Ism(Analysis):
    """What each base at each position of some regions does to the logit of accessibility, for cells, groups or latent.

    Yuan & Kelley 2022, Methods: every position is mutated to its three alternatives; from the four changes of a position, the
    reference's being 0, their mean is taken, so that they sum to zero; what is left for the reference base is its importance.
    A group's scores are its cells' means. With motifs, matches by FIMO are scored by dot product or correlation of PWM and
    scores, and tested against scores at every place of regions whose positions are shuffled.
    """

    name = "ism"
    Options = IsmOptions
    suffixes = SUFFIXES["Dataset"]

    def open_inputs(self, model: Model, options: IsmOptions) -> IsmInputs:
        return read_inputs(model, options)

    def run(self, model: Model, inputs: IsmInputs, options: IsmOptions, context: Context) -> xr.Dataset:
        import xarray as xr

        shapes = _shapes(inputs, model.sequence_length)
        to_zarr = context.out is not None and context.out.suffix == ".zarr"
        head = _coordinates(inputs, model.sequence_length)
        if to_zarr:
            assert context.out is not None
            head = head.assign_attrs(scbasset_zoo=json.dumps(context.provenance))
            head.to_zarr(context.out, mode="w", zarr_format=_ZARR_FORMAT)
            arrays = _zarr_arrays(context.out, shapes)
        else:
            _require_memory(shapes)
            arrays = {name: np.empty(tuple(sizes.values()), kind) for name, (sizes, kind) in shapes.items()}
        labels = MotifLabels(inputs.labelling, inputs.columns) if inputs.labelling is not None else None
        with context.progress("mutating regions", len(inputs.windows)) as advance:
            for regions, codes, scores in normalised_scores(model, inputs.windows, inputs.projection):
                arrays["reference"][regions] = codes
                for number, of_region in zip(range(regions.start, regions.stop), scores, strict=True):
                    arrays["scores"][number] = of_region
                    arrays["importance"][number] = importance(of_region, codes[number - regions.start])
                if labels is not None:
                    names = list(inputs.windows.var.index[regions])
                    labels.add(names, range(regions.start, regions.stop), codes, scores)
                advance(len(codes))
        tables = match_tables(labels, inputs) if labels is not None else xr.Dataset()
        if to_zarr:
            assert context.out is not None
            head.merge(tables).to_zarr(context.out, mode="a", zarr_format=_ZARR_FORMAT, consolidated=True)
            return xr.open_zarr(context.out)
        filled = {name: (tuple(sizes), arrays[name]) for name, (sizes, _) in shapes.items()}
        return head.assign(filled).merge(tables).assign_attrs(head.attrs)

    def plot(self, result: xr.Dataset) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.ism import figures as ism_figures

        return ism_figures.figures(result)

    def tables(self, result: xr.Dataset) -> Mapping[str, pd.DataFrame]:
        return {name: table(result, dimension) for dimension, name in _TABLES.items() if dimension in result.dims}


def _shapes(inputs: IsmInputs, length: int) -> dict[str, tuple[dict[str, int], type]]:
    """Sizes by dimension and type of each array of the result."""
    place, columns = {"region": len(inputs.windows), "position": length}, {inputs.dimension: len(inputs.columns)}
    return {
        "scores": (place | {"base": 4} | columns, np.float32),
        "importance": (place | columns, np.float32),
        "reference": (place, np.int8),
    }


def _coordinates(inputs: IsmInputs, length: int) -> xr.Dataset:
    import xarray as xr

    var = inputs.windows.var
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
        "window_start": "first base of the region's window, from 0",
    }
    return xr.Dataset(coords=coordinates, attrs={"meaning": json.dumps(meaning)})


def _zarr_arrays(path: Path, shapes: Mapping[str, tuple[dict[str, int], type]]) -> dict[str, Any]:
    """Arrays in a Zarr group that xarray wrote, to be filled; each region is a chunk."""
    import zarr

    group = zarr.open_group(path, mode="r+")
    return {
        name: group.create_array(
            name,
            shape=tuple(sizes.values()),
            dtype=kind,
            chunks=(1, *tuple(sizes.values())[1:]),
            fill_value=None,  # xarray would take it for missing
            attributes={"_ARRAY_DIMENSIONS": list(sizes)},
        )
        for name, (sizes, kind) in shapes.items()
    }


def _require_memory(shapes: Mapping[str, tuple[dict[str, int], type]]) -> None:
    wanted = sum(int(np.prod(list(sizes.values()))) * np.dtype(kind).itemsize for sizes, kind in shapes.values())
    require_memory(wanted, "The result", "Give out=FILE.zarr, which is written region by region, or fewer regions or cells.")
