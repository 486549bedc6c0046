"""Genome assemblies: the lengths of their chromosomes, and checks of a FASTA against them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assembly_table import assemblies, find_assembly, name_of_ucsc
from scbasset_zoo.inputs.chromosome_names import MITOCHONDRIA, standard_name
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option


def same_assembly(one: str, other: str) -> bool:
    """Whether two names stand for one assembly, as hg38, GRCh38 and grch38.p14 do."""
    return name_of_ucsc(one).casefold() == name_of_ucsc(other).casefold()


def check_assembly(
    fasta: str | os.PathLike[str], chromosome_sizes: Mapping[str, int], assembly: str, *, force: bool = False
) -> None:
    """Raise an error unless the main chromosomes of a FASTA are those of the assembly.

    Parameters
    ----------
    fasta : path
        The FASTA, for messages.
    chromosome_sizes : mapping of str to int
        Chromosome lengths of the FASTA, in bp, with names of UCSC, Ensembl, GenBank or RefSeq. The mitochondrial chromosome is not
        compared.
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
        say(f"{assembly} is none of {', '.join(assemblies())}: its chromosome lengths cannot be checked.")


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
        Chromosome lengths of the FASTA, in bp, with names of UCSC, Ensembl, GenBank or RefSeq.
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
        say(f"{fasta}: {reason}; no lengths are listed, so the assembly of the genome cannot be checked.")


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
    expected = {standard_name(chrom, assembly): size for chrom, size in expected.items()}
    standard = {chrom: standard_name(chrom, assembly) for chrom in chromosome_sizes}
    shared = {chrom: size for chrom, size in chromosome_sizes.items() if standard[chrom] in expected}
    # One assembly is distributed with different mitochondrial sequences (hg19: 16,571 or 16,569 bp): this length is not compared.
    differing = [
        chrom for chrom, size in shared.items() if size != expected[standard[chrom]] and standard[chrom] not in MITOCHONDRIA
    ]
    if shared and not differing:
        return
    if not shared:
        fitting = fitting_assemblies(chromosome_sizes)
        hint = f" Its names and lengths are those of {' and '.join(fitting)}." if fitting else ""
        problem = (
            f"{fasta}: this genome has no chromosome of {assembly}. It has {some_names(chromosome_sizes)}; expected are "
            f"{some_names(expected)}.{hint}"
        )
    else:
        first, *others = differing
        also = some_names([f"{chrom} ({shared[chrom]:,}, not {expected[standard[chrom]]:,})" for chrom in others], separator="; ")
        problem = (
            f"{fasta}: this genome's {first} is {shared[first]:,} bp; {has} {expected[standard[first]]:,}"
            f"{_fitting(first, shared[first])}.{f' Also different: {also}.' if others else ''}"
        )
    if not force:
        raise InputError(f"{problem} Give the genome of that assembly, or use this one with {option('force', True)}.")
    say(f"{problem} It is used all the same, because of {option('force', True)}.")


def listed_sizes(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's main chromosomes, in bp, with UCSC's names; an empty dict if it is not listed."""
    listed = find_assembly(assembly)
    return dict(listed.main) if listed is not None else {}


def chosen_assembly(name: str | None, given: str | None) -> str | None:
    """Return the assembly that the user chose: the one that is given, or that of a genome which is given by its name, or None.

    Raises
    ------
    InputError
        Both are given, and are different assemblies.
    """
    if name is not None and given is not None and given.strip() and not same_assembly(name, given):
        raise InputError(
            f"{option('genome', name)} is another assembly than {option('assembly', given)}. Leave one of them out, or give the "
            "path of the genome's file."
        )
    return given if given is not None else name


def require_named_genome(name: str, assembly: str) -> None:
    """Raise InputError if a genome that is given by its name is not that of a model: both are listed, and they differ."""
    if find_assembly(name) and find_assembly(assembly) and not same_assembly(name, assembly):
        raise InputError(
            f"{option('genome', name)}: the model was trained on {assembly}. Give {option('genome', name_of_ucsc(assembly))}, or "
            f"use {name} with {option('force', True)}."
        )


def recognised_assembly(path: str | os.PathLike[str], chromosome_sizes: Mapping[str, int]) -> str:
    """Return the one listed assembly that fits a genome, with a line that says so.

    Raises
    ------
    InputError
        None fits, or several.
    """
    fitting = fitting_assemblies(chromosome_sizes)
    if len(fitting) != 1:
        what = f"fit those of {' and of '.join(fitting)}" if fitting else "are those of no listed assembly"
        raise InputError(
            f"{path}: the lengths of the chromosomes {what}. Say which assembly it is with {option('assembly')}, for example "
            "hg38, or any name of your own for another genome."
        )
    say(f"{os.path.basename(path)} is {fitting[0]}, by the lengths of its chromosomes")
    return fitting[0]


def fitting_assemblies(chromosome_sizes: Mapping[str, int]) -> list[str]:
    """Return the listed assemblies that fit a genome: it has main chromosomes of theirs, all of them with the right length.

    The mitochondrial chromosome alone does not tell an assembly, and its length is not compared.
    """
    fitting = []
    for name, assembly in assemblies().items():
        standard = {chrom: standard_name(chrom, name) for chrom in chromosome_sizes}
        shared = {
            chrom: assembly.main[standard[chrom]]
            for chrom in chromosome_sizes
            if standard[chrom] in assembly.main and standard[chrom] not in MITOCHONDRIA
        }
        if shared and all(chromosome_sizes[chrom] == length for chrom, length in shared.items()):
            fitting.append(name)
    return fitting


def assembly_sizes(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's main chromosomes, in bp, with UCSC's names.

    Raises
    ------
    InputError
        The assembly is not listed.
    """
    if not (sizes := listed_sizes(assembly)):
        raise InputError(
            f"The chromosome lengths of {assembly} are not built in, only those of {', '.join(assemblies())}. Give them "
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


def _fitting(chrom: str, size: int) -> str:
    fitting = [name for name, assembly in assemblies().items() if assembly.main.get(standard_name(chrom, name)) == size]
    return f" (the length fits {' and '.join(fitting)})" if fitting else ""
