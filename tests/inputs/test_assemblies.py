"""The check of a FASTA against the chromosome lengths of its assembly, and the names of assemblies."""

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import (
    assembly_sizes,
    check_assembly,
    check_genome_of_model,
    chosen_assembly,
    fitting_assemblies,
    recognised_assembly,
    require_named_genome,
    same_assembly,
)
from scbasset_zoo.inputs.assembly_table import assemblies

HG19, HG38 = 63_025_520, 64_444_167


def test_wrong_assembly_is_refused_with_the_one_that_fits():
    check_assembly("a.fa", {"chr20": HG19}, "hg19")
    check_assembly("a.fa", {"20": HG19, "MT": 16_569, "GL000220.1": 5}, "hg19")
    with pytest.raises(InputError, match=r"this genome's chr20 is 64,444,167 bp; hg19 has 63,025,520 \(the length fits hg38\)"):
        check_assembly("a.fa", {"chr20": HG38}, "hg19")
    with pytest.raises(InputError, match="this genome's 20 is 64,444,167 bp"):
        check_assembly("a.fa", {"20": HG38}, "hg19")
    with pytest.raises(InputError, match="must have a name"):
        check_assembly("a.fa", {}, " ")


def test_unknown_assembly_is_accepted_with_a_line(capsys):
    check_assembly("a.fa", {"chr1": 5}, "axolotl")
    assert "axolotl is none of hg19" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["GRCh38", "grch38.p14", "HG38", "hg38"])
def test_an_assembly_has_several_names(name):
    assert same_assembly(name, "hg38")
    assert not same_assembly(name, "GRCh37")
    assert assembly_sizes(name)["chr20"] == HG38
    check_assembly("a.fa", {"chr20": HG38}, name)
    with pytest.raises(InputError, match="the length fits hg19"):
        check_assembly("a.fa", {"chr20": HG19}, name)


def test_sizes_of_a_card_are_compared_with_the_genome(capsys):
    sizes = {"20": 50, "chrM": 9}
    check_genome_of_model("a.fa", sizes, "toy", {"chr20": 50, "chrM": 8, "chr3": 7})
    assert capsys.readouterr().err == ""
    with pytest.raises(
        InputError,
        match=r"a.fa: this genome's 20 is 50 bp; the model was trained on toy, where it has 60\. Also.* 3 \(4, not 5\)\. .*force",
    ):
        check_genome_of_model("a.fa", sizes | {"3": 4}, "toy", {"chr20": 60, "chr3": 5})
    check_genome_of_model("a.fa", sizes, "unknown", {})
    assert "no lengths are listed" in capsys.readouterr().err


@pytest.mark.parametrize("check", ["model", "assembly"])
def test_a_genome_without_a_chromosome_of_the_assembly_is_refused_unless_forced(check, capsys):
    def run(**force):
        if check == "model":
            check_genome_of_model("a.fa", {"contig7": 5}, "hg19", {"chr20": HG19}, **force)
        else:
            check_assembly("a.fa", {"contig7": 5}, "hg19", **force)

    with pytest.raises(InputError, match="this genome has no chromosome of hg19. It has contig7; expected are chr"):
        run()
    assert capsys.readouterr().err == ""
    run(force=True)
    assert "It is used all the same, because of force=True" in capsys.readouterr().err


def test_a_genome_with_names_of_refseq_is_compared_by_its_accessions():
    check_assembly("a.fa", {"NC_000020.10": HG19, "CM000684.1": 51_304_566}, "hg19")
    with pytest.raises(InputError, match="this genome's NC_000020.10 is 5 bp; hg19 has 63,025,520"):
        check_assembly("a.fa", {"NC_000020.10": 5}, "hg19")
    with pytest.raises(InputError, match="no chromosome of hg38. It has NC_000020.10;.*Its names and lengths are those of hg19"):
        check_assembly("a.fa", {"NC_000020.10": HG19}, "hg38")
    check_genome_of_model("a.fa", {"NC_000020.10": HG19}, "hg19", {"chr20": HG19})


def test_each_assembly_is_recognised_by_any_of_its_names_and_by_no_other_lengths(capsys):
    for name, assembly in assemblies().items():
        assert recognised_assembly("g.fa", assembly.main) == name
        for other in (0, -1):
            sizes = {chromosome.names[other]: chromosome.length for chromosome in assembly.chromosomes}
            assert fitting_assemblies(sizes) == [name]
        first = next(iter(assembly.main))
        with pytest.raises(InputError, match="are those of no listed assembly"):
            recognised_assembly("g.fa", assembly.main | {first: 5})
    with pytest.raises(InputError, match="are those of no listed assembly"):
        recognised_assembly("g.fa", {"chrM": 16_569})
    assert "g.fa is hg19, by the lengths of its chromosomes" in capsys.readouterr().err


def test_the_assembly_of_a_genome_that_is_given_by_its_name():
    assert chosen_assembly("hg38", None) == "hg38"
    assert chosen_assembly("hg38", "GRCh38") == "GRCh38"
    assert chosen_assembly(None, "hg19") == "hg19"
    assert chosen_assembly(None, None) is None
    with pytest.raises(InputError, match="genome='hg38' is another assembly than assembly='hg19'"):
        chosen_assembly("hg38", "hg19")
    require_named_genome("hg19", "GRCh37")
    require_named_genome("hg19", "a-genome-of-mine")
    with pytest.raises(InputError, match="genome='hg38': the model was trained on GRCh37. Give genome='hg19'"):
        require_named_genome("hg38", "GRCh37")
