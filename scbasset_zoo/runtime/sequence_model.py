"""Embeds sequences by the trunk of a packaged model, and scores them in cells by its head."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.head import read_batch_path, read_head
from scbasset_zoo.graph.model_proto import parse_model
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.reading import Package
from scbasset_zoo.runtime.devices import DeviceName, choose_device, open_session

if TYPE_CHECKING:
    import pandas as pd

    from scbasset_zoo.inputs.genome import Genome
    from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows


Array = NDArray[np.float32]
Sequences = str | Sequence[str] | NDArray[Any]
_BATCH_SIZE = {"cpu": 32, "cuda": 256}


class SequenceModel:
    """A packaged model that embeds sequences and scores them in cells; :class:`Model` adds predictions and mutations.

    Parameters
    ----------
    package : Package
    device : "auto", "cpu" or "cuda"

    Attributes
    ----------
    package : Package
    device : Device
        Where it runs, and why.
    cell_embedding : float32 (n_cells, embedding_size)
    cell_intercept : float32 (n_cells,)
    batches : BatchPath or None
        What a batch-corrected model adds to the logits of each batch; the cell embedding is without it.

    Raises
    ------
    PackageError
        model.onnx is not the file of the card, or not the card's model.
    DeviceError
        No ONNX Runtime is installed, or the device cannot be had.
    """

    def __init__(self, package: Package, device: DeviceName = "auto") -> None:
        self.device = choose_device(device)
        self.package = package
        proto = parse_model(package.model_bytes())
        self.cell_embedding, self.cell_intercept = read_head(proto)
        expected = (self.card.cells.n_cells, self.card.architecture.embedding_size)
        if self.cell_embedding.shape != expected:
            raise PackageError(f"{package.folder}: the cell embedding is {self.cell_embedding.shape}, the card says {expected}.")
        self.batches = read_batch_path(proto)
        self._trunk = extract_trunk(proto)
        self._session = open_session(self._trunk.SerializeToString(), self.device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.card.id} {self.card.version}, {self.n_cells:,} cells, on {self.device.name})"

    @property
    def card(self) -> Card:
        """The model card."""
        return self.package.card

    @property
    def card_sha256(self) -> str:
        """SHA-256 of card.yaml, which names every other file by its hash: results carry it."""
        return self.package.card_sha256

    @property
    def n_cells(self) -> int:
        """How many cells the model has."""
        return len(self.cell_intercept)

    @property
    def sequence_length(self) -> int:
        """Length of the sequences that the model takes, in bp."""
        return self.card.input.length

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """The cells in the model's order, indexed by barcode; read when first used."""
        return self.package.cells()

    def embed(self, sequences: Sequences, *, batch_size: int | None = None) -> Array:
        """Place sequences in the latent space that they share with the cells.

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Of the model's length. N is 0.25 in each channel.
        batch_size : int, optional
            Sequences run at once; the result does not depend on it.

        Returns
        -------
        float32 array of shape (n, embedding_size)

        Raises
        ------
        InputError
            Sequences of another length, or not DNA.
        """
        batch = _BATCH_SIZE[self.device.name] if batch_size is None else batch_size
        if batch < 1:
            raise InputError(f"The batch size must be 1 or more; found {batch}.")
        if not isinstance(sequences, str) and len(sequences) == 0:
            return np.empty((0, self.cell_embedding.shape[1]), dtype=np.float32)
        codes = dna.as_codes(sequences, self.sequence_length)
        embedded = np.empty((len(codes), self.cell_embedding.shape[1]), dtype=np.float32)
        for first in range(0, len(codes), batch):
            part = slice(first, first + batch)
            (embedded[part],) = self._session.run(["peak_embedding"], {"sequence": dna.one_hot(codes[part])})
        return embedded

    def head(self, positions: NDArray[np.intp] | slice = slice(None), *, batch_effects: bool = False) -> tuple[Array, Array]:
        """Embedding (n, embedding_size) and intercept (n,) of cells, with the effects of their batches if asked.

        Raises
        ------
        InputError
            Batch effects are asked of a model that has none.
        """
        embedding, intercept = self.cell_embedding[positions], self.cell_intercept[positions]
        if not batch_effects:
            return embedding, intercept
        if self.batches is None:
            raise InputError(f"{self.card.id} {self.card.version} has no batch path: ask for it without batch effects.")
        of_cell = self.batches.by_cell[:, positions].T
        return embedding + of_cell @ self.batches.embedding.T, intercept + of_cell @ self.batches.intercept

    def logits(
        self, sequences: Sequences, cells: Sequence[str] | NDArray[Any] | None = None, *, batch_effects: bool = False
    ) -> Array:
        """Log odds that each sequence is open in each cell.

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
        cells : sequence of barcodes, positions or booleans, optional
            Only these cells, in this order.
        batch_effects : bool
            Of a batch-corrected model: with the effects of the cells' batches, as the model was fitted.

        Returns
        -------
        float32 array of shape (n, n_cells)
        """
        positions = slice(None) if cells is None else self.positions(cells)
        embedding, intercept = self.head(positions, batch_effects=batch_effects)
        return self.embed(sequences) @ embedding.T + intercept

    def accessibility(
        self, sequences: Sequences, cells: Sequence[str] | NDArray[Any] | None = None, *, batch_effects: bool = False
    ) -> Array:
        """Probability that each sequence is open in each cell, (n, n_cells); see :meth:`logits`."""
        from scipy.special import expit

        return expit(self.logits(sequences, cells, batch_effects=batch_effects))

    def open_genome(self, genome: GenomeLike) -> Genome:
        """Open a FASTA, and check that it is of the assembly that the model was trained on.

        Parameters
        ----------
        genome : path or Genome
            The FASTA, plain or bgzip.

        Raises
        ------
        InputError
            The FASTA cannot be read, or a chromosome has another length than in the model's assembly.
        """
        from scbasset_zoo.inputs.assemblies import known_sizes
        from scbasset_zoo.inputs.genome import Genome, check_sizes

        opened = genome if isinstance(genome, Genome) else Genome(genome)
        reference = self.card.genome
        expected = known_sizes(reference.assembly) | reference.chromosome_sizes
        check_sizes(opened, expected, f"the model was trained on {reference.assembly}")
        return opened

    def peak_windows(self, peaks: PeaksLike, genome: GenomeLike) -> Windows:
        """Cut a window of the model's length around the centre of each peak, as in training.

        Parameters
        ----------
        peaks : path, DataFrame, AnnData or sequence of str
            See :func:`scbasset_zoo.inputs.windows.peak_windows`.
        genome : path or Genome
            FASTA of the assembly that the card names, plain or bgzip.

        Raises
        ------
        InputError
            The FASTA is of another assembly, or a peak lies outside its chromosomes.
        """
        from scbasset_zoo.inputs.windows import peak_windows

        reference = self.card.genome
        return peak_windows(
            peaks,
            genome,
            self.sequence_length,
            assembly=reference.assembly,
            chromosome_sizes=reference.chromosome_sizes,
        )

    def positions(self, cells: Sequence[str] | NDArray[Any] | None) -> NDArray[np.intp]:
        """Positions of cells given by barcode, by position, or as a boolean for each; all of them for None.

        Raises
        ------
        InputError
            Cells that the model does not have, the same cell twice, or none.
        """
        if cells is None:
            return np.arange(self.n_cells)
        chosen = np.atleast_1d(np.asarray(cells))
        if not chosen.size:
            raise InputError("No cell was chosen.")
        if chosen.dtype.kind == "b" and chosen.shape == (self.n_cells,):
            positions = np.flatnonzero(chosen)
        elif chosen.dtype.kind in "iu":
            positions = chosen.astype(np.intp)
            outside = positions[(positions < 0) | (positions >= self.n_cells)]
            if len(outside):
                raise InputError(f"There is no cell {outside[0]}: the model's cells are 0 to {self.n_cells - 1:,}.")
        elif chosen.dtype.kind in "UO":
            positions = self.cells.index.get_indexer(chosen.astype(str).tolist())
            unknown = chosen[positions < 0]
            if len(unknown):
                raise InputError(
                    f"The model has no cell {', '.join(map(str, unknown[:3]))}"
                    + " ..." * (len(unknown) > 3)
                    + f" ({len(unknown):,} "
                    f"of {len(chosen):,} are unknown). Its barcodes look like {self.cells.index[0]!r}."
                )
        else:
            raise InputError(
                f"Cells must be barcodes, positions or {self.n_cells:,} booleans; found {chosen.dtype} {chosen.shape}."
            )
        if len(positions) == 0 or len(np.unique(positions)) != len(positions):
            raise InputError("No cell was chosen." if len(positions) == 0 else "A cell was chosen twice; name each cell once.")
        return positions
