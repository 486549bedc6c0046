"""The listed assemblies: their chromosomes with lengths and with the names that UCSC, Ensembl, GenBank and RefSeq give them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

# Names of the Genome Reference Consortium and others, in lower case, and UCSC's.
_ALIASES = {
    "grch37": "hg19", "b37": "hg19", "hs37d5": "hg19", "grch38": "hg38", "t2t-chm13v2.0": "hs1", "chm13v2.0": "hs1",
    "ncbim37": "mm9", "mgscv37": "mm9", "grcm38": "mm10", "grcm39": "mm39", "grcz10": "danRer10", "grcz11": "danRer11",
    "bdgp5": "dm3", "bdgp6": "dm6", "wbcel235": "ce11", "r64-1-1": "sacCer3",
}  # fmt: skip


class Chromosome(NamedTuple):
    """A chromosome or scaffold of an assembly: UCSC's name, its length in bp, and its other names."""

    name: str
    length: int
    other_names: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (self.name, *self.other_names)


class Assembly:
    """The chromosomes of an assembly.

    Attributes
    ----------
    name : str
        UCSC's name, such as hg38.
    main : dict of str to int
        Lengths of the main chromosomes in bp, with UCSC's names.
    chromosomes : list of Chromosome
        The main chromosomes, then scaffolds.
    """

    def __init__(self, name: str, table: Mapping[str, Mapping[str, list[str | int]]]) -> None:
        self.name = name
        self.chromosomes = [
            Chromosome(chrom, int(row[0]), tuple(map(str, row[1:]))) for part in table.values() for chrom, row in part.items()
        ]
        self.main = {chrom: int(row[0]) for chrom, row in table["main"].items()}

    @cached_property
    def by_name(self) -> Mapping[str, Chromosome]:
        """The chromosome of each name. A name stands for one chromosome."""
        return MappingProxyType({name: chromosome for chromosome in self.chromosomes for name in chromosome.names})


def name_of_ucsc(assembly: str) -> str:
    """Return UCSC's name of an assembly, spelled as in the list; a name that is not listed stays."""
    # A patch release such as GRCh38.p14 leaves the main chromosomes as they are.
    name = re.sub(r"\.p\d+$", "", assembly.strip())
    name = _ALIASES.get(name.casefold(), name)
    return {listed.casefold(): listed for listed in assemblies()}.get(name.casefold(), name)


def find_assembly(name: str) -> Assembly | None:
    """Return a listed assembly by any of its names, or None."""
    return assemblies().get(name_of_ucsc(name))


@cache
def assemblies() -> dict[str, Assembly]:
    """Return the listed assemblies by UCSC's name.

    The lengths and names are facts of UCSC, NCBI and Ensembl, taken from the seqinfo tables of bioframe 0.8 (MIT licence): "main"
    has the rows whose role is "assembled" in the units "primary" and "non-nuclear", "other" the rest. A name that two rows of
    an assembly share is left out.
    """
    text = (Path(__file__).parent / "data" / "assemblies.json").read_text()
    return {name: Assembly(name, table) for name, table in json.loads(text).items()}
