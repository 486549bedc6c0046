"""Checks the file of a genome against an assembly, for a report that people read."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import fitting_assemblies, listed_sizes, some_names
from scbasset_zoo.inputs.assembly_table import assemblies, name_of_ucsc
from scbasset_zoo.inputs.chromosome_names import MITOCHONDRIA, convention_of, standard_name
from scbasset_zoo.inputs.fasta_file import FastaFile
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.twobit_file import TwoBitFile
from scbasset_zoo.wording import option


@dataclass(frozen=True)
class GenomeCheck:
    """What is known of the file of a genome.

    Attributes
    ----------
    path : str
    format : str
        For example "2bit" or "FASTA, bgzip".
    n_chromosomes, n_bases : int
        Number of chromosomes and scaffolds, and their total length in bp.
    naming : str
        Whose names the chromosomes have: "UCSC", "Ensembl", "GenBank" or "RefSeq"; "" if most are of none.
    assembly : str or None
        The assembly that the file was compared with: the one that was given, or the listed one that fits; None if none does.
    fitting : list of str
        The listed assemblies that fit the file.
    agree : list of str
        Main chromosomes with the length of the assembly, by UCSC's name.
    differ : dict of str to (int, int)
        Main chromosomes with another length: that of the file and that of the assembly, in bp.
    missing : list of str
        Main chromosomes that the file does not have.
    mitochondrion : (int, int) or None
        Length of the mitochondrial chromosome in the file and in the assembly, in bp. It may differ.
    n_fraction : float
        Fraction of N in the main chromosomes: exact for .2bit, from a sample for FASTA.
    index : str
        What became of the index; "" if the format needs none.
    """

    path: str
    format: str
    n_chromosomes: int
    n_bases: int
    naming: str
    assembly: str | None
    fitting: list[str]
    agree: list[str]
    differ: dict[str, tuple[int, int]]
    missing: list[str]
    mitochondrion: tuple[int, int] | None
    n_fraction: float
    index: str

    @property
    def ok(self) -> bool:
        """Whether the file is of the assembly: it has main chromosomes of it, and all that it has are of the right length."""
        return bool(self.agree) and not self.differ

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and `ok`, for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def report(self) -> str:
        """Describe the genome in a few lines."""
        naming = f"{self.naming} names" if self.naming else "names of no known kind"
        lines = [
            f"file         {self.path}",
            f"format       {self.format}",
            f"chromosomes  {self.n_chromosomes:,}, {self.n_bases:,} bp; {naming}",
        ]
        if self.index:
            lines.append(f"index        {self.index}")
        if self.assembly is None:
            lines.append(f"assembly     none of {', '.join(assemblies())}")
        else:
            other = f" but {' or '.join(self.fitting)}" if self.fitting else ""
            verdict = self.assembly if self.ok else f"not {self.assembly}{other}"
            n_main = len(self.agree) + len(self.differ) + len(self.missing)
            lines.append(f"assembly     {verdict}: {len(self.agree)} of {n_main} main chromosomes have its lengths")
        if self.differ:
            pairs = [f"{chrom} {found:,} bp, not {expected:,}" for chrom, (found, expected) in self.differ.items()]
            lines.append(f"differ       {some_names(pairs, separator='; ')}")
        if self.missing:
            lines.append(f"missing      {some_names(self.missing)}")
        if self.mitochondrion is not None:
            found, expected = self.mitochondrion
            note = "as in the assembly" if found == expected else f"{expected:,} bp in the assembly; this is not compared"
            lines.append(f"mitochondria {found:,} bp ({note})")
        exact = "" if self.format == TwoBitFile.format else "about "
        lines.append(f"N            {exact}{self.n_fraction:.2%} of the main chromosomes")
        return "\n".join(lines)


def check_genome(genome: str | os.PathLike[str] | Genome, assembly: str | None = None) -> GenomeCheck:
    """Compare a genome with an assembly, by the lengths of the main chromosomes. The sequence itself is not compared.

    Parameters
    ----------
    genome : path, name or Genome
        A FASTA (plain, gzip or bgzip), a .2bit file, or the name of an assembly to download once, such as "hg38".
    assembly : str, optional
        A listed assembly, such as "hg38" or "GRCh38". By default the one that fits.

    Returns
    -------
    GenomeCheck

    Raises
    ------
    InputError
        The genome cannot be read, or the assembly is not listed.
    """
    if assembly is not None and not listed_sizes(assembly):
        raise InputError(
            f"{option('assembly', assembly)}: the lengths of its chromosomes are not listed; listed are {', '.join(assemblies())}."
        )
    opened = genome if isinstance(genome, Genome) else Genome(genome)
    sizes = opened.chromosome_sizes
    fitting = fitting_assemblies(sizes)
    name = name_of_ucsc(assembly) if assembly is not None else fitting[0] if len(fitting) == 1 else None
    expected = listed_sizes(name) if name is not None else {}
    own = {standard_name(chrom, name): chrom for chrom in sizes if name is not None}
    nuclear = [chrom for chrom in expected if chrom not in MITOCHONDRIA]
    present = [chrom for chrom in nuclear if chrom in own]
    mitochondrial = next((own[chrom] for chrom in MITOCHONDRIA if chrom in own), None)
    return GenomeCheck(
        path=str(opened.path),
        format=opened.file.format,
        n_chromosomes=len(sizes),
        n_bases=sum(sizes.values()),
        naming=convention_of(sizes),
        assembly=name,
        fitting=fitting,
        agree=[chrom for chrom in present if sizes[own[chrom]] == expected[chrom]],
        differ={chrom: (sizes[own[chrom]], expected[chrom]) for chrom in present if sizes[own[chrom]] != expected[chrom]},
        missing=[chrom for chrom in nuclear if chrom not in own],
        mitochondrion=None if mitochondrial is None else (sizes[mitochondrial], expected.get("chrM", 0)),
        n_fraction=opened.file.sampled_n_fraction([own[chrom] for chrom in present] or list(sizes)[:50]),
        index=opened.file.index if isinstance(opened.file, FastaFile) else "",
    )
