"""A prediction of several models in blocks: the mean over models, and the standard deviation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.runtime.predictions import Block, Prediction
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from scbasset_zoo.runtime.sequence_model import SequenceModel

Array = NDArray[np.float32]


def open_prediction(
    models: Sequence[SequenceModel],
    peaks: PeaksLike | Windows,
    genome: GenomeLike | None,
    options: PredictOptions,
    *,
    quiet: bool = False,
) -> Prediction:
    """Return the prediction of one model, or that of several models whose cells are the same in the same order."""
    if len(models) == 1:
        return Prediction(models[0], peaks, genome, options, quiet=quiet)
    return SeveralPredictions(models, peaks, genome, options, quiet=quiet)


class SeveralPredictions(Prediction):
    """The mean and the standard deviation over several models, of the logits or probabilities of each.

    Each block is computed by one model after the other, so memory grows with the size of a block alone.

    Parameters
    ----------
    models : sequence of two or more SequenceModel
        Their cells are the same, in the same order.
    peaks, genome, options
        As for :class:`Prediction`.

    Raises
    ------
    InputError
        As for :class:`Prediction`, or the output is the peak embedding, which differs between models.
    """

    values_per_entry = 2

    def __init__(
        self,
        models: Sequence[SequenceModel],
        peaks: PeaksLike | Windows,
        genome: GenomeLike | None,
        options: PredictOptions,
        *,
        quiet: bool = False,
    ) -> None:
        require_combinable(options)
        super().__init__(models[0], peaks, genome, options, quiet=quiet)
        self._others = [Prediction(model, self.windows, None, options, quiet=True) for model in models[1:]]
        self.uns["scbasset_zoo"] |= provenance_of_models(models)

    @property
    def of_models(self) -> tuple[Prediction, ...]:
        """The prediction of each model; the first is this one."""
        return (self, *self._others)

    def take(self, stripes: Iterable[tuple[slice, list[Array]]]) -> None:
        """Take what :meth:`strands` of each model returned, from elsewhere: each stripe of the models in turn."""
        # Closing one reader does not close a chain.
        shared = itertools.chain(stripes)
        super().take(shared)
        for other in self._others:
            other.take(shared)

    def blocks(self) -> Iterator[Block]:
        for blocks in zip(super().blocks(), *(other.blocks() for other in self._others), strict=True):
            yield Block(blocks[0].rows, blocks[0].peaks, *mean_and_std([block.values for block in blocks]))


def require_combinable(options: PredictOptions) -> None:
    """Raise InputError if the output of several models cannot be combined."""
    if options.output == "peak_embedding":
        raise InputError(
            f"{option('output', 'peak_embedding')} takes one model: each model has a space of its own. "
            f"Take {option('output', 'logits')}, or one model."
        )


def mean_and_std(values: Sequence[Array]) -> tuple[Array, Array]:
    """Return the mean and the standard deviation over models, computed in float64.

    Parameters
    ----------
    values : sequence of n arrays of one shape
        The same values of each model; n is 2 or more.

    Returns
    -------
    float32 array
        The mean.
    float32 array
        The standard deviation, with n - 1 in its denominator.
    """
    mean = sum((part.astype(np.float64) for part in values[1:]), values[0].astype(np.float64))
    mean /= len(values)
    squares = np.zeros_like(mean)
    for part in values:
        squares += np.square(part - mean)
    return mean.astype(np.float32), np.sqrt(squares / (len(values) - 1)).astype(np.float32)


def provenance_of_models(models: Sequence[SequenceModel]) -> dict[str, str]:
    """Return id, version and card hash of each model, separated by commas, their assembly, device and precision."""
    return {
        "model_id": ", ".join(model.card.id for model in models),
        "model_version": ", ".join(model.card.version for model in models),
        "card_sha256": ", ".join(model.card_sha256 for model in models),
        "assembly": models[0].card.genome.assembly,
        "device": models[0].device.name,
        "precision": models[0].device.precision,
    }
