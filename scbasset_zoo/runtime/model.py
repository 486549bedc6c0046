"""Model: what :func:`scbasset_zoo.open_model` returns. It predicts peaks and the effects of mutations."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Unpack

from numpy.typing import ArrayLike

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import dna
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.progress import say
from scbasset_zoo.runtime.options import PredictKeywords, PredictOptions
from scbasset_zoo.runtime.sequence_model import Array, SequenceModel, Sequences

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows
    from scbasset_zoo.runtime.mutations.engine import MutationEngine


class Model(SequenceModel):
    """A packaged model that predicts the accessibility of peaks in cells, and how mutations change it.

    Open one with :func:`scbasset_zoo.open_model`. It promises the following:

    - Its numbers are those of model.onnx in plain ONNX Runtime, except for rounding. They do not depend on the batch size.
    - No method changes the model: the same call gives the same result, whatever was called before.
    - Many threads may use a model, and a Genome, at the same time: each call has the result that it has alone.
    - It can be pickled and copied: it is opened again from its package. After a fork, open it again in the child process.
    - Predictions of peaks are cells x peaks. Cells have the order of `cells`, peaks the order in which they were given.
    - :meth:`predict` raises an error before it computes a result that is larger than the free memory.
      :func:`scbasset_zoo.predict` with `out` streams a result of any size to a file.

    Parameters, attributes and errors are those of :class:`~scbasset_zoo.runtime.sequence_model.SequenceModel`.
    """

    def mutate(self, reference: Sequences, starts: ArrayLike, bases: Sequences, *, quiet: bool = False) -> Array:
        """Return the peak embeddings of edits of one reference sequence, computing only what each edit changes.

        An edit replaces bases of the reference by as many others. It is a substitution, or a motif that is inserted over the
        bases of the reference. :meth:`scbasset_zoo.runtime.mutations.engine.MutationEngine.mutate` takes several references.

        Parameters
        ----------
        reference : str, integer codes (length,) or one-hot (length, 4)
            A sequence of the model's length; N is allowed.
        starts : int, or integers (n_edits,)
            First replaced base of each edit, counting from 0. A single number is used for all edits.
        bases : str, sequence of str, or integer codes (n_edits, width)
            New bases of each edit; N is allowed. Strings may differ in length. A single string is used for all edits.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (n_edits, embedding_size)

        Raises
        ------
        InputError
            The reference has another length, or an edit reaches beyond it.
        InexactMutations
            The result would differ from full passes by more than 1e-4. This is checked at first use.
        """
        codes = dna.as_codes(reference, self.sequence_length)
        if len(codes) != 1:
            raise InputError(f"mutate edits one reference; found {len(codes)}. model.mutations.mutate takes several.")
        return self.mutations.mutate(codes, starts, bases, quiet=quiet)

    def saturation_mutagenesis(self, sequences: Sequences, *, quiet: bool = False) -> Array:
        """Return the change of the peak embedding for each base at each position (in silico saturation mutagenesis).

        Logits are linear in the peak embedding: ``result @ model.cell_embedding.T`` is the change of each cell's logit. For
        more sequences than fit in memory see
        :meth:`scbasset_zoo.runtime.mutations.engine.MutationEngine.saturation_mutagenesis_blocks`.

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Sequences of the model's length.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (n, length, 4, embedding_size)
            Bases are in the order A, C, G, T. The change is 0 for the base of the sequence; at an N, all four bases change it.

        Raises
        ------
        InputError, InexactMutations
            As for :meth:`mutate`.
        """
        return self.mutations.saturation_mutagenesis(sequences, quiet=quiet)

    @functools.cached_property
    def mutations(self) -> MutationEngine:
        """The mutation engine. It is made when first used."""
        from scbasset_zoo.runtime.mutations.engine import MutationEngine

        if self.device.is_reference:
            return MutationEngine(self._trunk, self.device, self.embed)
        # Effects are small differences of large numbers.
        reference = Model(self.package, "cuda" if self.device.is_gpu else "cpu", self.device.threads, self._chosen_cells)
        say(f"The effects of mutations are computed in float32, not on {self.device}.")
        return reference.mutations

    @declares_options(PredictOptions)
    def predict(
        self, peaks: PeaksLike | Windows, genome: GenomeLike | None = None, **options: Unpack[PredictKeywords]
    ) -> ad.AnnData:
        """Predict peaks of a genome in every cell.

        Parameters
        ----------
        peaks : path, DataFrame, AnnData, sequence of str, or Windows
            A BED file; an .h5ad or .zarr file, or an AnnData, with peaks in `.var`; a table with columns chrom, start and end
            (0-based, half-open); names such as "chr1:100-600"; or sequences from
            :func:`scbasset_zoo.inputs.windows.sequence_windows`.
        genome : path or Genome, optional
            Genome of the model's assembly: FASTA (plain, gzip or bgzip), .2bit, or a name such as hg38. Sequences need none.
        **options
            See :class:`scbasset_zoo.runtime.options.PredictOptions`.

        Returns
        -------
        AnnData, cells (or groups) x peaks
            For output="peak_embedding", X is None; `.varm["peak_embedding"]` holds the peaks, `.obsm["X_scbasset"]` the cells
            in the same space, and `.obs["depth_intercept"]` their intercepts. `.uns["scbasset_zoo"]` records the model and the
            options.

        Raises
        ------
        InputError
            The peaks, genome, cells or options cannot be used, or the result is larger than the free memory. To stream the
            result to a file, use :func:`scbasset_zoo.predict` with `out`.
        """
        from scbasset_zoo.runtime.predictions import Prediction, predicted_anndata

        return predicted_anndata(Prediction(self, peaks, genome, checked_options("predict", PredictOptions, options)))
