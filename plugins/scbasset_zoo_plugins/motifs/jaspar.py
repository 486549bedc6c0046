"""JASPAR's motifs, as a collection for each taxon."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.extend import sequences as dna

JASPAR_TAXA = ("vertebrates", "plants", "insects", "nematodes", "fungi", "urochordates")


def jaspar_collections() -> dict[str, Callable[[], Mapping[str, ArrayLike]]]:
    """Return functions that read the CORE motifs of each taxon, from the newest release that pyjaspar has."""
    return {f"jaspar-{taxon}": functools.partial(_read_taxon, taxon) for taxon in JASPAR_TAXA}


def _read_taxon(taxon: str) -> dict[str, NDArray[np.float64]]:
    from pyjaspar import jaspardb

    # The default is the newest release. A release that pyjaspar lacks would make it print a message and go on.
    database = jaspardb()
    matrices: dict[str, NDArray[np.float64]] = {}
    for motif in database.fetch_motifs(collection="CORE", tax_group=taxon):
        counts = np.array([motif.counts[base] for base in dna.ALPHABET], dtype=np.float64).T
        matrices[f"{motif.matrix_id} {motif.name}"] = counts / counts.sum(axis=1, keepdims=True)
    return matrices
