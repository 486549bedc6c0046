"""The change of the peak embedding that each variant of a block causes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend.sequences import Codes, Genome, encode, reverse_complement

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]


def latent_effects(model: Model, variants: pd.DataFrame, genome: Genome, *, both_strands: bool = False) -> Array:
    """Compute the effects of variants: the peak embedding of the alternative minus that of the reference.

    A window has the first changed base in the middle, or begins at `window_start`. Before the change, its sequence stays; after an
    insertion or deletion it moves, and the window keeps its length. On the reverse strand the window is the one that is centred,
    and keeps its sequence before the change, when it is read on that strand.

    Parameters
    ----------
    model : Model
    variants : DataFrame of n rows
        `on` (chromosome, as the genome names it), `start` (first changed base, from 0), `old` and `new` (sequences, one of which
        may be empty), and for windows that are not centred `window_start` (from 0).
    genome : Genome
    both_strands : bool
        Return the mean over both strands of the window.

    Returns
    -------
    float32 array (n, embedding_size)
    """
    forward = _of_strand(model, variants, genome, reverse=False)
    if not both_strands:
        return forward
    mean: Array = (forward + _of_strand(model, variants, genome, reverse=True)) / np.float32(2)
    return mean


def windows_of(
    variants: pd.DataFrame, genome: Genome, length: int, *, reverse: bool = False
) -> tuple[Codes, Codes, NDArray[np.intp]]:
    """Return the windows of variants with their reference and alternative, and where the change begins in them.

    Returns
    -------
    int8 codes (n, length)
        References.
    int8 codes (n, length)
        Alternatives.
    int array (n,)
        First changed base.
    """
    sequences, offset, new, _ = _oriented(variants, genome, length, reverse=reverse)
    n_old = variants["old"].str.len().to_numpy()
    alternatives = [_edited(sequences[row], int(offset[row]), int(n_old[row]), new[row])[:length] for row in range(len(new))]
    return sequences[:, :length], np.stack(alternatives), offset


def _of_strand(model: Model, variants: pd.DataFrame, genome: Genome, *, reverse: bool) -> Array:
    length = model.sequence_length
    sequences, offset, new, first = _oriented(variants, genome, length, reverse=reverse)
    n_old, n_new = (variants[name].str.len().to_numpy() for name in ("old", "new"))
    # Variants of one window, such as the alternatives of a site, share its activations.
    windows = pd.DataFrame({"on": variants["on"].to_numpy(), "first": first})
    effects = np.empty((len(variants), model.cell_embedding.shape[1]), dtype=np.float32)
    substitutions = np.flatnonzero(n_old == n_new)
    if len(substitutions):
        which, rows = _distinct(windows.iloc[substitutions])
        effects[substitutions] = model.mutations.effects(
            sequences[substitutions[rows], :length],
            offset[substitutions],
            [new[row] for row in substitutions],
            reference=which,
            quiet=True,
        )
    indels = np.flatnonzero(n_old != n_new)
    if len(indels):
        which, rows = _distinct(windows.iloc[indels])
        edited = [_edited(sequences[row], offset[row], n_old[row], new[row])[:length] for row in indels]
        embed = model.mutations.embed
        effects[indels] = embed(np.stack(edited)) - embed(sequences[indels[rows], :length])[which]
    return effects


def _oriented(
    variants: pd.DataFrame, genome: Genome, length: int, *, reverse: bool
) -> tuple[Codes, NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Return, on one strand, sequences with what may move into the window, the offset of each change, its new bases, and the
    first base of each window on the genome."""
    start = variants["start"].to_numpy(np.int64)
    n_old, n_new = (variants[name].str.len().to_numpy(np.int64) for name in ("old", "new"))
    before = length // 2
    if "window_start" in variants:
        first = variants["window_start"].to_numpy(np.int64)
    else:
        first = start + n_old - length + before if reverse else start - before
    extra = int(max(0, (n_old - n_new).max()))
    on = variants["on"].to_numpy(dtype=object)
    if not reverse:
        return genome.windows(on, first, length + extra), start - first, variants["new"].tolist(), first
    sequences = reverse_complement(genome.windows(on, first - extra, length + extra))
    return sequences, first + length - start - n_old, [_reverse_complement(new) for new in variants["new"]], first


def _distinct(windows: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the number of each window among the distinct ones, and a row of each distinct window."""
    number: NDArray[np.intp] = windows.groupby(["on", "first"], sort=False).ngroup().to_numpy().astype(np.intp)
    rows: NDArray[np.intp] = np.unique(number, return_index=True)[1]
    return number, rows


def _edited(sequence: Codes, offset: int, n_old: int, new: str) -> Codes:
    return np.concatenate([sequence[:offset], encode(new), sequence[offset + n_old :]])


def _reverse_complement(letters: str) -> str:
    return letters[::-1].translate(str.maketrans("ACGT", "TGCA"))
