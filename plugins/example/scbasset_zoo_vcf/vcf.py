"""Variants of a VCF: one row an alternative allele, checked against the genome."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from scbasset_zoo import InputError
from scbasset_zoo.dna import decode
from scbasset_zoo.genome import Genome


def read_variants(path: Path, longest: int) -> pd.DataFrame:
    """Alternative alleles in the file's order.

    Parameters
    ----------
    path : Path
        VCF, plain or gzip.
    longest : int
        Of an allele, in bp.

    Returns
    -------
    DataFrame
        chrom, position (0-based), ref, alt, line (of the file); indexed by chrom:position:ref>alt, 1-based as in the file.

    Raises
    ------
    InputError
        No VCF, no variant, or an allele that is not a sequence or too long: the message has the line.
    """
    rows = []
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt") if zipped else path.open() as text:
            for number, line in enumerate(text, 1):
                if number == 1 and not line.startswith("##fileformat=VCF"):
                    raise InputError(f"{path} is not a VCF: its first line must begin with ##fileformat=VCF.")
                if line.startswith("#") or not line.strip():
                    continue
                fields = line.rstrip("\r\n").split("\t")
                if len(fields) < 5 or not fields[1].isdigit():
                    raise InputError(f"{path}, line {number}: expected CHROM, POS, ID, REF and ALT; found {line[:80]!r}.")
                chrom, position, _, ref, alts = fields[:5]
                for allele in [ref, *alts.split(",")]:
                    if not allele or not set(allele.upper()) <= set("ACGTN"):
                        raise InputError(f"{path}, line {number}: the allele {allele!r} is not a sequence; leave it out.")
                    if len(allele) > longest:
                        raise InputError(f"{path}, line {number}: an allele has {len(allele):,} bp; at most {longest:,} fit.")
                rows += [(chrom, int(position) - 1, ref.upper(), alt.upper(), number) for alt in alts.split(",")]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"The VCF {path} cannot be read: {error}.") from error
    if not rows:
        raise InputError(f"{path} has no variants.")
    names = [f"{chrom}:{position + 1}:{ref}>{alt}" for chrom, position, ref, alt, _ in rows]
    return pd.DataFrame(rows, columns=["chrom", "position", "ref", "alt", "line"], index=names)


def require_reference(variants: pd.DataFrame, genome: Genome, path: Path) -> None:
    """Raise InputError unless the genome has each variant's REF where the VCF says."""
    genome.require(variants["chrom"])
    first = variants["position"].to_numpy()
    found = genome.windows(variants["chrom"].to_numpy(), first, int(variants["ref"].str.len().max()))
    here = [decode(codes)[: len(ref)] for codes, ref in zip(found, variants["ref"], strict=True)]
    wrong = np.flatnonzero(np.array(here) != variants["ref"].to_numpy())
    if len(wrong):
        row = variants.iloc[wrong[0]]
        raise InputError(
            f"{path}, line {row['line']}: REF is {row['ref']}, but {genome.path} has {here[wrong[0]]} at {row['chrom']}:"
            f"{row['position'] + 1:,} ({len(wrong):,} of {len(variants):,} alleles differ). Is the VCF of the model's assembly?"
        )
