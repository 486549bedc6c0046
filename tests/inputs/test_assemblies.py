"""The check of a FASTA against the chromosome lengths of its assembly."""

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import check_assembly, check_sizes

HG19, HG38 = 63_025_520, 64_444_167


def test_wrong_assembly_is_refused_with_the_one_that_fits():
    check_assembly("hg19", {"chr20": HG19})
    check_assembly("hg19", {"20": HG19, "MT": 16_569, "GL000220.1": 5})
    with pytest.raises(InputError, match=r"this FASTA's chr20 is 64,444,167 bp; hg19 has 63,025,520 \(the length fits hg38\)"):
        check_assembly("hg19", {"chr20": HG38})
    with pytest.raises(InputError, match="this FASTA's 20 is 64,444,167 bp"):
        check_assembly("hg19", {"20": HG38})
    with pytest.raises(InputError, match="must have a name"):
        check_assembly(" ", {})


def test_unknown_assembly_is_accepted_with_a_line(capsys):
    check_assembly("axolotl", {"chr1": 5})
    assert "axolotl is none of hg19" in capsys.readouterr().err
    check_assembly("hg19", {"contig7": 5})
    assert "no chromosome of hg19, so its lengths are not checked" in capsys.readouterr().err


def test_sizes_of_a_card_are_compared_with_the_genome(capsys):
    sizes = {"20": 50, "chrM": 9}
    check_sizes("a.fa", sizes, {"chr20": 50, "chrM": 8, "chr3": 7}, "the model was trained on hg19")
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match="this FASTA's 20 is 50 bp; the model was trained on hg19, where it has 60"):
        check_sizes("a.fa", sizes, {"chr20": 60}, "the model was trained on hg19")
    check_sizes("a.fa", sizes, {"chr1": 5}, "the model was trained on hg19")
    assert "no length is listed for its chromosomes (20, chrM)" in capsys.readouterr().err
