"""Reads variants from a VCF, and checks them against the genome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from scbasset_zoo import InputError
from scbasset_zoo.extend.files import columns_of, require_letters, text_lines
from scbasset_zoo.extend.sequences import Genome, decode

COLUMNS = ["chrom", "position", "ref", "alt", "line"]
HEADER = ["#CHROM", "POS", "ID", "REF", "ALT"]


def read_variants(path: Path, longest: int) -> pd.DataFrame:
    """Read the variants of a VCF, one row for each alternative allele, in the order of the file.

    Parameters
    ----------
    path : Path
        VCF, plain or gzip.
    longest : int
        Length that no allele may exceed, in bp.

    Returns
    -------
    DataFrame
        Columns chrom, position (from 0), ref, alt, and line (in the file). The index is chrom:position:ref>alt with the position
        of the file (from 1).

    Raises
    ------
    InputError
        The file is not a VCF or has no variants, or an allele is not a sequence, too long, or a duplicate. The message names the
        line.
    """
    rows: dict[str, tuple[str, int, str, str, int]] = {}
    has_header = False
    # Descriptions may have letters of another encoding.
    for number, line in text_lines(path, comments=(), strict=False):
        has_header = has_header or line.lower().startswith("##fileformat=vcf") or columns_of(line)[:5] == HEADER
        if not has_header:
            raise InputError(f"{path} is not a VCF: its first line must begin with ##fileformat=VCF.")
        if line.startswith("#"):
            continue
        place = f"{path}, line {number}"
        for chrom, position, ref, alt in _alleles(line, longest, place):
            name = f"{chrom}:{position}:{ref}>{alt}"
            if name in rows:
                raise InputError(f"{place}: {name} is also on line {rows[name][-1]}. Remove one of them.")
            rows[name] = chrom, position - 1, ref, alt, number
    if not rows:
        raise InputError(f"{path} has no variants.")
    return pd.DataFrame(list(rows.values()), columns=COLUMNS, index=list(rows))


def require_reference(variants: pd.DataFrame, genome: Genome, path: Path) -> None:
    """Raise InputError if the genome has other bases than the REF of a variant.

    Parameters
    ----------
    variants : DataFrame
        As :func:`read_variants` returns it.
    genome : Genome
    path : Path
        The VCF, for error messages.
    """
    genome.require(variants["chrom"])
    starts = variants["position"].to_numpy()
    chromosome_sizes = variants["chrom"].map(genome.sizes_by_name).to_numpy()
    lengths = variants["ref"].str.len().to_numpy()
    outside = np.flatnonzero((starts < 0) | (starts + lengths > chromosome_sizes))
    if len(outside):
        row = variants.iloc[outside[0]]
        raise InputError(
            f"{path}, line {row['line']}: REF {row['ref']} at position {row['position'] + 1:,} lies outside {row['chrom']}, whose "
            f"bases are 1 to {chromosome_sizes[outside[0]]:,} in {genome.path}. Is the VCF of the model's assembly?"
        )
    windows = genome.windows(variants["chrom"].to_numpy(), starts, int(lengths.max()))
    genome_bases = [decode(codes)[:length] for codes, length in zip(windows, lengths, strict=True)]
    differs = np.flatnonzero(np.array(genome_bases) != variants["ref"].to_numpy())
    if len(differs):
        row = variants.iloc[differs[0]]
        raise InputError(
            f"{path}, line {row['line']}: REF is {row['ref']}, but {genome.path} has {genome_bases[differs[0]]} at {row['chrom']}:"
            f"{row['position'] + 1:,} ({len(differs):,} of {len(variants):,} alleles differ). Is the VCF of the model's assembly?"
        )


def _alleles(line: str, longest: int, place: str) -> Iterator[tuple[str, int, str, str]]:
    """Yield chromosome, position (from 1), REF and ALT of each alternative allele on a line."""
    fields = line.split("\t")
    if len(fields) < 5 or not fields[1].isdecimal():
        raise InputError(f"{place}: expected CHROM, POS, ID, REF and ALT, separated by tabs; found {line[:80]!r}.")
    chrom, position, _, ref, alts = (field.strip() for field in fields[:5])
    require_letters(chrom, place)
    ref, *alternatives = ref.upper(), *alts.upper().split(",")
    for allele in (ref, *alternatives):
        if not allele or not set(allele) <= set("ACGTN"):
            raise InputError(f"{place}: the allele {allele!r} is not a sequence. Remove it.")
        if len(allele) > longest:
            raise InputError(f"{place}: an allele has {len(allele):,} bp; at most {longest:,} fit.")
    for alt in alternatives:
        yield chrom, int(position), ref, alt
