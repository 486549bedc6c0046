"""The background sequence of a simulated genome, from a FASTA file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from Bio.SeqIO.FastaIO import SimpleFastaParser

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import Codes, N, encode
from scbasset_zoo.inputs.text_files import open_text
from scbasset_zoo.wording import option

BACKGROUND = Path(__file__).with_name("data") / "hg19_chr20_slice.fa.gz"
BACKGROUND_NAME = "hg19 chr20:35200001-39400000"

# Each peak lies in its own stretch, which contains the 1,344 bp around its centre and 8 bp on each side for shifts.
STRETCH = 1_400


def read_background(fasta: Path, n_stretches: int) -> Codes:
    """Return the first N-free stretches of a FASTA, at most n_stretches, as codes of shape (n, STRETCH)."""
    if not fasta.is_file():
        raise InputError(f"The FASTA {fasta} does not exist.")
    try:
        with open_text(fasta) as file:
            stretches = list(islice(_stretches(file), n_stretches))
    except (UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise InputError(f"{fasta} is not a FASTA file, plain or gzip: {error}") from error
    if not stretches:
        raise InputError(
            f"The FASTA {fasta} has no {STRETCH:,} bp in a row without N. Give a FASTA of chromosomes, or do not give "
            f"{option('genome')}, to use the piece of hg19 that comes with scbasset_zoo."
        )
    return np.stack(stretches)


def _stretches(file: TextIO) -> Iterator[Codes]:
    """Yield the N-free stretches of all records, without overlap."""
    for _, sequence in SimpleFastaParser(file):
        codes = encode(sequence)
        ends = np.append(np.flatnonzero(codes == N), len(codes))
        starts = np.append(0, ends[:-1] + 1)
        for first, end in zip(starts, ends, strict=True):
            for start in range(first, end - STRETCH + 1, STRETCH):
                yield codes[start : start + STRETCH]
