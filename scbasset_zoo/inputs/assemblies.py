"""Known assemblies: their chromosome lengths, and whether a FASTA is the assembly it should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say

# The same assembly is distributed with different mitochondrial sequences (hg19: 16,571 or 16,569 bp), so it proves nothing.
MITOCHONDRIA = {"chrM", "chrMT"}


def check_assembly(assembly: str, chromosome_sizes: Mapping[str, int]) -> None:
    """Refuse a FASTA that is not the assembly it is said to be, by the lengths of its main chromosomes.

    Parameters
    ----------
    assembly : str
        As "hg19". Names that are not known are accepted, with a line on standard error.
    chromosome_sizes : mapping of str to int
        Of the FASTA, in bp; names with or without "chr". The mitochondrial chromosome is not compared.

    Raises
    ------
    InputError
        A chromosome has another length than in that assembly.
    """
    if not assembly.strip():
        raise InputError("The assembly must have a name, as hg19.")
    known = _assemblies()
    near = [name for name in known if name.lower() == assembly.lower() != assembly]
    if assembly not in known and near:
        raise InputError(f"The assembly {assembly} is not known, but {near[0]} is: write it so.")
    if assembly not in known:
        say(f"{assembly} is none of {', '.join(known)}: its chromosome lengths cannot be checked.")
        return
    found = first_mismatch(chromosome_sizes, known[assembly])
    if found:
        chrom, size, expected = found
        raise InputError(f"this FASTA's {chrom} is {size:,} bp; {assembly} has {expected:,}{fitting_assemblies(chrom, size)}.")
    if not {with_chr_prefix(chrom) for chrom in chromosome_sizes} & set(known[assembly]):
        say(f"None of the FASTA's chromosomes ({some_names(chromosome_sizes)}) is one of {assembly}'s: lengths not checked.")


def known_sizes(assembly: str) -> dict[str, int]:
    """Lengths of the main chromosomes of an assembly, in bp, named as by UCSC; nothing if it is not known."""
    return dict(_assemblies().get(assembly, {}))


def assembly_sizes(assembly: str) -> dict[str, int]:
    """Lengths of the main chromosomes of a known assembly, in bp, named as by UCSC.

    Raises
    ------
    InputError
        The assembly is not known.
    """
    known = _assemblies()
    if assembly not in known:
        raise InputError(
            f"The chromosome lengths of {assembly} are not known, only those of {', '.join(known)}. Say them yourself, as "
            "chromosome_sizes in the section genome of what you say about the model."
        )
    return dict(known[assembly])


def naming_hint(missing: Iterable[str], present: Iterable[str]) -> str:
    """A sentence when the missing chromosomes differ from the present ones only by the prefix "chr", else nothing."""
    present = set(present)
    for chrom in missing:
        other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
        if other in present:
            return (
                f' The chromosome is named "{chrom}" on one side and "{other}" in the FASTA: rename the chromosomes of the '
                "peaks or give the FASTA with the other names."
            )
    return ""


def first_mismatch(sizes: Mapping[str, int], expected: Mapping[str, int]) -> tuple[str, int, int] | None:
    for chrom, size in sizes.items():
        wanted = expected.get(with_chr_prefix(chrom))
        if wanted is not None and wanted != size and with_chr_prefix(chrom) not in MITOCHONDRIA:
            return chrom, size, wanted
    return None


def fitting_assemblies(chrom: str, size: int) -> str:
    fitting = [name for name, sizes in _assemblies().items() if sizes.get(with_chr_prefix(chrom)) == size]
    return f" (the length fits {' and '.join(fitting)})" if fitting else ""


def with_chr_prefix(chrom: str) -> str:
    return chrom if chrom.startswith("chr") else f"chr{chrom}"


@cache
def _assemblies() -> dict[str, dict[str, int]]:
    """Main chromosomes of common assemblies, from the UCSC Genome Browser's chrom.sizes."""
    assemblies: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "data" / "assemblies.json").read_text())
    return assemblies


def some_names(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")
