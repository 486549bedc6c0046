"""Writes the tracks of a prediction while its blocks go to another place, so that each is computed once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime.predictions import Block, Prediction
from scbasset_zoo.tracks.bigwig import BigWigFolder
from scbasset_zoo.wording import option

# Computes the blocks of a prediction.
Blocks: TypeAlias = Callable[[], Iterator[Block]]


@contextlib.contextmanager
def blocks_with_tracks(prediction: Prediction, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Blocks]:
    """Yield what computes the blocks of a prediction. If the block succeeds, the folder has a bigWig file for each cell or group.

    Parameters
    ----------
    prediction : Prediction
    folder : path
    overwrite : bool
        Replace `folder` if it exists.

    Raises
    ------
    InputError
        The output is the peak embedding, or an error of :class:`scbasset_zoo.tracks.bigwig.BigWigFolder`. Raised before any work.
    """
    if prediction.options.output == "peak_embedding":
        raise InputError(
            f"{option('bigwig')} takes {option('output', 'accessibility')} or {option('output', 'logits')}: "
            "the dimensions of the peak embedding are no groups of cells."
        )
    tracks = BigWigFolder([str(name) for name in prediction.obs.index], prediction.windows)
    with tracks.written(folder, overwrite=overwrite) as values:

        def blocks() -> Iterator[Block]:
            for block in prediction.blocks():
                values.write(block.rows, block.peaks, block.values)
                yield block

        yield blocks
