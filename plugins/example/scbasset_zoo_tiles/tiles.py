"""The analysis `tiles`: the predicted accessibility along regions, in each group of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from pydantic import Field

from scbasset_zoo import Analysis, InputError
from scbasset_zoo.extend.analysis import Context, Options
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo.extend.sequences import Genome
from scbasset_zoo.extend.several_models import combine_anndata

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.analysis import Combine

BATCH_SIZE = 256
MOST_PANELS = 4


class TilesOptions(Options):
    """The regions, the step, and the groups of cells."""

    regions: Path | Any = Field(description="Regions of the genome: BED.")
    genome: Path | Any = Field(description="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38.")
    force: bool = Field(False, description="Use a genome of another assembly than the model's too.")
    step: int = Field(128, ge=1, description="Width of a tile, in bp.")
    group_by: str | None = Field(None, description="Column of the cells that names their groups. By default the card's.")


@dataclass(frozen=True)
class TilesInputs:
    """The groups of cells, the tiles (region, chrom, start, end) and the genome."""

    groups: CellGroups
    tiles: pd.DataFrame
    genome: Genome


class Tiles(Analysis):
    """The predicted accessibility along regions, in each group of cells.

    A region is divided into tiles. The window of the model is centred on each tile in turn. The result is groups x tiles; a value
    is the mean logit over the cells of the group.
    """

    name = "tiles"
    Options = TilesOptions

    def open_inputs(self, model: Model, options: TilesOptions) -> TilesInputs:
        column = options.group_by or model.card.cells.default_group
        if column is None:
            columns = ", ".join(map(str, model.cells.columns)) or "none"
            raise InputError(f"The card names no groups of cells. Give {option('group_by')}, one of these columns: {columns}.")
        groups = CellGroups(model, column)
        genome = model.open_genome(options.genome, force=options.force)
        regions = model.peak_windows(options.regions, genome, force=options.force).var
        if not len(regions):
            raise InputError(f"{option('regions')}: there are no regions. Give at least one.")
        return TilesInputs(groups, _tiles_of(regions, options.step), genome)

    def run(self, model: Model, inputs: TilesInputs, options: TilesOptions, context: Context) -> ad.AnnData:
        groups, tiles = inputs.groups, inputs.tiles
        # Logits are linear in the cell embedding, so a group's mean logit is that of its mean embedding.
        embedding, intercept = groups.means(model.cell_embedding), groups.means(model.cell_intercept[:, None])
        starts = (tiles["start"] + tiles["end"]).to_numpy() // 2 - model.sequence_length // 2
        logits = np.empty((len(groups.names), len(tiles)), dtype=np.float32)
        with context.progress("scoring tiles", len(tiles)) as advance:
            for first in range(0, len(tiles), BATCH_SIZE):
                part = slice(first, min(first + BATCH_SIZE, len(tiles)))
                windows = inputs.genome.windows(tiles["chrom"].to_numpy()[part], starts[part], model.sequence_length)
                logits[:, part] = embedding @ model.embed(windows).T + intercept
                advance(part.stop - part.start)
        result = ad.AnnData(logits, obs=pd.DataFrame({"n_cells": groups.sizes}, index=groups.names), var=tiles)
        result.uns["most_open_tiles"] = _most_open(result)
        return result

    def combiner(self, options: TilesOptions) -> Combine:
        return combine_anndata

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from matplotlib.figure import Figure

        regions = list(dict.fromkeys(result.var["region"]))[:MOST_PANELS]
        figure = Figure(figsize=(8, 1 + 2.2 * len(regions)), layout="constrained")
        for ax, region in zip(figure.subplots(len(regions), 1, squeeze=False).ravel(), regions, strict=True):
            rows = np.flatnonzero(result.var["region"] == region)
            middle = (result.var["start"] + result.var["end"]).to_numpy()[rows] / 2
            ax.plot(middle, np.asarray(result.X[:])[:, rows].T, label=list(result.obs_names))
            ax.set(title=region, ylabel="mean logit")
        ax.set_xlabel("position, bp from 0")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper", frameon=False)
        return {"tiles": figure}

    def describe(self, result: ad.AnnData) -> Description:
        first = result.uns["most_open_tiles"].iloc[0]
        return Description(
            findings=[f"The most open tile is {first['chrom']}:{first['start'] + 1:,}-{first['end']:,} in {first.name}."],
            captions={"tiles": f"Mean logit of each group along the first {MOST_PANELS} regions."},
            how_to_read=["A value is the mean logit of a window around the tile, so neighbouring tiles share most of it."],
            units={"logit": "mean over cells"},
        )


def _tiles_of(regions: pd.DataFrame, step: int) -> pd.DataFrame:
    """Divide regions into tiles of `step` bp; the last of a region may be narrower."""
    rows = [
        (name, chrom, first, min(first + step, end))
        for name, chrom, start, end in zip(regions.index, regions["chrom"], regions["start"], regions["end"], strict=True)
        for first in range(start, end, step)
    ]
    tiles = pd.DataFrame(rows, columns=["region", "chrom", "start", "end"])
    return tiles.set_index(pd.Index([f"{region} tile {first}" for region, _, first, _ in rows]))


def _most_open(result: ad.AnnData) -> pd.DataFrame:
    """Return the most open tile of each group, the group with the largest logit first."""
    tile = np.asarray(result.X).argmax(axis=1)
    table = result.var.iloc[tile].set_index(pd.Index(result.obs_names, name="group"))
    table["logit"] = np.asarray(result.X).max(axis=1).astype(float)
    return table.sort_values("logit", ascending=False)
