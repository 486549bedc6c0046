"""Accessibility without each cell's depth, for any peaks or genes, and its agreement with groups of cells and RNA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.blocks import Block, require_memory, write_anndata
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.parts import DividedAnalysis, Range, ranges
from scbasset_zoo.extend.space import depth_in
from scbasset_zoo_plugins.denoise.comparison import add_metrics, heat_map, warnings_of
from scbasset_zoo_plugins.denoise.denoised import Denoised
from scbasset_zoo_plugins.denoise.depth import all_ways, depth_of_means
from scbasset_zoo_plugins.denoise.inputs import DenoiseInputs, DenoiseOptions, open_inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.description import Description
    from scbasset_zoo.extend.parts import Arrays
    from scbasset_zoo.extend.tracks import Tracks

Array = NDArray[np.float32]

WINDOWS_PER_PART = 1024


class Denoise(DividedAnalysis):
    """Accessibility without the depth of each cell; with gene scores, and agreement with groups and RNA.

    A gene's score is the mean over peaks within 2 kb of its transcription start sites (Yuan & Kelley 2022, Methods). The result
    is an AnnData of cells x peaks or genes. ``.uns["metrics"]`` compares the counts with the denoised values and with chance.
    ``.uns["denoise"]["warnings"]`` says which scores denoising made worse, and which are no better than chance.
    ``.uns["depth"]`` says how far the values still follow the depth of the cells.
    """

    name = "denoise"
    Options = DenoiseOptions

    def open_inputs(self, model: Model, options: DenoiseOptions) -> DenoiseInputs:
        return open_inputs(model, options)

    def parts(self, model: Model, inputs: DenoiseInputs, options: DenoiseOptions) -> list[Range]:
        return ranges("peaks", len(inputs.windows), WINDOWS_PER_PART)

    def run_part(self, model: Model, inputs: DenoiseInputs, options: DenoiseOptions, part: Range) -> Arrays:
        return {"peak_embedding": model.embed(inputs.windows.read(part.first, part.last))}

    def join(
        self,
        model: Model,
        inputs: DenoiseInputs,
        options: DenoiseOptions,
        results: Iterable[tuple[Range, Arrays]],
        context: Context,
    ) -> ad.AnnData:
        n_columns = len(inputs.windows) if options.columns == "peaks" else len(inputs.genes)
        if context.out is None:
            require_memory(model.n_cells * n_columns * 4, "The result", "Give out=FILE.zarr.")
        embedding = np.empty((len(inputs.windows), model.cell_embedding.shape[1]), dtype=np.float32)
        for part, arrays in results:
            embedding[part.first : part.last] = arrays["peak_embedding"]
        ways = all_ways(model, embedding, options.output == "accessibility")
        matrix = peaks = ways[inputs.depth]
        var, genes = inputs.windows.var, None
        if inputs.weights is not None:
            genes = peaks.weighted(inputs.weights)
            if options.columns == "genes":
                matrix, var, embedding = genes, inputs.genes, inputs.weights @ embedding
        result = ad.AnnData(obs=model.cells.copy(), var=var.copy())
        result.obs["model_depth"] = depth_in(model, inputs.depth)
        result.obsm["X_scbasset"], result.varm["peak_embedding"] = model.cell_embedding, embedding
        scores = add_metrics(result, inputs, ways, genes, options, context)
        result.uns["depth"] = depth_of_means(model, inputs, ways, options, scores)
        warnings = warnings_of(result.uns["metrics"]) if "metrics" in result.uns else []
        for warning in warnings:
            say(warning)
        result.uns["denoise"] = {
            "group_by": options.group_by or "",
            "depth": inputs.depth,
            "level": peaks.level,
            "warnings": np.array(warnings, dtype=object),
        }
        context.provenance["depth"] = inputs.depth
        result.uns["heat_map"] = heat_map(inputs, peaks, options.seed)
        if context.out is not None:
            result.uns["scbasset_zoo"] = dict(context.provenance)
            write_anndata(result, _with_progress(matrix, context), context.out)
            return result
        result.X = np.empty(result.shape, dtype=np.float32)
        for block in matrix.blocks():
            result.X[block.rows, block.peaks] = block.values
        return result

    def tracks(self, inputs: DenoiseInputs, options: DenoiseOptions) -> Tracks:
        from scbasset_zoo_plugins.denoise.tracks import tracks

        return tracks(inputs, options)

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.denoise.figures import figures

        return figures(result)

    def tables(self, result: ad.AnnData) -> Mapping[str, pd.DataFrame]:
        tables = {name: result.uns[name] for name in ("metrics", "depth") if name in result.uns}
        if "correlation_with_RNA" in result.uns:
            of_genes = result.uns["correlation_with_RNA"]
            tables["genes_by_correlation_with_RNA"] = of_genes.sort_values("denoised", ascending=False, kind="stable")
        return tables

    def describe(self, result: ad.AnnData) -> Description:
        from scbasset_zoo_plugins.denoise.description import describe

        return describe(result)


def _with_progress(matrix: Denoised, context: Context) -> Iterator[Block]:
    """Yield the blocks of a matrix, and show progress in columns."""
    with context.progress("writing columns", len(matrix.column_embedding)) as advance:
        for block in matrix.blocks():
            yield block
            advance((block.peaks.stop - block.peaks.start) * (block.rows.start == 0))
