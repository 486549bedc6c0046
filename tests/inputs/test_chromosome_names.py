"""The names of chromosomes by UCSC, Ensembl, GenBank and RefSeq: applied only where the lengths agree."""

import pytest

from scbasset_zoo.inputs.assembly_table import assemblies, find_assembly, name_of_ucsc
from scbasset_zoo.inputs.chromosome_names import convention_of, names_in_genome, naming_line, standard_name

HG38_CHR1 = 248_956_422


def test_every_name_of_an_assembly_stands_for_one_chromosome():
    for assembly in assemblies().values():
        names = [name for chromosome in assembly.chromosomes for name in chromosome.names]
        assert len(names) == len(set(names)), assembly.name
        assert set(assembly.main) <= set(names)


# Lengths of the first chromosome as Ensembl and NCBI state them, each with the accession of RefSeq.
@pytest.mark.parametrize(
    ("assembly", "chrom", "length", "refseq"),
    [
        ("GRCh37", "1", 249_250_621, "NC_000001.10"),
        ("GRCh38", "1", HG38_CHR1, "NC_000001.11"),
        ("GRCm38", "1", 195_471_971, "NC_000067.6"),
        ("GRCm39", "1", 195_154_279, "NC_000067.7"),
        ("GRCz10", "1", 58_871_917, "NC_007112.6"),
        ("GRCz11", "1", 59_578_282, "NC_007112.7"),
        ("T2T-CHM13v2.0", "1", 248_387_328, "NC_060925.1"),
        ("BDGP6", "2L", 23_513_712, "NT_033779.5"),
        ("R64-1-1", "I", 230_218, "NC_001133.9"),
    ],
)
def test_known_chromosomes(assembly, chrom, length, refseq):
    ucsc = f"chr{chrom}"
    for own in (ucsc, chrom, refseq):
        names = names_in_genome({own: length}, assembly)
        assert {names.get(name, name) for name in (ucsc, chrom, refseq)} == {own}
        assert not names_in_genome({own: length + 1}, assembly)
        assert standard_name(own, assembly) == ucsc


def test_scaffolds_and_the_mitochondrial_chromosome():
    names = names_in_genome({"KI270706.1": 175_055, "chrM": 16_569}, "hg38")
    assert names["chr1_KI270706v1_random"] == "KI270706.1"
    assert names["MT"] == names["NC_012920.1"] == "chrM"
    # UCSC's chrM of hg19 is another sequence than MT of Ensembl.
    assert "MT" not in names_in_genome({"chrM": 16_571}, "hg19")
    for own in ("chrMT", "chrM"):
        assert names_in_genome({own: 16_569}, "hg19")["MT"] == own


def test_lengths_of_a_card_serve_for_an_assembly_that_is_not_listed():
    assert names_in_genome({"chr1": 50, "2": 9, "chrM": 7}, "toy", {"1": 50, "chr2": 8, "MT": 7}) == {
        "1": "chr1", "MT": "chrM", "chrMT": "chrM", "M": "chrM",
    }  # fmt: skip
    assert names_in_genome({"chr1": 50}, "toy") == {}


def test_a_name_that_the_genome_has_itself_stays():
    assert names_in_genome({"chr1": HG38_CHR1, "1": 5}, "hg38").get("1") is None


@pytest.mark.parametrize(
    ("names", "convention"),
    [
        (["chr1", "chrUn_KI270302v1"], "UCSC"),
        (["1", "X", "MT"], "Ensembl"),
        (["2L", "3R", "X"], "Ensembl"),
        (["I", "IV", "MtDNA"], "Ensembl"),
        (["CM000663.2", "KI270706.1", "AE014134.6"], "GenBank"),
        (["NC_000001.11", "NT_187361.1", "NW_009646194.1"], "RefSeq"),
        (["1", "X", "KI270706.1", "GL000220.1", "KI270707.1"], "Ensembl"),
        (["chr1", "chr2", "KI270706.1", "GL000220.1", "KI270707.1"], "UCSC"),
        (["contig1", "contig2"], ""),
        (["chr1", "1"], ""),
        ([], ""),
    ],
)
def test_whose_names_they_are(names, convention):
    assert convention_of(names) == convention


def test_the_conventions_of_all_assemblies_are_recognised():
    for assembly in assemblies().values():
        main = [chromosome for chromosome in assembly.chromosomes if chromosome.name in assembly.main]
        assert convention_of(chromosome.name for chromosome in main) == "UCSC"
        whose = {convention_of([name]) for chromosome in main for name in chromosome.other_names}
        assert whose <= {"Ensembl", "GenBank", "RefSeq"}, (assembly.name, whose)


def test_the_line_about_names():
    names = {str(i): f"chr{i}" for i in range(1, 5)}
    assert naming_line(names, "peaks", "a.fa") == (
        "peaks name chromosomes as Ensembl does, a.fa as UCSC does: 1 is chr1, 2 is chr2, 3 is chr3 ...; 4 chromosomes. "
        "The lengths agree"
    )
    assert naming_line({"a": "chra"}, "peaks", "a.fa") == "peaks name chromosomes unlike a.fa: a is chra. The lengths agree"


def test_names_of_assemblies():
    assert name_of_ucsc("grch38.p14") == "hg38"
    assert name_of_ucsc("MM10") == "mm10"
    assert name_of_ucsc("rn7") == "rn7"
    assert find_assembly("rn7") is None
