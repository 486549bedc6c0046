"""Loads motifs from a file or a collection, and chooses among them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from scbasset_zoo import InputError
from scbasset_zoo_plugins.motifs.meme import read_meme
from scbasset_zoo_plugins.motifs.motif import Motif, checked_motifs, some_names


def load_motifs(source: str | os.PathLike[str], names: Sequence[str] | None = None, longest: int | None = None) -> list[Motif]:
    """Motifs of a MEME file or of a collection.

    Parameters
    ----------
    source : path or str
        A MEME file, or the name of a registered collection, as "jaspar-vertebrates".
    names : sequence of str, optional
        Only these, by identifier or by transcription factor, in any case of letters.
    longest : int, optional
        Width that no motif may exceed, in bp.

    Raises
    ------
    InputError
        No such file or collection, a malformed one, names that it does not have, or motifs that are too wide.
    """
    from scbasset_zoo import motif_collections

    collections = motif_collections()
    if str(source) in collections:
        motifs = checked_motifs(collections[str(source)](), f"The collection {source}")
    elif Path(source).is_file():
        motifs = read_meme(source)
    else:
        raise InputError(
            f"There is neither a MEME file {source} nor a motif collection of that name; there are {some_names(collections)}."
        )
    if names is not None:
        motifs = choose(motifs, names, str(source))
        if not motifs:
            raise InputError(f"{source}: no motif is chosen, since the list of names is empty; without a list all are taken.")
    wide = [motif for motif in motifs if longest is not None and len(motif.pwm) > longest]
    if wide:
        raise InputError(
            f"{source}: the motif {wide[0].name} is {len(wide[0].pwm):,} bp wide; the model's sequences have {longest:,} bp."
        )
    return motifs


def choose(motifs: list[Motif], names: Sequence[str], where: str) -> list[Motif]:
    """Those of some motifs that have one of these identifiers or factors, in any case of letters; each must be there."""
    wanted = {name.upper() for name in names}
    chosen = [motif for motif in motifs if wanted & {motif.name.upper(), motif.tf.upper()}]
    known = {name.upper() for motif in chosen for name in (motif.name, motif.tf)}
    missing = [name for name in names if name.upper() not in known]
    if missing:
        raise InputError(f"{where}: there is no motif {some_names(missing)}; there are {some_names(motif.tf for motif in motifs)}.")
    return chosen
