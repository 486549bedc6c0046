"""JASPAR's motifs, as collections by taxon."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.extend import sequences as dna

JASPAR_TAXA = ("vertebrates", "plants", "insects", "nematodes", "fungi", "urochordates")


def jaspar_collections() -> dict[str, Callable[[], Mapping[str, ArrayLike]]]:
    """JASPAR's CORE motifs of each taxon, of the newest release that pyjaspar brings, read when asked for."""
    return {f"jaspar-{taxon}": functools.partial(_jaspar, taxon) for taxon in JASPAR_TAXA}


def _jaspar(taxon: str) -> dict[str, NDArray[np.float64]]:
    from pyjaspar import jaspardb

    # An unknown release makes pyjaspar print and go on; the default is its newest.
    database = jaspardb()
    found = database.fetch_motifs(collection="CORE", tax_group=taxon)
    return {
        f"{motif.matrix_id} {motif.name}": counts / counts.sum(axis=1, keepdims=True)
        for motif in found
        for counts in [np.array([motif.counts[base] for base in dna.ALPHABET], dtype=np.float64).T]
    }
