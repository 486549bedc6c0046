"""Variants of a VCF: one row an alternative allele, checked against the genome."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from scbasset_zoo import InputError
from scbasset_zoo.extend.sequences import Genome, decode


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
        No VCF, no variant, or an allele that is not a sequence, too long or there twice: the message has the line.
    """
    rows: dict[str, tuple[str, int, str, str, int]] = {}
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
                ref, alts = ref.upper(), alts.upper().split(",")
                for allele in [ref, *alts]:
                    if not allele or not set(allele) <= set("ACGTN"):
                        raise InputError(f"{path}, line {number}: the allele {allele!r} is not a sequence; leave it out.")
                    if len(allele) > longest:
                        raise InputError(f"{path}, line {number}: an allele has {len(allele):,} bp; at most {longest:,} fit.")
                for alt in alts:
                    name = f"{chrom}:{int(position)}:{ref}>{alt}"
                    if name in rows:
                        raise InputError(f"{path}, line {number}: {name} stands on line {rows[name][-1]} too; leave one out.")
                    rows[name] = chrom, int(position) - 1, ref, alt, number
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"The VCF {path} cannot be read: {error}.") from error
    if not rows:
        raise InputError(f"{path} has no variants.")
    return pd.DataFrame(list(rows.values()), columns=["chrom", "position", "ref", "alt", "line"], index=list(rows))


def require_reference(variants: pd.DataFrame, genome: Genome, path: Path) -> None:
    """Raise InputError unless the genome has each variant's REF where the VCF says."""
    genome.require(variants["chrom"])
    first, size = variants["position"].to_numpy(), variants["chrom"].map(genome.chromosome_sizes).to_numpy()
    outside = np.flatnonzero((first < 0) | (first + variants["ref"].str.len().to_numpy() > size))
    if len(outside):
        row = variants.iloc[outside[0]]
        raise InputError(
            f"{path}, line {row['line']}: REF {row['ref']} at position {row['position'] + 1:,} lies outside {row['chrom']}, whose "
            f"bases are 1 to {size[outside[0]]:,} in {genome.path}. Is the VCF of the model's assembly?"
        )
    found = genome.windows(variants["chrom"].to_numpy(), first, int(variants["ref"].str.len().max()))
    here = [decode(codes)[: len(ref)] for codes, ref in zip(found, variants["ref"], strict=True)]
    wrong = np.flatnonzero(np.array(here) != variants["ref"].to_numpy())
    if len(wrong):
        row = variants.iloc[wrong[0]]
        raise InputError(
            f"{path}, line {row['line']}: REF is {row['ref']}, but {genome.path} has {here[wrong[0]]} at {row['chrom']}:"
            f"{row['position'] + 1:,} ({len(wrong):,} of {len(variants):,} alleles differ). Is the VCF of the model's assembly?"
        )
