"""In silico saturation mutagenesis of regions: what every base of them does to accessibility, and which motifs explain it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from scbasset_zoo import dna
from scbasset_zoo.analysis import SUFFIXES, Analysis, Context, Options
from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.runtime.windows import Windows, fasta_windows, peak_windows, sequence_windows
from scbasset_zoo_plugins.cell_groups import CellGroups
from scbasset_zoo_plugins.motif_labels import Labelling, MotifLabels
from scbasset_zoo_plugins.motifs import load_motifs

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from scbasset_zoo.runtime.model import Model

Array = NDArray[np.float32]

_REGIONS_AT_ONCE = 64
_ZARR_FORMAT: Literal[2] = 2  # 3 has no settled type for texts
_COLUMNS = {
    "match": ["region", "motif", "tf", "start", "end", "strand", "fimo_p"],
    "comparison": ["motif", "tf", "group", "n", "median", "median_of_others", "statistic", "p", "q"],
}
_TABLES = {"match": "motif_matches", "comparison": "motif_scores_by_group"}


class IsmOptions(Options):
    """What to mutate, for which cells, and which motifs to look for."""

    regions: Path | Any | None = Field(None, description="Regions of the genome: BED, or the .var of an .h5ad.")
    names: list[str] | None = Field(None, description="Regions by name, as chr1:100-600.")
    sequences: Path | Any | None = Field(None, description="FASTA of sequences of the model's length, in place of regions.")
    genome: Path | Any | None = Field(None, description="FASTA of the model's assembly, plain or bgzip; for regions.")
    group_by: str | None = Field(None, description="Mean over the cells of each value of this column.")
    cells: list[str] | None = Field(None, description="Each of these cells, by barcode. With neither: latent scores.")
    motifs: str | None = Field(None, description="Label matches of these motifs: MEME file, or a collection as jaspar-vertebrates.")
    motif_names: list[str] | None = Field(None, description="Only these motifs, by identifier or factor.")
    fimo_p: float = Field(1e-3, gt=0, lt=1, description="Matches of motifs have a smaller p-value by FIMO.")
    measure: Literal["dot", "pearson"] = Field("dot", description="Score of a match: dot product or correlation of PWM and ISM.")
    n_shuffles: int = Field(10, ge=1, description="Shuffles of a region's positions that matches are tested against.")
    list_p: float = Field(0.05, gt=0, le=1, description="List matches up to this p, the smallest over the groups.")
    seed: int = Field(0, ge=0, description="Of the shuffles.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if sum(given is not None for given in (self.regions, self.names, self.sequences)) != 1:
            raise ValueError("give one of regions, names and sequences")
        if self.sequences is None and self.genome is None:
            raise ValueError("regions need genome, the FASTA of the model's assembly")
        if self.group_by is not None and self.cells is not None:
            raise ValueError("give group_by or cells, not both")
        if self.motifs is not None and self.group_by is None and self.cells is None:
            raise ValueError("motifs need group_by or cells: latent scores have no direction in which a motif could act")
        if self.motif_names is not None and self.motifs is None:
            raise ValueError("motif_names need motifs, the MEME file or collection that they are chosen from")
        return self


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

    def check(self, model: Model, options: IsmOptions) -> None:
        self._inputs = _read_inputs(model, options)

    def run(self, model: Model, options: IsmOptions, context: Context) -> xr.Dataset:
        import xarray as xr

        inputs = self._inputs
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
        tables = _tables(labels, inputs) if labels is not None else xr.Dataset()
        if to_zarr:
            assert context.out is not None
            head.merge(tables).to_zarr(context.out, mode="a", zarr_format=_ZARR_FORMAT, consolidated=True)
            return xr.open_zarr(context.out)
        filled = {name: (tuple(sizes), arrays[name]) for name, (sizes, _) in shapes.items()}
        return head.assign(filled).merge(tables).assign_attrs(head.attrs)

    def plot(self, result: xr.Dataset) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins import ism_figures

        return ism_figures.figures(result)

    def tables(self, result: xr.Dataset) -> Mapping[str, pd.DataFrame]:
        return {name: table(result, dimension) for dimension, name in _TABLES.items() if dimension in result.dims}


def normalised_scores(model: Model, windows: Windows, projection: Array | None) -> Iterator[tuple[slice, dna.Codes, list[Array]]]:
    """Normalised ISM scores, a few regions at a time.

    Parameters
    ----------
    model : Model
    windows : Windows
    projection : float32 (embedding_size, columns), optional
        Mean embeddings of groups, or embeddings of cells; without it, the scores are latent.

    Yields
    ------
    slice
        Which regions.
    int8 codes (n, length)
    list of n float32 (length, 4, columns)
        The four scores of a position sum to zero.
    """
    for first in range(0, len(windows), _REGIONS_AT_ONCE):
        codes = windows.read(first, min(first + _REGIONS_AT_ONCE, len(windows)))
        for part, changes in model.mutations.saturation_mutagenesis_blocks(codes, quiet=True):
            changes -= changes.mean(axis=2, keepdims=True)
            scores = [change if projection is None else change @ projection for change in changes]
            yield slice(first + part.start, first + part.stop), codes[part], scores


def importance(scores: Array, codes: dna.Codes) -> Array:
    """Normalised score of the reference base, (length, columns); 0 at an N."""
    known = codes < dna.N
    found: Array = np.zeros((len(codes), scores.shape[2]), np.float32)
    found[known] = scores[known, codes[known]]
    return found


def table(result: xr.Dataset, dimension: str) -> pd.DataFrame:
    """A table of a result: "match", the motifs' matches, or "comparison", each motif's scores by group.

    Of a match's scores the largest is given with its p and q, and the group or cell that has it as `group`; all are in the
    result's `match_score`, `match_p` and `match_q`.
    """
    prefix = f"{dimension}_"
    of_table = result[[name for name in result.data_vars if str(name).startswith(prefix)]].load()
    plain = {str(name).removeprefix(prefix): of_table[name].to_numpy() for name in of_table if of_table[name].ndim == 1}
    found = pd.DataFrame({name: plain[name] for name in _COLUMNS[dimension]})
    if dimension == "match":
        columns = result[of_table["match_score"].dims[1]].to_numpy()
        best = of_table["match_score"].to_numpy().argmax(axis=1)
        found["group"] = columns[best]
        for name in ("score", "p", "q"):
            found[name] = of_table[f"match_{name}"].to_numpy()[np.arange(len(best)), best]
        found = found.sort_values(["p", "score"], ascending=[True, False], kind="stable", ignore_index=True)
    return found


@dataclass(frozen=True)
class _Inputs:
    """What the options name, opened and checked."""

    windows: Windows
    dimension: str
    columns: list[str]
    projection: Array | None
    labelling: Labelling | None


def _read_inputs(model: Model, options: IsmOptions) -> _Inputs:
    windows = _windows(model, options)
    if not len(windows):
        raise InputError("There are no regions: give at least one.")
    labelling = None
    if options.motifs is not None:
        motifs = load_motifs(options.motifs, options.motif_names, longest=model.sequence_length)
        labelling = Labelling(motifs, options.measure, options.fimo_p, options.n_shuffles, options.list_p, options.seed)
    if options.group_by is not None:
        groups = CellGroups(model, options.group_by)
        return _Inputs(windows, "group", groups.names, groups.means(model.cell_embedding).T, labelling)
    if options.cells is not None:
        return _Inputs(windows, "cell", options.cells, model.cell_embedding[model.positions(options.cells)].T, labelling)
    return _Inputs(windows, "latent", [str(i) for i in range(model.cell_embedding.shape[1])], None, labelling)


def _windows(model: Model, options: IsmOptions) -> Windows:
    if options.sequences is not None:
        if isinstance(options.sequences, str | Path):
            return fasta_windows(options.sequences, model.sequence_length)
        if not len(options.sequences):
            raise InputError("There are no sequences: give at least one.")
        return sequence_windows(options.sequences, model.sequence_length)
    wanted = options.regions if options.regions is not None else options.names
    if isinstance(wanted, Sequence | pd.DataFrame) and not len(wanted):
        raise InputError("There are no regions: give at least one.")
    assert wanted is not None
    assert options.genome is not None
    return peak_windows(wanted, options.genome, model.card)


def _shapes(inputs: _Inputs, length: int) -> dict[str, tuple[dict[str, int], type]]:
    """Sizes by dimension and type of each array of the result."""
    place, columns = {"region": len(inputs.windows), "position": length}, {inputs.dimension: len(inputs.columns)}
    return {
        "scores": (place | {"base": 4} | columns, np.float32),
        "importance": (place | columns, np.float32),
        "reference": (place, np.int8),
    }


def _coordinates(inputs: _Inputs, length: int) -> xr.Dataset:
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


def _tables(labels: MotifLabels, inputs: _Inputs) -> xr.Dataset:
    import xarray as xr

    matches, scores, p, q = labels.matches()
    of_columns = {"match_score": scores, "match_p": p, "match_q": q}
    variables: dict[str, Any] = {f"match_{name}": ("match", _plain(matches[name])) for name in matches}
    variables |= {name: (("match", inputs.dimension), values) for name, values in of_columns.items()}
    comparisons = labels.by_group()
    variables |= {f"comparison_{name}": ("comparison", _plain(comparisons[name])) for name in comparisons}
    return xr.Dataset(variables)


def _plain(values: pd.Series) -> NDArray[Any]:
    return values.to_numpy(str) if values.dtype == object else values.to_numpy()
