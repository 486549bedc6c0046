"""A prediction in blocks of cells x peaks: embeds each window once, then computes the output of cells or groups of cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import reverse_complement
from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows
from scbasset_zoo.progress import progress, say
from scbasset_zoo.read_ahead import read_ahead
from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import did_you_mean, option

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.runtime.sequence_model import SequenceModel

Array = NDArray[np.float32]

# A block has at most BLOCK_CELLS cells and about BLOCK_VALUES values (16 MiB of float32). It has a multiple of PEAK_STEP peaks.
BLOCK_CELLS = 1 << 14
BLOCK_VALUES = 1 << 22
PEAK_STEP = 256
# Name of the layer with the standard deviation over models.
STD = "std"


class Block(NamedTuple):
    """A part of a result: the values of consecutive rows and consecutive peaks.

    Attributes
    ----------
    rows : slice
        Rows of the result: cells or groups.
    peaks : slice
        Columns of the result.
    values : float32 array of shape (rows, peaks)
    std : float32 array of shape (rows, peaks), optional
        Standard deviation over models; `values` are then their mean.
    """

    rows: slice
    peaks: slice
    values: Array
    std: Array | None = None


class Prediction:
    """A prediction of one model: its options, checked, and the tables of its result. Values are computed when they are read.

    Parameters
    ----------
    model : SequenceModel
    peaks, genome
        As for :meth:`scbasset_zoo.Model.predict`.
    options : PredictOptions
    quiet : bool
        Show no progress.

    Attributes
    ----------
    obs : DataFrame
        Rows of the result: the cells, or the groups with their number of cells, `n_cells`.
    var : DataFrame
        Columns of the result: the peaks.
    uns : dict
        The model and the options, to be recorded with the result.

    Raises
    ------
    InputError
        The peaks, the genome, the cells or the column of groups cannot be used.
    """

    values_per_entry = 1
    """Values that the result has for each row and peak."""

    def __init__(
        self,
        model: SequenceModel,
        peaks: PeaksLike | Windows,
        genome: GenomeLike | None,
        options: PredictOptions,
        *,
        quiet: bool = False,
    ) -> None:
        if not isinstance(peaks, Windows):
            if genome is None:
                raise InputError(f"Peaks need a genome: give that of the model's assembly with {option('genome')}, FASTA or .2bit.")
            peaks = model.peak_windows(peaks, genome, force=options.force, strict=options.strict)
        self.model, self.windows, self.options, self._quiet = model, peaks, options, quiet
        self._computed: Iterable[tuple[slice, list[Array]]] | None = None
        # Fails now, not after the first peaks, if the model has no batch effects.
        model.head(slice(0), batch_effects=options.batch_effects)
        self.var = peaks.var
        self._positions = model.positions(options.cells)
        self._group_starts: NDArray[np.intp] | None = None
        if options.group_by is None:
            self.obs = model.cells.iloc[self._positions]
        else:
            self._group(options.group_by)
        self.uns = {"scbasset_zoo": self._provenance()}

    @property
    def n_rows(self) -> int:
        """Number of rows of the result: cells or groups."""
        return len(self.obs)

    @property
    def of_models(self) -> tuple[Prediction, ...]:
        """The prediction of each model."""
        return (self,)

    @property
    def n_peaks(self) -> int:
        """Number of peaks or sequences."""
        return len(self.windows)

    @property
    def stripe(self) -> int:
        """Largest number of peaks in a block."""
        widest = max(min(len(self._positions), BLOCK_CELLS), self.n_rows if self._group_starts is not None else 1)
        return max(PEAK_STEP, min(BLOCK_CELLS, BLOCK_VALUES // widest) // PEAK_STEP * PEAK_STEP)

    def blocks(self) -> Iterator[Block]:
        """Yield the result in blocks: all rows of the first stripe of peaks, then those of the next stripe."""
        grouped_probabilities = self._group_starts is not None and self.options.output == "accessibility"
        for peaks, strands in self._stripes():
            if grouped_probabilities:
                yield Block(slice(0, self.n_rows), peaks, self._group_means(strands))
                continue
            embedding, intercept = self.latent_rows()
            for first in range(0, self.n_rows, BLOCK_CELLS):
                rows = slice(first, min(first + BLOCK_CELLS, self.n_rows))
                yield Block(rows, peaks, self._project(embedding[rows], intercept[rows], strands))

    def peak_embedding(self) -> Array:
        """Return the peak embedding, float32 (n_peaks, embedding_size)."""
        embedded = np.empty((self.n_peaks, self.model.cell_embedding.shape[1]), dtype=np.float32)
        for peaks, strands in self._stripes():
            embedded[peaks] = strands[0]
        return embedded

    def latent_rows(self) -> tuple[Array, Array]:
        """Return the embedding (n_rows, embedding_size) and the intercept (n_rows,) of the cells, or their mean in each group."""
        embedding, intercept = self.model.head(self._positions, batch_effects=self.options.batch_effects)
        if self._group_starts is None:
            return embedding, intercept
        counts = self.obs["n_cells"].to_numpy()
        means = np.add.reduceat(embedding, self._group_starts, axis=0, dtype=np.float64) / counts[:, None]
        offsets = np.add.reduceat(intercept, self._group_starts, dtype=np.float64) / counts
        return means.astype(np.float32), offsets.astype(np.float32)

    def require_memory(self) -> None:
        """Raise an InputError if the whole result does not fit in memory."""
        require_memory(
            self.n_rows * self.n_peaks * 4 * self.values_per_entry,
            f"The result, {self.n_rows:,} x {self.n_peaks:,},",
            f"Stream it to a file with scbasset_zoo.predict(..., out=FILE), or use {option('cells')}, {option('group_by')} or "
            f"{option('output', 'peak_embedding')}.",
        )

    def strands(self, peaks: slice) -> list[Array]:
        """Return the peak embeddings of some peaks: one array, or one for each strand.

        The peak embeddings of the strands are averaged unless the output is the probability, which is not linear in them.
        """
        return self._strands_of(self.windows.read(peaks.start, peaks.stop))

    def take(self, stripes: Iterable[tuple[slice, list[Array]]]) -> None:
        """Take what :meth:`strands` returned, stripe by stripe, from elsewhere. The prediction can then be read once."""
        self._computed = stripes

    def _stripes(self) -> Iterator[tuple[slice, list[Array]]]:
        """Yield the peak embeddings of each stripe of peaks."""
        if self._computed is not None:
            yield from self._computed
            return
        with (
            progress("predicting peaks", self.n_peaks, quiet=self._quiet) as advance,
            read_ahead(self._codes_of_stripes()) as stripes,
        ):
            for peaks, codes in stripes:
                yield peaks, self._strands_of(codes)
                advance(len(codes))

    def _strands_of(self, codes: NDArray[np.int8]) -> list[Array]:
        codes_of_strands = [codes, reverse_complement(codes)] if self.options.average_strands else [codes]
        strands = [self.model.embed(strand, batch_size=self.options.batch_size) for strand in codes_of_strands]
        average_latent = self.options.average_strands and self.options.output != "accessibility"
        return [_mean(strands)] if average_latent else strands

    def _codes_of_stripes(self) -> Iterator[tuple[slice, NDArray[np.int8]]]:
        """Yield the sequences of each stripe of peaks."""
        for first in range(0, self.n_peaks, self.stripe):
            peaks = slice(first, min(first + self.stripe, self.n_peaks))
            yield peaks, self.windows.read(peaks.start, peaks.stop)

    def _project(self, embedding: Array, intercept: Array, strands: list[Array]) -> Array:
        logits = [project(embedding, intercept, strand) for strand in strands]
        if self.options.output == "logits":
            return logits[0]
        for values in logits:
            expit(values, out=values)
        return _mean(logits)

    def _group_means(self, strands: list[Array]) -> Array:
        """Return the mean probability of each group, (n_groups, peaks).

        The sigmoid is not linear, so this is the mean over cells. They are computed in blocks and summed.
        """
        assert self._group_starts is not None
        sums = np.zeros((self.n_rows, len(strands[0])))
        for first in range(0, len(self._positions), BLOCK_CELLS):
            last = min(first + BLOCK_CELLS, len(self._positions))
            positions = self._positions[first:last]
            block = self._project(*self.model.head(positions, batch_effects=self.options.batch_effects), strands)
            low = int(np.searchsorted(self._group_starts, first, side="right")) - 1
            high = int(np.searchsorted(self._group_starts, last, side="left"))
            starts = np.maximum(self._group_starts[low:high], first) - first
            sums[low:high] += np.add.reduceat(block, starts, axis=0, dtype=np.float64)
        return (sums / self.obs["n_cells"].to_numpy()[:, None]).astype(np.float32)

    def _group(self, column: str) -> None:
        """Order the cells by group, so that the cells of each group are consecutive."""
        cells = self.model.cells
        if column not in cells:
            raise InputError(
                f"{option('group_by', column)}: the cells have no such column. Columns: {', '.join(cells.columns) or 'none'}."
                f"{did_you_mean(column, cells.columns)}"
            )
        codes, groups = pd.factorize(cells[column].iloc[self._positions], sort=True)
        if (codes < 0).any():
            say(f"{int((codes < 0).sum()):,} cells have no {column} and belong to no group.")
        if not len(groups):
            raise InputError(f"{option('group_by', column)}: no cell has a value in this column.")
        kept = np.flatnonzero(codes >= 0)
        kept = kept[np.argsort(codes[kept], kind="stable")]
        self._positions, codes = self._positions[kept], codes[kept]
        self._group_starts = np.searchsorted(codes, np.arange(len(groups)))
        index = pd.Index([str(group) for group in groups], name=column, dtype=object)
        self.obs = pd.DataFrame({"n_cells": np.bincount(codes, minlength=len(groups))}, index=index)

    def _provenance(self) -> dict[str, Any]:
        card, options = self.model.card, self.options
        return {
            "model_id": card.id,
            "model_version": card.version,
            "card_sha256": self.model.card_sha256,
            "assembly": card.genome.assembly,
            "scbasset_zoo_version": __version__,
            "device": self.model.device.name,
            "precision": self.model.device.precision,
            "output": options.output,
            "average_strands": options.average_strands,
            "batch_effects": options.batch_effects,
            "cells": "all" if options.cells is None else "chosen",
            "group_by": options.group_by or "",
        } | ({"chromosome_names": dict(self.windows.chromosome_names)} if self.windows.chromosome_names else {})


def project(cell_embedding: Array, cell_intercept: Array, peak_embedding: Array) -> Array:
    """Return the logits of cells x peaks.

    Parameters
    ----------
    cell_embedding : float32 array of shape (n_cells, embedding_size)
    cell_intercept : float32 array of shape (n_cells,)
    peak_embedding : float32 array of shape (n_peaks, embedding_size)

    Returns
    -------
    float32 array of shape (n_cells, n_peaks)
    """
    logits = cell_embedding @ peak_embedding.T
    logits += cell_intercept[:, None]
    return logits


def _mean(strands: list[Array]) -> Array:
    for other in strands[1:]:
        strands[0] += other
    strands[0] /= np.float32(len(strands))
    return strands[0]


def predicted_anndata(prediction: Prediction) -> ad.AnnData:
    """Compute a prediction in memory, with `.layers["std"]` if there are several models.

    Raises
    ------
    InputError
        The result is larger than the free memory.
    """
    import anndata as ad

    if prediction.options.output == "peak_embedding":
        return latent_anndata(prediction)
    prediction.require_memory()
    x = np.empty((prediction.n_rows, prediction.n_peaks), dtype=np.float32)
    std = np.empty_like(x) if prediction.values_per_entry == 2 else None
    for block in prediction.blocks():
        x[block.rows, block.peaks] = block.values
        if std is not None:
            std[block.rows, block.peaks] = block.std
    layers = {} if std is None else {STD: std}
    return ad.AnnData(x, obs=prediction.obs.copy(), var=prediction.var.copy(), uns=prediction.uns, layers=layers)


def latent_anndata(prediction: Prediction) -> ad.AnnData:
    """Return the result of a prediction whose output is the peak embedding, without X."""
    import anndata as ad

    embedding, intercept = prediction.latent_rows()
    result = ad.AnnData(obs=prediction.obs.copy(), var=prediction.var.copy(), uns=prediction.uns)
    result.varm["peak_embedding"] = prediction.peak_embedding()
    result.obsm["X_scbasset"], result.obs["depth_intercept"] = embedding, intercept
    return result
