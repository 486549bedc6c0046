"""The report on a genome: which assembly it is, what agrees and what does not."""

import json

import numpy as np
import pytest
from helpers import yeast
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import listed_sizes


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))


def fraction_of_n():
    sequences = [yeast.letters()[chrom].upper() for chrom in ("chrI", "chrVI")]
    return sum(sequence.count("N") for sequence in sequences) / sum(map(len, sequences))


@pytest.mark.parametrize("convention", yeast.CONVENTIONS)
@pytest.mark.parametrize(
    ("file", "compression", "kind", "index", "tolerance"),
    [
        ("g.2bit", "", "2bit", "", 0),
        ("g.fa", "", "FASTA", "made now", 3e-3),
        ("g.fa.gz", "bgzip", "FASTA, bgzip", "made now", 3e-3),
        ("g.fa.gz", "gzip", "FASTA, gzip (unpacked once into the cache)", "made now", 3e-3),
    ],
)
def test_what_is_found(tmp_path, write_fasta, convention, file, compression, kind, index, tolerance):
    checked = sz.check_genome(yeast.write_genome(tmp_path / file, write_fasta, convention, compression))
    assert (checked.format, checked.naming, checked.assembly, checked.index) == (kind, convention, "sacCer3", index)
    assert checked.ok
    assert checked.agree == ["chrI", "chrVI"]
    assert checked.differ == {}
    assert checked.missing == [chrom for chrom in listed_sizes("sacCer3") if chrom not in ("chrI", "chrVI", "chrM")]
    assert checked.mitochondrion == (85_779, 85_779)
    assert (checked.n_chromosomes, checked.n_bases) == (3, sum(yeast.SIZES.values()))
    np.testing.assert_allclose(checked.n_fraction, fraction_of_n(), atol=tolerance or 1e-12)


def test_another_length_is_named_and_the_exit_status_is_1(tmp_path, write_fasta):
    path = yeast.write_genome(tmp_path / "g.fa", write_fasta, change=7)
    done = CliRunner().invoke(app, ["genome", "check", str(path), "--assembly", "sacCer3"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert "assembly     not sacCer3: 0 of 16 main chromosomes have its lengths" in lines
    assert "differ       chrI 230,211 bp, not 230,218; chrVI 270,154 bp, not 270,161" in lines
    assert "mitochondria 85,772 bp (85,779 bp in the assembly; this is not compared)" in lines
    done = CliRunner().invoke(app, ["genome", "check", str(path), "--assembly", "sacCer3", "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert found["differ"] == {"chrI": [230_211, 230_218], "chrVI": [270_154, 270_161]}
    assert found["index"] == "fits the file"
    done = CliRunner().invoke(app, ["genome", "check", str(path)])
    assert done.exit_code == 0
    assert "assembly     none of hg19, hg38" in done.stdout


def test_another_assembly_is_not_this_one(tmp_path, write_fasta):
    path = yeast.write_genome(tmp_path / "g.2bit", write_fasta, "RefSeq")
    assert not sz.check_genome(path, "hg38").ok
    assert sz.check_genome(path, "R64-1-1").ok
    with pytest.raises(InputError, match="'axolotl': the lengths of its chromosomes are not listed|axolotl: the lengths"):
        sz.check_genome(path, "axolotl")


def test_an_index_of_another_file_is_reported(tmp_path, write_fasta):
    path = write_fasta(tmp_path / "a.fa", {"a": "ACGT" * 100})
    sz.check_genome(path)
    path.with_name("a.fa.fai").write_text("a\t390\t13\t60\t61\n")
    assert "did not fit the file (the file goes on" in sz.check_genome(path).index


def test_a_genome_of_no_bases_and_many_scaffolds(tmp_path):
    (tmp_path / "a.fa").write_text(">a\n>b\nNN\n" + "".join(f">s{i}\nACGT\n" for i in range(60)))
    checked = sz.check_genome(tmp_path / "a.fa")
    assert (checked.assembly, checked.naming, checked.n_chromosomes) == (None, "", 62)
    assert 0 < checked.n_fraction < 0.02
