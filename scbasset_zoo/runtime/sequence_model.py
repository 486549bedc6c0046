"""A packaged model that embeds sequences and predicts their accessibility in cells, without files of peaks or genomes."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.checks import bytes_of_sequence
from scbasset_zoo.graph.gauge import Gauge, read_gauge
from scbasset_zoo.graph.head import read_batch_path, read_head
from scbasset_zoo.graph.sequence_codes import CODES_INPUT, with_codes_input
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.options import is_whole_number
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.reading import FETCH_AGAIN, Package
from scbasset_zoo.package.readme import NO_VERDICT
from scbasset_zoo.runtime.canonical_space import CanonicalSpace
from scbasset_zoo.runtime.devices import choose_device, open_session
from scbasset_zoo.runtime.options import DeviceName, Precision
from scbasset_zoo.runtime.setting_check import check_setting
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import pandas as pd

    from scbasset_zoo.inputs.genome import Genome
    from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows

Array = NDArray[np.float32]
Sequences = str | Sequence[str] | NDArray[Any]
Cells = Sequence[str | int] | NDArray[Any]
# By whether the device is a GPU.
_BATCH_SIZE = {False: 32, True: 256}
_BATCH_BYTES = {False: 2**32, True: 2**34}


def _reopen(
    model: type[SequenceModel],
    folder: Path,
    card_sha256: str,
    device: DeviceName,
    threads: int | None = None,
    cells: pd.DataFrame | None = None,
    precision: Precision = "float32",
) -> SequenceModel:
    """Open a pickled model again.

    Raises
    ------
    PackageError
        The package is missing, or another one than when the model was pickled.
    """
    package = Package.open(folder)
    if package.card_sha256 != card_sha256:
        raise PackageError(f"{folder} is not the package that the pickled model was opened from: its card has changed.")
    return model(package, device, threads, cells, precision)


class SequenceModel:
    """A packaged model that embeds sequences and predicts their accessibility in cells.

    ONNX Runtime runs the trunk, from the sequence to the peak embedding. NumPy computes the head, the product with the cell
    embedding, for the requested cells only. :class:`scbasset_zoo.Model` adds predictions of peaks and effects of mutations.

    Parameters
    ----------
    package : Package
    device : "auto", "cpu", "openvino", "cuda" or "tensorrt"
    threads : int, optional
        Threads that compute on the CPU. By default the cores that this process may use. It changes numbers by rounding only.
    cells : DataFrame, optional
        Only these cells of the package, in this order, indexed by barcode. The table takes the place of the package's.
    precision : "float32", "bfloat16", "float16" or "tf32"
        What the factors of products are rounded to, see :func:`scbasset_zoo.runtime.devices.choose_device`. The package's test
        sequences are run in another setting than float32 on `cpu` or `cuda`, and the difference is said.

    Attributes
    ----------
    package : Package
    device : Device
        The device that the model runs on.
    cell_embedding : float32 array of shape (n_cells, embedding_size)
    cell_intercept : float32 array of shape (n_cells,)
    gauge : Gauge or None
        Mean and covariance of the peak embeddings over the training peaks, which `depth` and `canonical_embedding` need.
    batches : BatchPath or None
        The effects of batches that a batch-corrected model has learnt. The cell embedding does not contain them.

    Raises
    ------
    PackageError
        model.onnx is not the file that the card describes, or its graph breaks the contract of a package.
    DeviceError
        ONNX Runtime is not installed, the device cannot be used, or its numbers are too far from the test outputs.
    """

    def __init__(
        self,
        package: Package,
        device: DeviceName = "auto",
        threads: int | None = None,
        cells: pd.DataFrame | None = None,
        precision: Precision = "float32",
    ) -> None:
        self.device = choose_device(device, threads, precision)
        self.package = package
        proto = package.network()
        self.cell_embedding, self.cell_intercept = read_head(proto)
        expected = (self.card.cells.n_cells, self.card.architecture.embedding_size)
        if self.cell_embedding.shape != expected:
            raise PackageError(f"{package.folder}: the cell embedding is {self.cell_embedding.shape}, the card says {expected}.")
        self.gauge = read_gauge(proto)
        self.batches = read_batch_path(proto)
        self._chosen_cells = cells
        if cells is not None:
            self._choose(cells)
        self._trunk = extract_trunk(proto)
        # All values of a batch are counted as if they existed at once, so this is an upper bound.
        self._max_batch = max(1, _BATCH_BYTES[self.device.is_gpu] // bytes_of_sequence(proto, self.card.contract))
        self._session = open_session(with_codes_input(self._trunk).SerializeToString(), self.device)
        if not self.device.is_reference:
            check_setting(package, self.device, self.embed)

    def __reduce__(self) -> tuple[Any, ...]:
        # A session cannot go to another process, so the model is opened again there from its package.
        where = self.package.folder.absolute(), self.card_sha256, self.device.name, self.device.threads
        return _reopen, (type(self), *where, self._chosen_cells, self.device.precision)

    def _choose(self, cells: pd.DataFrame) -> None:
        """Keep the cells of a table, in its order, and use it as the table of cells."""
        positions = self.positions(cells.index.to_numpy())
        self.cell_embedding, self.cell_intercept = self.cell_embedding[positions], self.cell_intercept[positions]
        if self.batches is not None:
            self.batches = self.batches._replace(by_cell=self.batches.by_cell[:, positions])
        self.cells = cells

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.card.id} {self.card.version}, {self.n_cells:,} cells, on {self.device})"

    def _repr_html_(self) -> str:
        card = self.card
        learnt = NO_VERDICT if card.verdict is None else card.verdict.statement
        head = f"{card.id} {card.version}: {self.n_cells:,} cells, {card.genome.assembly}, on {self.device}"
        return f"<b>{html.escape(head)}</b>" + "".join(f"<p>{html.escape(text)}</p>" for text in (card.description, learnt))

    @property
    def card(self) -> Card:
        """The model card."""
        return self.package.card

    @property
    def card_sha256(self) -> str:
        """SHA-256 of card.yaml, as hexadecimal digits. The card holds the hashes of all other files of the package."""
        return self.package.card_sha256

    @property
    def n_cells(self) -> int:
        """Number of cells of the model."""
        return len(self.cell_intercept)

    @property
    def sequence_length(self) -> int:
        """Length of the model's input sequences, in bp."""
        return self.card.input.length

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """Table of the cells in the model's order, indexed by barcode. It is read when first used."""
        return self.package.cells()

    @functools.cached_property
    def canonical_space(self) -> CanonicalSpace:
        """The space in which depth is apart, and distances between cells are differences of logits. It is made when first used.

        Raises
        ------
        InputError
            The package has no gauge.
        """
        return CanonicalSpace.of(self.require_gauge(), self.cell_embedding)

    def require_gauge(self) -> Gauge:
        """Return the gauge, or raise an InputError that says how to add one."""
        if self.gauge is None:
            raise InputError(
                f"{self.card.id} {self.card.version} has no gauge (mean and covariance of its peak embeddings), which depth and "
                "canonical embedding need. Add it to a copy: scbasset-zoo add-gauge MODEL --genome FASTA --out FOLDER"
            )
        return self.gauge

    @functools.cached_property
    def canonical_embedding(self) -> Array:
        """The embedding of the cells in units of logits, float32 (n_cells, embedding_size).

        The distance between two cells is the root mean square difference, over the training peaks, of their logits without depth.
        It is the same for all weights that give the same predictions. Columns are the principal axes of the cells, the one along
        which they vary most first; the sum of cubed deviations along each is not negative. A batch-corrected model's has no batch
        effects. :mod:`scbasset_zoo.runtime.canonical_space` has the formula.

        Raises
        ------
        InputError
            The package has no gauge.
        """
        return self.canonical_space.embedding(self.cell_embedding)

    @functools.cached_property
    def depth(self) -> Array:
        """The depth of the cells, float32 (n_cells,): the mean logit of each over the training peaks, without batch effects.

        Raises
        ------
        InputError
            The package has no gauge.
        """
        return self.canonical_space.depth(self.cell_embedding, self.cell_intercept)

    def embed(self, sequences: Sequences, *, batch_size: int | None = None) -> Array:
        """Return the peak embedding of sequences: their position in the latent space that they share with the cells.

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Sequences of the model's length. N is encoded as 0.25 in each channel.
        batch_size : int, optional
            Sequences that run at once. The result does not depend on it.

        Returns
        -------
        float32 array of shape (n, embedding_size)

        Raises
        ------
        InputError
            The sequences have another length or are not DNA, or the batch size is less than 1.
        """
        if batch_size is not None and not (is_whole_number(batch_size) and batch_size >= 1):
            raise InputError(f"The batch size must be a whole number from 1; found {batch_size!r}.")
        batch = min(_BATCH_SIZE[self.device.is_gpu], self._max_batch) if batch_size is None else int(batch_size)
        if not isinstance(sequences, str) and len(sequences) == 0:
            return np.empty((0, self.cell_embedding.shape[1]), dtype=np.float32)
        codes = dna.as_codes(sequences, self.sequence_length)
        embedded = np.empty((len(codes), self.cell_embedding.shape[1]), dtype=np.float32)
        for first in range(0, len(codes), batch):
            part = slice(first, first + batch)
            (values,) = self._session.run(["peak_embedding"], {CODES_INPUT: codes[part]})
            if values.shape != embedded[part].shape:
                raise PackageError(
                    f"{self.package.folder}: the network gave a peak embedding of shape {values.shape}; expected "
                    f"{embedded[part].shape}. {FETCH_AGAIN}"
                )
            embedded[part] = values
        return embedded

    def head(self, positions: NDArray[np.intp] | slice = slice(None), *, batch_effects: bool = False) -> tuple[Array, Array]:
        """Return the embedding and the intercept of cells.

        Parameters
        ----------
        positions : integers or slice
            Positions of the cells in the model; all cells by default.
        batch_effects : bool
            Add the effect of each cell's batch.

        Returns
        -------
        float32 array of shape (n, embedding_size)
        float32 array of shape (n,)

        Raises
        ------
        InputError
            `batch_effects` is true and the model is not batch-corrected.
        """
        embedding, intercept = self.cell_embedding[positions], self.cell_intercept[positions]
        if not batch_effects:
            return embedding, intercept
        if self.batches is None:
            raise InputError(
                f"{self.card.id} {self.card.version} is not batch-corrected: it has no batch effects. "
                f"Predict without {option('batch_effects')}."
            )
        batch_of_cell = self.batches.by_cell[:, positions].T
        return embedding + batch_of_cell @ self.batches.embedding.T, intercept + batch_of_cell @ self.batches.intercept

    def canonical_head(
        self, positions: NDArray[np.intp] | slice = slice(None), *, batch_effects: bool = False
    ) -> tuple[Array, Array]:
        """Return the canonical embedding and the depth of cells; parameters and errors are those of :meth:`head`.

        With batch effects, the depth of a cell is its mean logit with the effect of its batch, and its embedding is what is left of
        its logits, along the same axes as without.
        """
        embedding, intercept = self.head(positions, batch_effects=batch_effects)
        return self.canonical_space.embedding(embedding), self.canonical_space.depth(embedding, intercept)

    def logits(self, sequences: Sequences, cells: Cells | None = None, *, batch_effects: bool = False) -> Array:
        """Return the logit (log odds) of the accessibility of each sequence in each cell.

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Sequences of the model's length.
        cells : sequence of barcodes or positions, or boolean array (n_cells,), optional
            Only these cells, in this order.
        batch_effects : bool
            Add the effect of each cell's batch. Only a batch-corrected model can do this.

        Returns
        -------
        float32 array of shape (n, n_cells)

        Raises
        ------
        InputError
            As for :meth:`embed`, :meth:`positions` and :meth:`head`.
        """
        positions = slice(None) if cells is None else self.positions(cells)
        embedding, intercept = self.head(positions, batch_effects=batch_effects)
        return self.embed(sequences) @ embedding.T + intercept

    def accessibility(self, sequences: Sequences, cells: Cells | None = None, *, batch_effects: bool = False) -> Array:
        """Return the probability that each sequence is open in each cell, float32 (n, n_cells).

        Parameters and errors are those of :meth:`logits`.
        """
        from scipy.special import expit

        return expit(self.logits(sequences, cells, batch_effects=batch_effects))

    def open_genome(self, genome: GenomeLike, *, force: bool = False) -> Genome:
        """Open a genome and check that it is the assembly that the model was trained on.

        Parameters
        ----------
        genome : path or Genome
            Genome of the assembly: FASTA (plain, gzip or bgzip), .2bit, or a name such as hg38.
        force : bool
            Use a FASTA of another assembly too, with a line on standard error.

        Raises
        ------
        InputError
            The FASTA cannot be read, has no chromosome of the model's assembly, or one of another length.
        """
        from scbasset_zoo.inputs.windows import genome_of_model

        reference = self.card.genome
        return genome_of_model(genome, reference.assembly, reference.chromosome_sizes, force=force)

    def peak_windows(self, peaks: PeaksLike, genome: GenomeLike, *, force: bool = False, strict: bool = True) -> Windows:
        """Cut a window of the model's length around the centre of each peak, as in training.

        Parameters
        ----------
        peaks : path, DataFrame, AnnData or sequence of str
            See :func:`scbasset_zoo.inputs.windows.peak_windows`.
        genome : path or Genome
            Genome of the model's assembly: FASTA (plain, gzip or bgzip), .2bit, or a name such as hg38.
        force : bool
            Use a FASTA of another assembly too, with a line on standard error.
        strict : bool
            Refuse peaks that lie outside the chromosomes of the FASTA. If false, they are left out and counted.

        Raises
        ------
        InputError
            The FASTA is another assembly, or a peak lies outside its chromosomes.
        """
        from scbasset_zoo.inputs.windows import peak_windows

        reference = self.card.genome
        return peak_windows(
            peaks,
            genome,
            self.sequence_length,
            assembly=reference.assembly,
            chromosome_sizes=reference.chromosome_sizes,
            force=force,
            strict=strict,
        )

    def positions(self, cells: Cells | None) -> NDArray[np.intp]:
        """Return the positions of cells in the model.

        Parameters
        ----------
        cells : sequence of barcodes or positions, or boolean array (n_cells,), or None
            None selects all cells.

        Raises
        ------
        InputError
            The model does not have one of the cells, a cell is given twice, no cell is given, or whole numbers may be the
            positions of some cells and the barcodes of others.
        """
        if cells is None:
            return np.arange(self.n_cells)
        requested = np.atleast_1d(np.asarray(cells))
        if not requested.size:
            raise InputError("No cell was chosen.")
        if requested.dtype.kind == "b" and requested.shape == (self.n_cells,):
            positions = np.flatnonzero(requested)
        elif requested.dtype.kind in "iu":
            positions = self._checked_positions(requested)
        elif requested.dtype.kind in "UO":
            positions = self._positions_of_barcodes(requested.astype(str))
        else:
            raise InputError(
                f"Cells must be barcodes, positions or {self.n_cells:,} booleans; found {requested.dtype} {requested.shape}."
            )
        if len(positions) == 0:
            raise InputError("No cell was chosen.")
        if len(np.unique(positions)) != len(positions):
            raise InputError("A cell was chosen twice; name each cell once.")
        return positions

    def _checked_positions(self, requested: NDArray[Any]) -> NDArray[np.intp]:
        positions = requested.astype(np.intp)
        by_barcode = self.cells.index.get_indexer(requested.astype(str).tolist())
        if (by_barcode >= 0).all() and (by_barcode != positions).any():
            number = requested[by_barcode != positions][0]
            raise InputError(
                f"{number} is the position of a cell, and another cell has the barcode {str(number)!r}. Give barcodes as texts, or "
                "choose cells with booleans."
            )
        outside = positions[(positions < 0) | (positions >= self.n_cells)]
        if len(outside):
            raise InputError(f"There is no cell {outside[0]}: the model's cells are 0 to {self.n_cells - 1:,}.")
        return positions

    def _positions_of_barcodes(self, barcodes: NDArray[np.str_]) -> NDArray[np.intp]:
        positions: NDArray[np.intp] = self.cells.index.get_indexer(barcodes.tolist())
        missing = barcodes[positions < 0]
        if len(missing):
            examples = ", ".join(missing[:3]) + " ..." * (len(missing) > 3)
            raise InputError(
                f"The model has no cell {examples} ({len(missing):,} of {len(barcodes):,} are unknown). "
                f"Its barcodes look like {self.cells.index[0]!r}."
            )
        return positions
