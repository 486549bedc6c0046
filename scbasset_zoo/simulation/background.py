"""The background sequence of a simulated genome, from a FASTA file."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from Bio.SeqIO.FastaIO import SimpleFastaParser

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import Codes, N, encode

BACKGROUND = Path(__file__).with_name("data") / "hg19_chr20_slice.fa.gz"


# Each peak has a stretch of its own; 1,344 bp around its centre, with 8 bp on each side for shifts, never leave it.
STRETCH = 1_400


def read_background(fasta: Path, n_stretches: int) -> Codes:
    """The first N-free stretches of a FASTA, at most n_stretches: (n, STRETCH)."""
    if not fasta.is_file():
        raise InputError(f"Background FASTA {fasta} does not exist.")
    with open(fasta, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(fasta, "rt") if zipped else open(fasta) as file:
            stretches = list(islice(_stretches(file), n_stretches))
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, ValueError) as error:
        raise InputError(f"Background {fasta} is not a FASTA file, plain or gzip: {error}") from error
    if not stretches:
        raise InputError(
            f"Background FASTA {fasta} has no {STRETCH:,} bp in a row without N. Give a FASTA of chromosomes, or leave it "
            "out to use the piece of hg19 that comes with scbasset_zoo."
        )
    return np.stack(stretches)


def _stretches(file: Any) -> Iterator[Codes]:
    for _, sequence in SimpleFastaParser(file):
        codes = encode(sequence)
        ends = np.append(np.flatnonzero(codes == N), len(codes))
        starts = np.append(0, ends[:-1] + 1)
        for first, end in zip(starts, ends, strict=True):
            for start in range(first, end - STRETCH + 1, STRETCH):
                yield codes[start : start + STRETCH]
