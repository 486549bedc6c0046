"""Effects of variants by chance: random SNVs in peaks, or the same variants in shuffled windows. They are the scale of effects."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.caches import cached_arrays
from scbasset_zoo.extend.sequences import Genome
from scbasset_zoo_plugins.variant_effect.effects import latent_effects, windows_of

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]
_STEP = 256


class Null:
    """Effects by chance, which give the percentile of an effect.

    Parameters
    ----------
    effects : float array (n, columns)

    Attributes
    ----------
    n : int
    """

    def __init__(self, effects: Array) -> None:
        self._sizes = np.sort(np.abs(effects), axis=0)
        self.n = len(effects)

    def percentiles(self, effects: Array) -> Array:
        """Return the share, in per cent, of the effects by chance that are smaller in size: (n, columns), for each column."""
        counts = [np.searchsorted(sizes, np.abs(values)) for sizes, values in zip(self._sizes.T, effects.T, strict=True)]
        return np.stack(counts, axis=1).astype(np.float32) * (100 / self.n)

    def sizes_at(self, percentile: float) -> Array:
        """Return the size of effect at a percentile, for each column."""
        sizes: Array = np.percentile(self._sizes, percentile, axis=0).astype(np.float32)
        return sizes


def random_snvs(peaks: pd.DataFrame, genome: Genome, n: int, seed: int) -> pd.DataFrame:
    """Draw SNVs at random bases of random peaks, as :func:`latent_effects` takes them.

    Parameters
    ----------
    peaks : DataFrame
        `on`, start, end.
    genome : Genome
    n : int
        Fewer are returned if most of the genome is N.
    seed : int
    """
    rng = np.random.default_rng([seed, 1])
    row = rng.integers(0, len(peaks), 2 * n)  # some bases are N
    start, end = (peaks[name].to_numpy(np.int64)[row] for name in ("start", "end"))
    at = start + (rng.random(len(row)) * (end - start)).astype(np.int64)
    on = peaks["on"].to_numpy(dtype=object)[row]
    codes = genome.windows(on, at, 1)[:, 0]
    alternative = (codes + rng.integers(1, 4, len(row))) % 4
    letters = np.array(list(dna.ALPHABET))
    is_base = np.flatnonzero(codes < dna.N)[:n]
    return pd.DataFrame(
        {"on": on[is_base], "start": at[is_base], "old": letters[codes[is_base]], "new": letters[alternative[is_base]]}
    )


def random_effects(model: Model, snvs: pd.DataFrame, genome: Genome, *, both_strands: bool, context: Context) -> Array:
    """Return the effects of random SNVs, (n, embedding_size), from the user's cache if they are there.

    The name in the cache is the hash of the model's card, of the windows with the random SNVs, and of the strands.
    """
    digest = hashlib.sha256(json.dumps([model.card_sha256, both_strands]).encode())
    for first in range(0, len(snvs), _STEP):
        for codes in windows_of(snvs.iloc[first : first + _STEP], genome, model.sequence_length)[:2]:
            digest.update(codes.tobytes())

    def compute() -> Array:
        parts = []
        with context.progress("scoring random SNVs", len(snvs)) as advance:
            for first in range(0, len(snvs), _STEP):
                part = snvs.iloc[first : first + _STEP]
                parts.append(latent_effects(model, part, genome, both_strands=both_strands))
                advance(len(part))
        return np.concatenate(parts)

    return cached_arrays("variant-effect", digest.hexdigest(), compute)


def shuffled_effects(model: Model, variants: pd.DataFrame, genome: Genome, seed: int, context: Context) -> Array:
    """Return the effects of SNVs in their own windows, whose other bases are shuffled with their dinucleotides kept."""
    rng = np.random.default_rng([seed, 2])
    effects = []
    with context.progress("scoring variants in shuffled windows", len(variants)) as advance:
        for first in range(0, len(variants), _STEP):
            part = variants.iloc[first : first + _STEP]
            codes, _, offset = windows_of(part, genome, model.sequence_length)
            shuffled = np.concatenate([dna.shuffle(sequence, rng) for sequence in codes])
            shuffled[np.arange(len(part)), offset] = codes[np.arange(len(part)), offset]
            effects.append(
                model.mutations.effects(shuffled, offset, part["new"].tolist(), reference=np.arange(len(part)), quiet=True)
            )
            advance(len(part))
    return np.concatenate(effects)
