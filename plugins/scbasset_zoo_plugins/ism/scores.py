"""Normalised scores of in silico saturation mutagenesis, and the importance of the reference base."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.sequences import Windows

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]


_REGIONS_AT_ONCE = 64


def normalised_scores(model: Model, windows: Windows, projection: Array | None) -> Iterator[tuple[slice, dna.Codes, list[Array]]]:
    """Normalised ISM scores, a few regions at a time.

    Parameters
    ----------
    model : Model
    windows : Windows
    projection : float32 (embedding_size, columns), optional
        Mean embeddings of groups, or embeddings of cells; without it, the scores are latent.

    Yields
    ------
    slice
        Which regions.
    int8 codes (n, length)
    list of n float32 (length, 4, columns)
        The four scores of a position sum to zero.
    """
    for first in range(0, len(windows), _REGIONS_AT_ONCE):
        codes = windows.read(first, min(first + _REGIONS_AT_ONCE, len(windows)))
        for part, changes in model.mutations.saturation_mutagenesis_blocks(codes, quiet=True):
            changes -= changes.mean(axis=2, keepdims=True)
            scores = [change if projection is None else change @ projection for change in changes]
            yield slice(first + part.start, first + part.stop), codes[part], scores


def importance(scores: Array, codes: dna.Codes) -> Array:
    """Normalised score of the reference base, (length, columns); 0 at an N."""
    known = codes < dna.N
    found: Array = np.zeros((len(codes), scores.shape[2]), np.float32)
    found[known] = scores[known, codes[known]]
    return found
