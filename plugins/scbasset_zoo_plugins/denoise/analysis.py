"""Accessibility without each cell's depth, of any peaks or genes, and how much nearer it is to labels and RNA than counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.extend.analysis import Analysis, Context
from scbasset_zoo.extend.blocks import Block, require_memory, write_anndata
from scbasset_zoo.extend.sequences import Windows
from scbasset_zoo_plugins.denoise.comparison import compare, heat_map
from scbasset_zoo_plugins.denoise.denoised import Denoised
from scbasset_zoo_plugins.denoise.inputs import DenoiseInputs, DenoiseOptions, read_inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model

Array = NDArray[np.float32]

WINDOWS_AT_ONCE = 1024


class Denoise(Analysis):
    """Accessibility without the intercept, which holds a cell's depth; with gene scores, and agreement with labels and RNA.

    As in the paper (Yuan & Kelley 2022, Methods), a gene's score is the mean over peaks within 2 kb of its transcription
    start sites. The result is cells x peaks or genes; ``.uns["metrics"]`` compares counts and denoised.
    """

    name = "denoise"
    Options = DenoiseOptions

    def open_inputs(self, model: Model, options: DenoiseOptions) -> DenoiseInputs:
        inputs = read_inputs(model, options)
        if inputs.rna is not None:
            inputs.rna.require_finite()
        return inputs

    def run(self, model: Model, inputs: DenoiseInputs, options: DenoiseOptions, context: Context) -> ad.AnnData:
        wanted = model.n_cells * (len(inputs.windows) if options.columns == "peaks" else len(inputs.genes)) * 4
        if context.out is None:
            require_memory(wanted, "The result", "Give out=FILE.zarr.")
        embedding = _embed(model, inputs.windows, context)
        peaks = Denoised(model.cell_embedding, embedding, options.output == "accessibility")
        genes = peaks.means(inputs.weights) if inputs.weights is not None else None
        chosen, var = (peaks, inputs.windows.var) if genes is None or options.columns == "peaks" else (genes, inputs.genes)
        result = ad.AnnData(obs=model.cells.copy(), var=var.copy())
        result.obsm["X_scbasset"], result.varm["peak_embedding"] = model.cell_embedding, chosen.peak_embedding
        compare(result, inputs, peaks, genes, options, context)
        result.uns["heat_map"] = heat_map(inputs, peaks, options.seed)
        if context.out is not None:
            result.uns["scbasset_zoo"] = dict(context.provenance)
            write_anndata(result, _with_progress(chosen, context), context.out)
            return result
        result.X = np.empty(result.shape, dtype=np.float32)
        for block in chosen.blocks():
            result.X[block.rows, block.peaks] = block.values
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.denoise import figures as denoise_figures

        return denoise_figures.figures(result)


def _embed(model: Model, windows: Windows, context: Context) -> Array:
    embedding = np.empty((len(windows), model.cell_embedding.shape[1]), dtype=np.float32)
    with context.progress("embedding peaks", len(windows)) as advance:
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
            last = min(first + WINDOWS_AT_ONCE, len(windows))
            embedding[first:last] = model.embed(windows.read(first, last))
            advance(last - first)
    return embedding


def _with_progress(denoised: Denoised, context: Context) -> Iterator[Block]:
    with context.progress("writing columns", len(denoised.peak_embedding)) as advance:
        for block in denoised.blocks():
            yield block
            advance((block.peaks.stop - block.peaks.start) * (block.rows.start == 0))
