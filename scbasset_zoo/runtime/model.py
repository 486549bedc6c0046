"""Model: ONNX in, numbers out. Sequences are embedded by the network's trunk; cells enter by one product, in blocks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo import dna, onnx_model
from scbasset_zoo.card import Card
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.package import Package
from scbasset_zoo.runtime.devices import DeviceName, choose_device, open_session

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd

    from scbasset_zoo.runtime.mutations import MutationEngine
    from scbasset_zoo.runtime.predictions import OutputName
    from scbasset_zoo.runtime.windows import GenomeLike, PeaksLike, Windows

Array = NDArray[np.float32]
Sequences = str | Sequence[str] | NDArray[Any]
_BATCH_SIZE = {"cpu": 32, "cuda": 256}


class Model:
    """A packaged model, ready to run.

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
        proto = onnx_model.parse(package.model_bytes())
        self.cell_embedding, self.cell_intercept = onnx_model.head(proto)
        expected = (self.card.cells.n_cells, self.card.architecture.embedding_size)
        if self.cell_embedding.shape != expected:
            raise PackageError(f"{package.folder}: the cell embedding is {self.cell_embedding.shape}, the card says {expected}.")
        self.batches = onnx_model.batch_path(proto)
        self._trunk = onnx_model.trunk(proto)
        self._session = open_session(self._trunk.SerializeToString(), self.device)

    def __repr__(self) -> str:
        return f"Model({self.card.id} {self.card.version}, {self.n_cells:,} cells, on {self.device.name})"

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

    def mutate(self, reference: Sequences, starts: ArrayLike, bases: Sequences, *, quiet: bool = False) -> Array:
        """Embed edits of one reference, computing only what they change.

        Each edit replaces bases of the reference by as many others: substitutions, or a motif over what was there.
        For edits of many references in one call see :meth:`scbasset_zoo.runtime.mutations.MutationEngine.mutate`.

        Parameters
        ----------
        reference : str, integer codes (length,) or one-hot (length, 4)
            Of the model's length; N is allowed.
        starts : int, or integers (n_edits,)
            First replaced base of each edit, from 0; one for all if a single number.
        bases : str, sequence of str, or integer codes (n_edits, width)
            What stands there instead, N allowed; one for all if a single one. Strings may differ in length.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (n_edits, embedding_size)

        Raises
        ------
        InputError
            A reference of another length, or edits that reach beyond it.
        InexactMutations
            The result would differ from full passes by more than 1e-4, which is checked at first use.
        """
        codes = dna.as_codes(reference, self.sequence_length)
        if len(codes) != 1:
            raise InputError(f"mutate edits one reference; found {len(codes)}. model.mutations.mutate takes several.")
        return self.mutations.mutate(codes, starts, bases, quiet=quiet)

    def saturation_mutagenesis(self, sequences: Sequences, *, quiet: bool = False) -> Array:
        """Change of the peak embedding for each base at each position (in silico saturation mutagenesis).

        Logits are linear in it: ``result @ model.cell_embedding.T`` is the change of each cell's logit. For more sequences
        than fit in memory at once see
        :meth:`scbasset_zoo.runtime.mutations.MutationEngine.saturation_mutagenesis_blocks`.

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Of the model's length.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (n, length, 4, embedding_size)
            0 at the sequence's own base; at an N all four bases are changes.

        Raises
        ------
        InputError, InexactMutations
            As for :meth:`mutate`.
        """
        return self.mutations.saturation_mutagenesis(sequences, quiet=quiet)

    @functools.cached_property
    def mutations(self) -> MutationEngine:
        """The mutation engine, made when first used."""
        from scbasset_zoo.runtime.mutations import MutationEngine

        return MutationEngine(self._trunk, self.device, self.embed)

    def predict(
        self,
        peaks: PeaksLike | Windows,
        genome: GenomeLike | None = None,
        *,
        output: OutputName = "accessibility",
        cells: Sequence[str] | NDArray[Any] | None = None,
        group_by: str | None = None,
        average_strands: bool = False,
        batch_effects: bool = False,
        batch_size: int | None = None,
    ) -> ad.AnnData:
        """Predict peaks of a genome in every cell, in memory.

        Parameters
        ----------
        peaks : path, DataFrame, AnnData, sequence of str, or Windows
            A BED file, the `.var` of an .h5ad file, a table with chrom, start, end (0-based, half-open), an AnnData's
            `.var`, names such as "chr1:100-600", or sequences by :func:`scbasset_zoo.runtime.windows.sequence_windows`.
        genome : path or Genome
            FASTA of the assembly that the card names; not needed for sequences.
        output : "accessibility", "logits" or "peak_embedding"
            Probability, its log odds, or the peaks in the latent space.
        cells : sequence of barcodes, positions or booleans, optional
            Only these cells, in this order.
        group_by : str, optional
            Mean of the output, probabilities or logits, over the cells of each value of this column of `cells`.
        average_strands : bool
            Mean of the output over both strands.
        batch_effects : bool
            Of a batch-corrected model: with the effects of the cells' batches, as the model was fitted.
        batch_size : int, optional
            Sequences run at once; the result does not depend on it.

        Returns
        -------
        AnnData, cells (or groups) x peaks
            For "peak_embedding", X is None, `.varm["peak_embedding"]` the peaks, `.obsm["X_scbasset"]` the cells in the
            same space and `.obs["depth_intercept"]` their intercept. `.uns["scbasset_zoo"]` says which model made it.

        Raises
        ------
        InputError
            Peaks, genome, cells or options that cannot be used, or a result larger than the free memory: then
            :func:`scbasset_zoo.runtime.output.write_predictions` streams it to a file.
        """
        import anndata as ad

        from scbasset_zoo.runtime.predictions import Prediction

        prediction = Prediction(
            self,
            peaks,
            genome,
            output=output,
            cells=cells,
            group_by=group_by,
            average_strands=average_strands,
            batch_effects=batch_effects,
            batch_size=batch_size,
        )
        if output == "peak_embedding":
            return latent_anndata(prediction)
        prediction.require_memory()
        x = np.empty((prediction.n_rows, prediction.n_peaks), dtype=np.float32)
        for block in prediction.blocks():
            x[block.rows, block.peaks] = block.values
        return ad.AnnData(x, obs=prediction.obs.copy(), var=prediction.var.copy(), uns=prediction.uns)

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


def latent_anndata(prediction: Any) -> ad.AnnData:
    """The result of a prediction whose output is the peak embedding."""
    import anndata as ad

    embedding, intercept = prediction.latent_rows()
    result = ad.AnnData(obs=prediction.obs.copy(), var=prediction.var.copy(), uns=prediction.uns)
    result.varm["peak_embedding"] = prediction.peak_embedding()
    result.obsm["X_scbasset"], result.obs["depth_intercept"] = embedding, intercept
    return result
