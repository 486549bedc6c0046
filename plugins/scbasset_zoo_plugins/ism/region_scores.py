"""What `ism` computes of some of its regions: scores, importance and motif matches, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scbasset_zoo.extend.parts import Range
from scbasset_zoo_plugins.ism.inputs import IsmInputs
from scbasset_zoo_plugins.ism.motif_matches import MotifMatches
from scbasset_zoo_plugins.ism.scores import importance, largest_stretch, normalised_scores

if TYPE_CHECKING:
    from scbasset_zoo import Model
    from scbasset_zoo.extend.parts import Arrays


def score_regions(model: Model, inputs: IsmInputs, part: Range) -> Arrays:
    """Mutate some regions.

    Parameters
    ----------
    model : Model
    inputs : IsmInputs
    part : Range
        Numbers of the regions. They seed the shuffles that matches are tested against.

    Returns
    -------
    mapping of str to array
        The arrays of the result, `reference`, `scores` and `importance`, of these regions. `largest` and `stretches`, float32
        (regions, columns), are the largest absolute importance of a base and of 10 adjacent bases. With motifs also the arrays of
        :meth:`~scbasset_zoo_plugins.ism.motif_matches.MotifMatches.arrays`.
    """
    codes = inputs.windows.read(part.first, part.last)
    matches = MotifMatches(inputs.search, inputs.columns) if inputs.search is not None else None
    scores = np.empty((*codes.shape, 4, len(inputs.columns)), np.float32)
    for block, block_scores in normalised_scores(model, codes, inputs.projection):
        scores[block] = block_scores
        if matches is not None:
            numbers = range(part.first + block.start, part.first + block.stop)
            matches.add(list(inputs.windows.var.index[numbers.start : numbers.stop]), numbers, codes[block], list(scores[block]))
    of_bases = np.stack([importance(*of_region) for of_region in zip(scores, codes, strict=True)])
    return {
        "reference": codes,
        "scores": scores,
        "importance": of_bases,
        "largest": np.abs(of_bases).max(axis=1),
        "stretches": np.stack([largest_stretch(values) for values in of_bases]),
        **(matches.arrays() if matches is not None else {}),
    }
