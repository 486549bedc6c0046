"""The background sequence of a simulated genome, from another genome."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from Bio.SeqIO.FastaIO import SimpleFastaParser

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import Codes, N, encode
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.named_genome import genome_name
from scbasset_zoo.inputs.text_files import open_text
from scbasset_zoo.inputs.twobit_file import is_twobit
from scbasset_zoo.wording import option

BACKGROUND = Path(__file__).with_name("data") / "hg19_chr20_slice.fa.gz"
BACKGROUND_NAME = "hg19 chr20:35200001-39400000"

# Each peak lies in its own stretch, which contains the 1,344 bp around its centre and 8 bp on each side for shifts.
STRETCH = 1_400


def read_background(genome: Path, n_stretches: int) -> Codes:
    """Return the first N-free stretches of a genome, at most n_stretches, as codes of shape (n, STRETCH)."""
    if genome_name(genome) is None and not genome.is_file():
        raise InputError(f"The FASTA {genome} does not exist.")
    stretches = list(islice(_stretches(_chromosomes(genome)), n_stretches))
    if not stretches:
        raise InputError(
            f"The genome {genome} has no {STRETCH:,} bp in a row without N. Give a genome of chromosomes, or do not give "
            f"{option('genome')}, to use the piece of hg19 that comes with scbasset_zoo."
        )
    return np.stack(stretches)


def _chromosomes(path: Path) -> Iterator[Codes]:
    """Yield the codes of each chromosome. A FASTA is read from its beginning, and needs no index."""
    if genome_name(path) is not None or is_twobit(_first_bytes(path)):
        genome = Genome(path)
        for chrom, size in genome.chromosome_sizes.items():
            yield genome.codes(chrom, 0, size)
        return
    try:
        with open_text(path) as file:
            for _, sequence in SimpleFastaParser(file):
                yield encode(sequence)
    except (UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise InputError(f"{path} is not a FASTA file, plain or gzip: {error}") from error


def _stretches(chromosomes: Iterable[Codes]) -> Iterator[Codes]:
    """Yield the N-free stretches of all chromosomes, without overlap."""
    for codes in chromosomes:
        ends = np.append(np.flatnonzero(codes == N), len(codes))
        starts = np.append(0, ends[:-1] + 1)
        for first, end in zip(starts, ends, strict=True):
            for start in range(first, end - STRETCH + 1, STRETCH):
                yield codes[start : start + STRETCH]


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)
