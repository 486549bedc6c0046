"""Genome assemblies: the lengths of their chromosomes, and checks of a FASTA against them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say

# One assembly is distributed with different mitochondrial sequences (hg19: 16,571 or 16,569 bp), so this length is not compared.
_MITOCHONDRIA = {"chrM", "chrMT"}


def check_assembly(assembly: str, chromosome_sizes: Mapping[str, int]) -> None:
    """Raise an error unless the lengths of a FASTA's main chromosomes are those of the assembly.

    Parameters
    ----------
    assembly : str
        For example "hg19". Any other name than those in the built-in list is accepted, with a line on standard error.
    chromosome_sizes : mapping of str to int
        Chromosome lengths of the FASTA, in bp; names with or without "chr". The mitochondrial chromosome is not compared.

    Raises
    ------
    InputError
        A chromosome has another length than in that assembly.
    """
    if not assembly.strip():
        raise InputError("The assembly must have a name, for example hg19.")
    assemblies = _assemblies()
    similar = [name for name in assemblies if name.lower() == assembly.lower() != assembly]
    if assembly not in assemblies and similar:
        raise InputError(f"There is no assembly {assembly}. Write {similar[0]}.")
    if assembly not in assemblies:
        say(f"{assembly} is none of {', '.join(assemblies)}: its chromosome lengths cannot be checked.")
        return
    mismatch = _first_mismatch(chromosome_sizes, assemblies[assembly])
    if mismatch:
        chrom, size, expected = mismatch
        raise InputError(f"this FASTA's {chrom} is {size:,} bp; {assembly} has {expected:,}{_fitting_assemblies(chrom, size)}.")
    if not {_with_chr(chrom) for chrom in chromosome_sizes} & set(assemblies[assembly]):
        say(f"The FASTA ({some_names(chromosome_sizes)}) has no chromosome of {assembly}, so its lengths are not checked.")


def check_sizes(
    fasta: str | os.PathLike[str], chromosome_sizes: Mapping[str, int], expected: Mapping[str, int], reason: str
) -> None:
    """Raise an error if chromosomes of a FASTA have other lengths than expected, for example by a model card.

    Parameters
    ----------
    fasta : path
        The FASTA, for messages.
    chromosome_sizes : mapping of str to int
        Chromosome lengths of the FASTA, in bp.
    expected : mapping of str to int
        Expected chromosome lengths, in bp. Names are compared with or without "chr". Only chromosomes in both are compared.
    reason : str
        Why they are expected, for example "the model was trained on hg19".

    Raises
    ------
    InputError
        A chromosome has another length.
    """
    expected = {_with_chr(chrom): size for chrom, size in expected.items()}
    if not {_with_chr(chrom) for chrom in chromosome_sizes} & set(expected):
        unchecked = (
            f"no length is listed for its chromosomes ({some_names(chromosome_sizes)})" if expected else "no lengths are listed"
        )
        say(f"{fasta}: {reason}; {unchecked}, so the assembly of the FASTA cannot be checked.")
    mismatch = _first_mismatch(chromosome_sizes, expected)
    if mismatch:
        chrom, size, expected_size = mismatch
        raise InputError(
            f"{fasta}: this FASTA's {chrom} is {size:,} bp; {reason}, where it has {expected_size:,}"
            f"{_fitting_assemblies(chrom, size)}. Give the FASTA of that assembly."
        )


def listed_sizes(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's main chromosomes, in bp, with UCSC's names; an empty dict if it is not listed."""
    return dict(_assemblies().get(assembly, {}))


def assembly_sizes(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's main chromosomes, in bp, with UCSC's names.

    Raises
    ------
    InputError
        The assembly is not listed.
    """
    assemblies = _assemblies()
    if assembly not in assemblies:
        raise InputError(
            f"The chromosome lengths of {assembly} are not built in, only those of {', '.join(assemblies)}. Give them "
            "as chromosome_sizes in the section genome of the model's description."
        )
    return dict(assemblies[assembly])


def naming_hint(missing: Iterable[str], present: Iterable[str]) -> str:
    """Return a sentence if missing chromosomes differ from those present only by the prefix "chr", else an empty string."""
    present = set(present)
    for chrom in missing:
        other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
        if other in present:
            return (
                f' The chromosome is named "{chrom}" on one side and "{other}" in the FASTA: rename the chromosomes of the '
                "peaks, or give a FASTA with the same names."
            )
    return ""


def some_names(names: Iterable[str], limit: int = 5) -> str:
    """Join the first names for a message, and say how many more there are."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def _first_mismatch(sizes: Mapping[str, int], expected: Mapping[str, int]) -> tuple[str, int, int] | None:
    """Return (chromosome, length, expected length) of the first chromosome with another length."""
    for chrom, size in sizes.items():
        expected_size = expected.get(_with_chr(chrom))
        if expected_size is not None and expected_size != size and _with_chr(chrom) not in _MITOCHONDRIA:
            return chrom, size, expected_size
    return None


def _fitting_assemblies(chrom: str, size: int) -> str:
    fitting = [name for name, sizes in _assemblies().items() if sizes.get(_with_chr(chrom)) == size]
    return f" (the length fits {' and '.join(fitting)})" if fitting else ""


def _with_chr(chrom: str) -> str:
    return chrom if chrom.startswith("chr") else f"chr{chrom}"


@cache
def _assemblies() -> dict[str, dict[str, int]]:
    """Main chromosomes of common assemblies, from the UCSC Genome Browser's chrom.sizes."""
    assemblies: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "data" / "assemblies.json").read_text())
    return assemblies
