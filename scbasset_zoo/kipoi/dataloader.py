"""Kipoi's dataloader for models of the zoo: the windows around peaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from kipoi.data import Dataset
from numpy.typing import NDArray

from scbasset_zoo.inputs.dna import one_hot
from scbasset_zoo.inputs.windows import peak_windows
from scbasset_zoo.zoo.models import find_package


class PeakWindows(Dataset):
    """The windows around peaks, of the model's length and cut as for training.

    Each item has the one-hot window, float32 of shape (length, 4), as `inputs`, and its coordinates as `metadata` `ranges`. The
    `id` of the ranges is the peak's name.

    Parameters
    ----------
    intervals_file : str
        The peaks as a BED file, of any width and in any order.
    fasta_file : str
        The genome of the model's assembly: a FASTA file (plain, gzip or bgzip), a .2bit file, or a name such as hg38.
    model : str
        The model that predicts the windows. Its card gives the length of the windows and the assembly.
    force : bool
        Use a FASTA file of another assembly too, with a line on standard error.

    Raises
    ------
    InputError
        The peaks or the FASTA file cannot be used, or the FASTA file is of another assembly.
    """

    def __init__(self, intervals_file: str, fasta_file: str, model: str = "scbasset/demo", force: bool = False) -> None:
        card = find_package(model).card
        reference = card.genome
        self._windows = peak_windows(
            intervals_file,
            fasta_file,
            card.input.length,
            assembly=reference.assembly,
            chromosome_sizes=reference.chromosome_sizes,
            force=force,
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
        """Return one window."""
        batch = self._batch(index, index + 1)
        ranges = {name: values[0] for name, values in batch["metadata"]["ranges"].items()}
        return {"inputs": batch["inputs"][0], "metadata": {"ranges": ranges}}

    def batch_iter(
        self, batch_size: int = 32, shuffle: bool = False, num_workers: int = 0, drop_last: bool = False, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield batches in the order of the BED file. With `shuffle` or `num_workers`, Kipoi's own loader reads single windows."""
        if shuffle or num_workers:
            batches: Iterator[dict[str, Any]] = super().batch_iter(batch_size, shuffle, num_workers, drop_last, **kwargs)
            return batches
        end = len(self) // batch_size * batch_size if drop_last else len(self)
        return (self._batch(first, min(first + batch_size, end)) for first in range(0, end, batch_size))

    def _batch(self, first: int, last: int) -> dict[str, Any]:
        ranges = {name: values[first:last] for name, values in self._ranges.items()}
        return {"inputs": one_hot(self._windows.read(first, last)), "metadata": {"ranges": ranges}}
