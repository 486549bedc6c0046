"""Loads motifs from a file or a collection, and chooses some by name.

To add a file format, write a reader in a module of its own, such as `meme`, and add it to `READERS`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from scbasset_zoo import InputError, motif_collections, read_motif_collection
from scbasset_zoo_plugins.motifs.meme import read_meme
from scbasset_zoo_plugins.motifs.motif import Motif, checked_motifs, some_names

# Readers of motif files by suffix: functions of a path that return its motifs, or raise InputError with file and line.
READERS: dict[str, Callable[[str | os.PathLike[str]], list[Motif]]] = {".meme": read_meme}
# Reads files with any other suffix, since MEME files have many.
DEFAULT_READER = read_meme


def load_motifs(source: str | os.PathLike[str], names: Sequence[str] | None = None, max_width: int | None = None) -> list[Motif]:
    """Load the motifs of a file or of a collection.

    Parameters
    ----------
    source : path or str
        A MEME file, or the name of a registered collection, such as "jaspar-vertebrates".
    names : sequence of str, optional
        Load only these motifs, by identifier or by transcription factor; upper and lower case do not matter.
    max_width : int, optional
        Width that no motif may exceed, in bp.

    Raises
    ------
    InputError
        There is no such file or collection, it is malformed, it lacks some of the names, or a motif is too wide.
    """
    collections = motif_collections()
    if str(source) in collections:
        motifs = checked_motifs(collections[str(source)](), f"The collection {source}")
    elif os.path.exists(source):
        motifs = READERS.get(Path(source).suffix, DEFAULT_READER)(source)
    else:
        with contextlib.suppress(InputError):
            read_motif_collection(str(source))  # raises PluginError if two plugins register this name
        raise InputError(
            f"There is neither a MEME file {source} nor a motif collection of that name; collections are {some_names(collections)}."
        )
    if names is not None:
        motifs = choose_motifs(motifs, names, str(source))
        if not motifs:
            raise InputError(f"{source}: no motif is chosen, since the list of names is empty. Without a list, all are taken.")
    too_wide = [motif for motif in motifs if max_width is not None and len(motif.pwm) > max_width]
    if too_wide:
        raise InputError(
            f"{source}: the motif {too_wide[0].name} is {len(too_wide[0].pwm):,} bp wide; the model's sequences have "
            f"{max_width:,} bp. Leave it out."
        )
    return motifs


def choose_motifs(motifs: list[Motif], names: Sequence[str], where: str) -> list[Motif]:
    """Return the motifs that have one of some names as identifier or factor; upper and lower case do not matter.

    Parameters
    ----------
    motifs : list of Motif
    names : sequence of str
    where : str
        Start of the error message: where the names were looked for.

    Raises
    ------
    InputError
        A name belongs to no motif.
    """
    upper_names = {name.upper() for name in names}
    chosen = [motif for motif in motifs if upper_names & {motif.name.upper(), motif.tf.upper()}]
    chosen_names = {name.upper() for motif in chosen for name in (motif.name, motif.tf)}
    missing = [name for name in names if name.upper() not in chosen_names]
    if missing:
        raise InputError(f"{where}: there is no motif {some_names(missing)}; there are {some_names(motif.tf for motif in motifs)}.")
    return chosen
