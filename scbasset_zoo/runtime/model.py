"""Model: ONNX in, numbers out. What :func:`scbasset_zoo.open_model` returns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.sequence_model import Array, SequenceModel, Sequences

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows
    from scbasset_zoo.runtime.mutations.engine import MutationEngine
    from scbasset_zoo.runtime.predictions import OutputName


class Model(SequenceModel):
    """A packaged model, ready to predict peaks of a genome and the effects of mutations.

    See :class:`SequenceModel` for its parameters, attributes and errors.
    """

    def mutate(self, reference: Sequences, starts: ArrayLike, bases: Sequences, *, quiet: bool = False) -> Array:
        """Embed edits of one reference, computing only what they change.

        Each edit replaces bases of the reference by as many others: substitutions, or a motif over what was there.
        For edits of many references in one call see :meth:`scbasset_zoo.runtime.mutations.engine.MutationEngine.mutate`.

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
        :meth:`scbasset_zoo.runtime.mutations.engine.MutationEngine.saturation_mutagenesis_blocks`.

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
        from scbasset_zoo.runtime.mutations.engine import MutationEngine

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
            `.var`, names such as "chr1:100-600", or sequences by :func:`scbasset_zoo.inputs.windows.sequence_windows`.
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

        from scbasset_zoo.runtime.predictions import Prediction, latent_anndata

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
