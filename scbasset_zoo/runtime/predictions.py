"""A prediction planned and computed in blocks: embed windows once, then project on cells or groups, never all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import reverse_complement
from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows
from scbasset_zoo.progress import progress, say
from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.version import __version__

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.runtime.sequence_model import SequenceModel

Array = NDArray[np.float32]
OutputName = Literal["accessibility", "logits", "peak_embedding"]

# A block is at most this many cells by a stripe of peaks, 16 MiB of float32.
BLOCK_CELLS = 1 << 14
BLOCK_VALUES = 1 << 22
PEAK_STEP = 256


class PredictionOptions(TypedDict, total=False):
    """The options of `Model.predict`, for functions that pass them on."""

    output: OutputName
    cells: Sequence[str] | NDArray[Any] | None
    group_by: str | None
    average_strands: bool
    batch_effects: bool
    batch_size: int | None


class Block(NamedTuple):
    """Part of the result: `values` (cells, peaks) for a stretch of rows and a stretch of peaks."""

    rows: slice
    peaks: slice
    values: Array


class Prediction:
    """What was asked of a model, checked, with the tables of the result; nothing is computed until it is iterated.

    Attributes
    ----------
    obs : DataFrame
        Rows of the result: the cells, or the groups with their `n_cells`.
    var : DataFrame
        Its columns: the peaks.
    uns : dict
        Provenance.
    """

    def __init__(
        self,
        model: SequenceModel,
        peaks: PeaksLike | Windows,
        genome: GenomeLike | None = None,
        *,
        output: OutputName = "accessibility",
        cells: Sequence[str] | NDArray[Any] | None = None,
        group_by: str | None = None,
        average_strands: bool = False,
        batch_effects: bool = False,
        batch_size: int | None = None,
    ) -> None:
        if output not in ("accessibility", "logits", "peak_embedding"):
            raise InputError(f"The output must be accessibility, logits or peak_embedding; found {output!r}.")
        if not isinstance(peaks, Windows):
            if genome is None:
                raise InputError("Peaks need a genome: give the FASTA of the model's assembly.")
            peaks = model.peak_windows(peaks, genome)
        self.model, self.windows, self.output = model, peaks, output
        self.average_strands, self.batch_effects, self.batch_size = average_strands, batch_effects, batch_size
        model.head(slice(0), batch_effects=batch_effects)
        self.var = peaks.var
        self._positions = model.positions(cells)
        self._group_starts: NDArray[np.intp] | None = None
        if group_by is None:
            self.obs = model.cells.iloc[self._positions]
        else:
            self._group(group_by)
        self.uns = {"scbasset_zoo": self._provenance(group_by, cells is not None)}

    @property
    def n_rows(self) -> int:
        """Cells or groups."""
        return len(self.obs)

    @property
    def n_peaks(self) -> int:
        """Windows."""
        return len(self.windows)

    @property
    def stripe(self) -> int:
        """How many peaks a block spans at most."""
        widest = max(min(len(self._positions), BLOCK_CELLS), self.n_rows if self._group_starts is not None else 1)
        return max(PEAK_STEP, min(BLOCK_CELLS, BLOCK_VALUES // widest) // PEAK_STEP * PEAK_STEP)

    def blocks(self) -> Iterator[Block]:
        """The result piece by piece: all rows of a stripe of peaks, then the next stripe."""
        grouped_probabilities = self._group_starts is not None and self.output == "accessibility"
        for peaks, strands in self._stripes():
            if grouped_probabilities:
                yield Block(slice(0, self.n_rows), peaks, self._group_means(strands))
                continue
            embedding, intercept = self.latent_rows()
            for first in range(0, self.n_rows, BLOCK_CELLS):
                rows = slice(first, min(first + BLOCK_CELLS, self.n_rows))
                yield Block(rows, peaks, self._project(embedding[rows], intercept[rows], strands))

    def peak_embedding(self) -> Array:
        """The windows in the latent space, (n_peaks, embedding_size)."""
        embedded = np.empty((self.n_peaks, self.model.cell_embedding.shape[1]), dtype=np.float32)
        for peaks, strands in self._stripes():
            embedded[peaks] = strands[0]
        return embedded

    def latent_rows(self) -> tuple[Array, Array]:
        """Embedding (n_rows, embedding_size) and intercept (n_rows,) of the cells, or the groups' means of them."""
        embedding, intercept = self.model.head(self._positions, batch_effects=self.batch_effects)
        if self._group_starts is None:
            return embedding, intercept
        counts = self.obs["n_cells"].to_numpy()
        means = np.add.reduceat(embedding, self._group_starts, axis=0, dtype=np.float64) / counts[:, None]
        offsets = np.add.reduceat(intercept, self._group_starts, dtype=np.float64) / counts
        return means.astype(np.float32), offsets.astype(np.float32)

    def require_memory(self) -> None:
        """Fail before computing what would not fit into memory."""
        require_memory(
            self.n_rows * self.n_peaks * 4,
            f"The result, {self.n_rows:,} x {self.n_peaks:,},",
            "Stream it with scbasset_zoo.runtime.output.write_predictions (scbasset-zoo predict), choose cells, give group_by, or "
            "ask for output='peak_embedding'.",
        )

    def _stripes(self) -> Iterator[tuple[slice, list[Array]]]:
        """Peak embeddings of a stripe of peaks: one array, or one a strand where only the probabilities may be averaged."""
        average_latent = self.average_strands and self.output != "accessibility"
        with progress("predicting peaks", self.n_peaks) as advance:
            for first in range(0, self.n_peaks, self.stripe):
                peaks = slice(first, min(first + self.stripe, self.n_peaks))
                codes = self.windows.read(peaks.start, peaks.stop)
                both = [codes, reverse_complement(codes)] if self.average_strands else [codes]
                strands = [self.model.embed(strand, batch_size=self.batch_size) for strand in both]
                yield peaks, [_mean(strands)] if average_latent else strands
                advance(len(codes))

    def _project(self, embedding: Array, intercept: Array, strands: list[Array]) -> Array:
        logits = [project(embedding, intercept, strand) for strand in strands]
        if self.output == "logits":
            return logits[0]
        for values in logits:
            expit(values, out=values)
        return _mean(logits)

    def _group_means(self, strands: list[Array]) -> Array:
        """Mean probability of each group, (n_groups, peaks): cell by cell in blocks, since the sigmoid is not linear."""
        assert self._group_starts is not None
        sums = np.zeros((self.n_rows, len(strands[0])))
        for first in range(0, len(self._positions), BLOCK_CELLS):
            last = min(first + BLOCK_CELLS, len(self._positions))
            positions = self._positions[first:last]
            block = self._project(*self.model.head(positions, batch_effects=self.batch_effects), strands)
            low = int(np.searchsorted(self._group_starts, first, side="right")) - 1
            high = int(np.searchsorted(self._group_starts, last, side="left"))
            starts = np.maximum(self._group_starts[low:high], first) - first
            sums[low:high] += np.add.reduceat(block, starts, axis=0, dtype=np.float64)
        return (sums / self.obs["n_cells"].to_numpy()[:, None]).astype(np.float32)

    def _group(self, column: str) -> None:
        """Order the cells by group, so that each group is one stretch."""
        cells = self.model.cells
        if column not in cells:
            raise InputError(f"The cells have no column {column!r} to group by; they have {', '.join(cells.columns) or 'none'}.")
        codes, groups = pd.factorize(cells[column].iloc[self._positions], sort=True)
        if (codes < 0).any():
            say(f"{int((codes < 0).sum()):,} cells have no {column} and are left out of the groups.")
        if not len(groups):
            raise InputError(f"None of the cells has a value in the column {column!r}.")
        kept = np.flatnonzero(codes >= 0)
        kept = kept[np.argsort(codes[kept], kind="stable")]
        self._positions, codes = self._positions[kept], codes[kept]
        self._group_starts = np.searchsorted(codes, np.arange(len(groups)))
        index = pd.Index([str(group) for group in groups], name=column, dtype=object)
        self.obs = pd.DataFrame({"n_cells": np.bincount(codes, minlength=len(groups))}, index=index)

    def _provenance(self, group_by: str | None, chosen: bool) -> dict[str, Any]:
        card = self.model.card
        return {
            "model_id": card.id,
            "model_version": card.version,
            "card_sha256": self.model.card_sha256,
            "assembly": card.genome.assembly,
            "scbasset_zoo_version": __version__,
            "output": self.output,
            "average_strands": self.average_strands,
            "batch_effects": self.batch_effects,
            "cells": "chosen" if chosen else "all",
            "group_by": group_by or "",
        }


def project(cell_embedding: Array, cell_intercept: Array, peak_embedding: Array) -> Array:
    """Logits, (n_cells, n_peaks), of cells (n_cells, k), (n_cells,) and peaks (n_peaks, k)."""
    logits = cell_embedding @ peak_embedding.T
    logits += cell_intercept[:, None]
    return logits


def _mean(strands: list[Array]) -> Array:
    for other in strands[1:]:
        strands[0] += other
    strands[0] /= np.float32(len(strands))
    return strands[0]


def latent_anndata(prediction: Any) -> ad.AnnData:
    """The result of a prediction whose output is the peak embedding."""
    import anndata as ad

    embedding, intercept = prediction.latent_rows()
    result = ad.AnnData(obs=prediction.obs.copy(), var=prediction.var.copy(), uns=prediction.uns)
    result.varm["peak_embedding"] = prediction.peak_embedding()
    result.obsm["X_scbasset"], result.obs["depth_intercept"] = embedding, intercept
    return result
