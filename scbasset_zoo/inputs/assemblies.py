"""Genome assemblies: the lengths of their chromosomes, and checks of a FASTA against them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option

# One assembly is distributed with different mitochondrial sequences (hg19: 16,571 or 16,569 bp), so this length is not compared.
_MITOCHONDRIA = {"chrM", "chrMT"}

# Names of the Genome Reference Consortium, and UCSC's.
_ALIASES = {"grch37": "hg19", "grch38": "hg38", "grcm38": "mm10", "grcm39": "mm39", "grcz11": "danrer11"}


def same_assembly(one: str, other: str) -> bool:
    """Whether two names stand for one assembly, as hg38, GRCh38 and grch38.p14 do."""
    return _name_of_ucsc(one) == _name_of_ucsc(other)


def check_assembly(
    fasta: str | os.PathLike[str], chromosome_sizes: Mapping[str, int], assembly: str, *, force: bool = False
) -> None:
    """Raise an error unless the main chromosomes of a FASTA are those of the assembly.

    Parameters
    ----------
    fasta : path
        The FASTA, for messages.
    chromosome_sizes : mapping of str to int
        Chromosome lengths of the FASTA, in bp; names with or without "chr". The mitochondrial chromosome is not compared.
    assembly : str
        For example "hg19" or "GRCh37". Any other name than those in the built-in list is accepted, with a line on standard error.
    force : bool
        Show a difference as a line on standard error, and raise no error.

    Raises
    ------
    InputError
        The FASTA has no chromosome of that assembly, or one of another length.
    """
    if not assembly.strip():
        raise InputError("The assembly must have a name, for example hg19.")
    if sizes := listed_sizes(assembly):
        _compare(fasta, chromosome_sizes, sizes, assembly, f"{assembly} has", force)
    else:
        say(f"{assembly} is none of {', '.join(_assemblies())}: its chromosome lengths cannot be checked.")


def check_genome_of_model(
    fasta: str | os.PathLike[str],
    chromosome_sizes: Mapping[str, int],
    assembly: str,
    sizes_of_card: Mapping[str, int],
    *,
    force: bool = False,
) -> None:
    """Raise an error unless a FASTA is the genome of a model.

    Parameters
    ----------
    fasta : path
        The FASTA, for messages.
    chromosome_sizes : mapping of str to int
        Chromosome lengths of the FASTA, in bp. Names are compared with or without "chr".
    assembly : str
        The assembly of the model's card.
    sizes_of_card : mapping of str to int
        Chromosome lengths of the model's card, in bp. Built-in lengths of the assembly are added.
    force : bool
        Show a difference as a line on standard error, and raise no error.

    Raises
    ------
    InputError
        The FASTA shares no chromosome with the model, or one of another length.
    """
    reason = f"the model was trained on {assembly}"
    sizes = listed_sizes(assembly) | dict(sizes_of_card)
    if sizes:
        _compare(fasta, chromosome_sizes, sizes, assembly, f"{reason}, where it has", force)
    else:
        say(f"{fasta}: {reason}; no lengths are listed, so the assembly of the FASTA cannot be checked.")


def _compare(
    fasta: str | os.PathLike[str],
    chromosome_sizes: Mapping[str, int],
    expected: Mapping[str, int],
    assembly: str,
    has: str,
    force: bool,
) -> None:
    """Raise an error, or with `force` show a line, if chromosomes of a FASTA are not those expected.

    The message reads "chr20 is 5 bp; `has` 6".
    """
    expected = {_with_chr(chrom): size for chrom, size in expected.items()}
    shared = {chrom: size for chrom, size in chromosome_sizes.items() if _with_chr(chrom) in expected}
    differing = [
        chrom for chrom, size in shared.items() if size != expected[_with_chr(chrom)] and _with_chr(chrom) not in _MITOCHONDRIA
    ]
    if shared and not differing:
        return
    if not shared:
        problem = (
            f"{fasta}: this FASTA has no chromosome of {assembly}. It has {some_names(chromosome_sizes)}; expected are "
            f"{some_names(expected)}."
        )
    else:
        first, *others = differing
        also = some_names([f"{chrom} ({shared[chrom]:,}, not {expected[_with_chr(chrom)]:,})" for chrom in others], separator="; ")
        problem = (
            f"{fasta}: this FASTA's {first} is {shared[first]:,} bp; {has} {expected[_with_chr(first)]:,}"
            f"{_fitting_assemblies(first, shared[first])}.{f' Also different: {also}.' if others else ''}"
        )
    if not force:
        raise InputError(f"{problem} Give the FASTA of that assembly, or use this one with {option('force', True)}.")
    say(f"{problem} It is used all the same, because of {option('force', True)}.")


def listed_sizes(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's main chromosomes, in bp, with UCSC's names; an empty dict if it is not listed."""
    return dict(_assemblies().get(_name_of_ucsc(assembly), {}))


def assembly_sizes(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's main chromosomes, in bp, with UCSC's names.

    Raises
    ------
    InputError
        The assembly is not listed.
    """
    if not (sizes := listed_sizes(assembly)):
        raise InputError(
            f"The chromosome lengths of {assembly} are not built in, only those of {', '.join(_assemblies())}. Give them "
            "as chromosome_sizes in the section genome of the model's description."
        )
    return sizes


def naming_hint(missing: Iterable[str], present: Iterable[str]) -> str:
    """Return a sentence if missing chromosomes differ from those present only by the prefix "chr", else an empty string."""
    present = set(present)
    for chrom in missing:
        other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
        if other in present:
            return (
                f' Only the naming differs: the chromosome is named "{chrom}" on one side and "{other}" in the FASTA. Rename the '
                "chromosomes of the peaks, or give a FASTA with the same names."
            )
    return ""


def some_names(names: Iterable[str], limit: int = 5, separator: str = ", ") -> str:
    """Join the first names for a message, and say how many more there are."""
    names = list(names)
    return separator.join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def _fitting_assemblies(chrom: str, size: int) -> str:
    fitting = [name for name, sizes in _assemblies().items() if sizes.get(_with_chr(chrom)) == size]
    return f" (the length fits {' and '.join(fitting)})" if fitting else ""


def _name_of_ucsc(assembly: str) -> str:
    """Return UCSC's name of an assembly, spelled as in the built-in list."""
    # A patch release such as GRCh38.p14 leaves the main chromosomes as they are.
    name = re.sub(r"\.p\d+$", "", assembly.strip().casefold())
    name = _ALIASES.get(name, name)
    return {listed.casefold(): listed for listed in _assemblies()}.get(name, name)


def _with_chr(chrom: str) -> str:
    return chrom if chrom.startswith("chr") else f"chr{chrom}"


@cache
def _assemblies() -> dict[str, dict[str, int]]:
    """Main chromosomes of common assemblies, from the UCSC Genome Browser's chrom.sizes."""
    assemblies: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "data" / "assemblies.json").read_text())
    return assemblies
