"""Kipoi's model class and dataloader over a model of the zoo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from kipoi.data import Dataset
from kipoi.model import BaseModel, LayerActivationMixin
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.contract import OUTPUT_NAMES
from scbasset_zoo.inputs.dna import one_hot
from scbasset_zoo.inputs.windows import peak_windows, sequence_windows
from scbasset_zoo.kipoi.writers import mend
from scbasset_zoo.runtime.predictions import Prediction
from scbasset_zoo.zoo.models import find_package, open_model

Array = NDArray[np.float32]
# Kipoi makes its writers only after the model and the dataloader, and so after this module.
mend()


class ScBasset(BaseModel, LayerActivationMixin):
    """A model of the zoo, as Kipoi runs it.

    Parameters
    ----------
    model : str
        Name, folder or URL, as :func:`scbasset_zoo.open_model` takes it.

    Attributes
    ----------
    model : Model
        The model itself; `model.cells` has the cells in the order of the predictions' columns.
    """

    def __init__(self, model: str) -> None:
        self.model = open_model(model)
        # Kipoi makes a model with the folder of its model.yaml as working directory.
        self._folder = Path.cwd()
        self._groupings: dict[str, Prediction] = {}

    @property
    def test(self) -> Any:
        """The section `test` of model.yaml."""
        return self._test

    @test.setter
    def test(self, section: Any) -> None:
        # Kipoi would look for a relative path in the user's folder, where the expected predictions never are.
        if isinstance(section.expect, str):
            section.expect = os.path.join(self._folder, section.expect)
        self._test = section

    def predict_on_batch(self, x: Array) -> Array:
        """Accessibility of sequences in every cell.

        Parameters
        ----------
        x : float32 array of shape (n, length, 4)
            One-hot, A C G T; N is 0.25 in each channel.

        Returns
        -------
        float32 array of shape (n, n_cells)
            Probabilities.
        """
        return self.model.accessibility(x)

    def predict_activation_on_batch(self, x: Array, layer: str, pre_nonlinearity: bool = False) -> Array | dict[str, Array]:
        """Another output of the model, or the mean accessibility in groups of cells.

        Parameters
        ----------
        x : float32 array of shape (n, length, 4)
        layer : str
            "accessibility", "logits", "peak_embedding", or a column of the cells such as "cell_type".
        pre_nonlinearity : bool
            Of "accessibility": before the sigmoid, which are the logits.

        Returns
        -------
        float32 array of shape (n, n_cells) or (n, embedding_size); for a column of the cells, arrays (n,) by group
            The mean probability over the cells of each group, as `model.predict(..., group_by=layer)` gives it.

        Raises
        ------
        InputError
            No output or column has this name; the message lists those that there are.
        """
        columns = [column for column in self.model.cells.columns if column not in OUTPUT_NAMES]
        if layer not in (*OUTPUT_NAMES, *columns):
            raise InputError(
                f"{self.model.card.id} has no layer {layer!r}. Ask for {', '.join(OUTPUT_NAMES)}, or for the mean accessibility "
                f"in the groups of a column of the cells: {', '.join(columns) or 'this model has none'}."
            )
        if pre_nonlinearity and layer != "accessibility":
            raise InputError(f"Only accessibility has a value before its nonlinearity; found layer {layer!r}.")
        if layer == "peak_embedding":
            return self.model.embed(x)
        if layer == "logits" or pre_nonlinearity:
            return self.model.logits(x)
        return self.model.accessibility(x) if layer == "accessibility" else self._group_means(x, layer)

    def _group_means(self, x: Array, column: str) -> dict[str, Array]:
        windows = sequence_windows(x, self.model.sequence_length)
        # One grouping serves all batches: sorting a million cells each time would cost more than the sequences do.
        grouping = self._groupings.setdefault(column, Prediction(self.model, windows, group_by=column))
        grouping.windows = windows
        means = np.concatenate([block.values for block in grouping.blocks()], axis=1)
        return dict(zip(grouping.obs.index, means, strict=True))


class PeakWindows(Dataset):
    """Windows of a model's length around peaks, cut as for training, in Kipoi's form.

    Each sample has `inputs`, one-hot float32 (length, 4), and the window as `metadata` `ranges`, whose `id` is the
    peak's name.

    Parameters
    ----------
    intervals_file : str
        Peaks as BED, of any width and in any order.
    fasta_file : str
        FASTA of the model's assembly, plain or bgzip.
    model : str
        The model whose windows are cut, and whose card the FASTA must fit.

    Raises
    ------
    InputError
        Peaks or FASTA that cannot be used, or a FASTA of another assembly.
    """

    def __init__(self, intervals_file: str, fasta_file: str, model: str = "scbasset/demo") -> None:
        card = find_package(model).card
        reference = card.genome
        self._windows = peak_windows(
            intervals_file,
            fasta_file,
            card.input.length,
            assembly=reference.assembly,
            chromosome_sizes=reference.chromosome_sizes,
        )
        peaks = self._windows.var
        first = (peaks["start"] + peaks["end"]).to_numpy() // 2 - card.input.length // 2
        self._ranges: dict[str, NDArray[Any]] = {
            "chr": peaks["chrom"].to_numpy(dtype=str),
            "start": first,
            "end": first + card.input.length,
            "id": peaks["name"].to_numpy(dtype=str),
            "strand": np.full(len(peaks), "*"),
        }

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One window."""
        batch = self._batch(index, index + 1)
        ranges = {name: values[0] for name, values in batch["metadata"]["ranges"].items()}
        return {"inputs": batch["inputs"][0], "metadata": {"ranges": ranges}}

    def batch_iter(
        self, batch_size: int = 32, shuffle: bool = False, num_workers: int = 0, drop_last: bool = False, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Batches in the file's order, each read in one go; shuffling and workers go window by window, by Kipoi's loader."""
        if shuffle or num_workers:
            batches: Iterator[dict[str, Any]] = super().batch_iter(batch_size, shuffle, num_workers, drop_last, **kwargs)
            return batches
        end = len(self) // batch_size * batch_size if drop_last else len(self)
        return (self._batch(first, min(first + batch_size, end)) for first in range(0, end, batch_size))

    def _batch(self, first: int, last: int) -> dict[str, Any]:
        ranges = {name: values[first:last] for name, values in self._ranges.items()}
        return {"inputs": one_hot(self._windows.read(first, last)), "metadata": {"ranges": ranges}}
