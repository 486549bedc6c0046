"""The names of a chromosome: UCSC's (chr1), Ensembl's (1), GenBank's (CM000663.2) and RefSeq's (NC_000001.11)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from scbasset_zoo.inputs.assembly_table import find_assembly

MITOCHONDRIA = {"chrM", "chrMT"}
_MITOCHONDRIAL = ("chrM", "MT", "chrMT", "M")
_CONVENTIONS = (
    ("UCSC", r"chr.+"),
    ("RefSeq", r"[NA][CTGWZS]_\d+\.\d+"),
    ("GenBank", r"[A-Z]{1,2}\d{5,8}\.\d+|[A-Z]{4,6}\d{8,}\.\d+"),
    ("Ensembl", r"\d{1,2}[LR]?|[XYWZ]|MT|Mito|MtDNA|[IVX]+"),
)


def standard_name(chrom: str, assembly: str) -> str:
    """Return UCSC's name of a chromosome: as listed for the assembly, or else with "chr" before it."""
    listed = find_assembly(assembly)
    if listed is not None and chrom in listed.by_name:
        return listed.by_name[chrom].name
    if chrom in _MITOCHONDRIAL:
        return "chrM"
    return chrom if chrom.startswith("chr") else f"chr{chrom}"


def names_in_genome(sizes: Mapping[str, int], assembly: str, expected: Mapping[str, int] | None = None) -> dict[str, str]:
    """Return the name that a genome has for each other name of its chromosomes.

    A chromosome of the genome gets the other names of a chromosome of the assembly if it has one of its names and exactly its
    length. Nothing is returned for lengths that are not known.

    Parameters
    ----------
    sizes : mapping of str to int
        Lengths of the genome's chromosomes in bp, by the genome's names.
    assembly : str
        Any name of a listed assembly, or another name.
    expected : mapping of str to int, optional
        Further lengths of the assembly's chromosomes in bp, such as those of a model's card.

    Returns
    -------
    dict of str to str
        For example {"1": "chr1", "CM000663.2": "chr1", ...}; names that the genome has itself are not among them.
    """
    known: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for possible, names, length in _known_chromosomes(assembly, expected or {}):
        for name in possible:
            known.setdefault((name, length), []).append(names)
    others: dict[str, str] = {}
    for chrom, size in sizes.items():
        for names in known.get((chrom, size), ()):
            for name in names:
                if name not in sizes:
                    others.setdefault(name, chrom)
    return others


def convention_of(names: Iterable[str]) -> str:
    """Return whose names of chromosomes these are: "UCSC", "Ensembl", "GenBank", "RefSeq", or "" if most are of none.

    Ensembl and GENCODE name scaffolds as GenBank does, so these names count only where there are no others.
    """
    counts = Counter(next((who for who, pattern in _CONVENTIONS if re.fullmatch(pattern, name)), "") for name in names)
    if counts["UCSC"] + counts["Ensembl"]:
        del counts["GenBank"]
    most_common, n = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return most_common if 2 * n > counts.total() else ""


def two_names_of_one(chroms: Collection[str], others: Collection[str]) -> tuple[str, str] | None:
    """Return a chromosome that two files name differently, with and without "chr": (name in `chroms`, name in `others`).

    None if there is none: a chromosome that both files have under the same name does not count.
    """
    both = set(others)
    for chrom in chroms:
        twin = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
        if chrom not in both and twin in both:
            return chrom, twin
    return None


def naming_line(in_genome: Mapping[str, str], others: str, genome: str) -> str:
    """Say in one line which chromosomes have another name in the genome.

    Parameters
    ----------
    in_genome : mapping of str to str
        Name in the genome by other name, at least one.
    others, genome : str
        What has these names, for example "the peaks" and "the FASTA".
    """
    whose, whose_genome = convention_of(in_genome), convention_of(in_genome.values())
    differ = whose and whose_genome and whose != whose_genome
    reason = f"as {whose} does, {genome} as {whose_genome} does" if differ else f"unlike {genome}"
    shown = ", ".join(f"{name} is {other}" for name, other in list(in_genome.items())[:3])
    more = f" ...; {len(in_genome):,} chromosomes" if len(in_genome) > 3 else ""
    return f"{others} name chromosomes {reason}: {shown}{more}. The lengths agree"


def _known_chromosomes(assembly: str, expected: Mapping[str, int]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], int]]:
    """Yield each chromosome that is known: the names that a genome may have for it, the names that stand for it, and its length.

    The names that stand for it leave out those of another chromosome: MT of hg19 is not chrM, but a genome may call it so.
    """
    listed = find_assembly(assembly)
    by_name = listed.by_name if listed is not None else {}
    for chromosome in listed.chromosomes if listed is not None else ():
        possible = tuple(dict.fromkeys([*chromosome.names, *_with_and_without_chr(chromosome.name)]))
        yield possible, tuple(name for name in possible if by_name.get(name, chromosome) is chromosome), chromosome.length
    for chrom, length in expected.items():
        possible = _with_and_without_chr(chrom)
        yield possible, tuple(name for name in possible if name not in by_name or name == chrom), length


def _with_and_without_chr(chrom: str) -> tuple[str, ...]:
    if chrom in _MITOCHONDRIAL:
        return (chrom, *(name for name in _MITOCHONDRIAL if name != chrom))
    return (chrom, chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}")
