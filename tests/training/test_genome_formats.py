"""The same sequence prepares the same windows, in whatever format and with whatever names its chromosomes come."""

import hashlib
import json

import pytest
from helpers import yeast
from helpers.zoo_server import Server

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError

FORMATS = [("g.fa", ""), ("g.fa.gz", "bgzip"), ("g.fa.gz", "gzip"), ("g.2bit", "")]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def prepare(tmp_path):
    """Function (matrix, genome, **options): the bytes of the windows, the peaks, and the manifest."""

    def run(matrix, genome, **options):
        options = {"assembly": "sacCer3", "length": 300, "flank": 4, "min_cell_fraction": 0, "quiet": True} | options
        out = tmp_path / "out"
        prepared = sz.prepare(matrix, genome=genome, out=out, overwrite=True, **options)
        return (out / "sequences.npy").read_bytes(), prepared.peaks, json.loads((out / "manifest.json").read_text())

    return run


@pytest.fixture
def expected(prepare, write_fasta, tmp_path):
    return prepare(yeast.matrix(), yeast.write_genome(tmp_path / "plain.fa", write_fasta))


@pytest.mark.parametrize("convention", yeast.CONVENTIONS)
@pytest.mark.parametrize(("file", "compression"), FORMATS)
def test_windows_do_not_depend_on_format_and_names(prepare, write_fasta, tmp_path, expected, convention, file, compression, capsys):
    capsys.readouterr()
    windows, peaks, manifest = prepare(yeast.matrix(), yeast.write_genome(tmp_path / file, write_fasta, convention, compression))
    assert windows == expected[0]
    assert peaks.equals(expected[1])
    assert manifest["left_out"] == expected[2]["left_out"]
    assert manifest["left_out"]["peaks"]["too many N"]
    names = {chrom: yeast.name(chrom, convention) for chrom in yeast.SIZES}
    assert manifest["chromosome_names"] == ({} if convention == "UCSC" else names)
    assert manifest["chromosome_sizes"] == {names[chrom]: size for chrom, size in yeast.SIZES.items()}
    said = [line for line in capsys.readouterr().err.splitlines() if "name chromosomes" in line]
    assert said == ([] if convention == "UCSC" else [
        f"peaks name chromosomes as UCSC does, {file} as {convention} does: "
        + ", ".join(f"{chrom} is {name}" for chrom, name in names.items()) + ". The lengths agree"
    ])  # fmt: skip


@pytest.mark.parametrize("convention", yeast.CONVENTIONS[1:])
def test_peaks_keep_the_names_that_the_user_gave(prepare, write_fasta, tmp_path, expected, convention):
    windows, peaks, _ = prepare(yeast.matrix(convention), yeast.write_genome(tmp_path / "g.fa", write_fasta))
    assert windows == expected[0]
    assert peaks["chrom"].tolist() == [yeast.name(chrom, convention) for chrom in expected[1]["chrom"]]


def test_nothing_is_renamed_if_the_lengths_do_not_agree_or_are_not_known(prepare, write_fasta, tmp_path):
    genome = yeast.write_genome(tmp_path / "g.fa", write_fasta)
    with pytest.raises(InputError, match=r'no chromosome I.*Only the naming differs.*"I" on one side and "chrI" in the FASTA'):
        prepare(yeast.matrix("Ensembl"), genome, assembly="a-yeast-of-mine")
    changed = yeast.write_genome(tmp_path / "changed.fa", write_fasta, change=1)
    with pytest.raises(InputError, match="no chromosome I.*Only the naming differs"):
        prepare(yeast.matrix("Ensembl"), changed, force=True)


def test_a_peak_beyond_the_end_or_on_no_chromosome_is_left_out_for_that_reason(prepare, write_fasta, tmp_path):
    matrix = yeast.matrix("Ensembl")
    matrix.var.loc["peak19", ["start", "end"]] = [230_100, 230_219]
    matrix.var["chrom"] = matrix.var["chrom"].replace({"MT": "contig9"})
    _, _, manifest = prepare(matrix, yeast.write_genome(tmp_path / "g.2bit", write_fasta, "RefSeq"))
    left_out = manifest["left_out"]["peaks"]
    assert left_out["not in the FASTA"] == {"contig9": 20}
    assert left_out["beyond the end"]["I"] == 1
    assert manifest["chromosome_names"] == {"I": "NC_001133.9", "VI": "NC_001138.5"}


@pytest.mark.parametrize("test_chroms", ["chrVI", "VI", "NC_001138.5"])
def test_chromosomes_of_the_split_have_any_name(prepare, write_fasta, tmp_path, test_chroms):
    genome = yeast.write_genome(tmp_path / "g.fa", write_fasta, "RefSeq")
    _, peaks, manifest = prepare(yeast.matrix("Ensembl"), genome, test_chroms=test_chroms, validation_chroms="chrM")
    assert set(peaks.loc[peaks["split"] == "test", "chrom"]) == {"VI"}
    assert set(peaks.loc[peaks["split"] == "validation", "chrom"]) == {"MT"}
    assert manifest["parameters"]["test_chroms"] == ["VI"]
    with pytest.raises(InputError, match="VI cannot be in both"):
        prepare(yeast.matrix("Ensembl"), genome, test_chroms=test_chroms, validation_chroms="BK006940.2")


@pytest.mark.parametrize("chrom", ["chrVI", "VI", "NC_001138.5"])
def test_chromosomes_of_the_blacklist_have_any_name(prepare, write_fasta, tmp_path, chrom):
    (tmp_path / "blacklist.bed").write_text(f"{chrom}\t0\t270161\n")
    genome = yeast.write_genome(tmp_path / "g.fa", write_fasta, "RefSeq")
    _, peaks, manifest = prepare(yeast.matrix("Ensembl"), genome, blacklist=tmp_path / "blacklist.bed")
    assert set(peaks["chrom"]) == {"I", "MT"}
    assert set(manifest["left_out"]["peaks"]["in the blacklist"]) == {"VI"}


def test_the_assembly_may_be_left_out_if_the_lengths_tell_it(prepare, write_fasta, tmp_path, capsys):
    windows, _, manifest = prepare(yeast.matrix(), yeast.write_genome(tmp_path / "g.2bit", write_fasta, "GenBank"), assembly=None)
    assert manifest["assembly"] == "sacCer3"
    assert "g.2bit is sacCer3, by the lengths of its chromosomes" in capsys.readouterr().err
    with pytest.raises(
        InputError, match="are those of no listed assembly. Say which assembly it is with assembly, for example hg38"
    ):
        prepare(yeast.matrix(), yeast.write_genome(tmp_path / "h.fa", write_fasta, change=2), assembly=None)


def test_a_genome_by_its_name(prepare, tmp_path, expected, monkeypatch):
    (tmp_path / "mirror" / "sacCer3" / "bigZips").mkdir(parents=True)
    file = yeast.write_genome(tmp_path / "mirror" / "sacCer3" / "bigZips" / "sacCer3.2bit", None)
    (file.parent / "md5sum.txt").write_text(f"{hashlib.md5(file.read_bytes()).hexdigest()}  sacCer3.2bit\n")
    with Server(tmp_path / "mirror") as server:
        monkeypatch.setenv("SCBASSET_ZOO_GENOMES", server.url)
        with pytest.raises(InputError, match="genome='sacCer3' is another assembly than assembly='hg38'"):
            prepare(yeast.matrix(), "sacCer3", assembly="hg38")
        assert not server.requests
        windows, _, manifest = prepare(yeast.matrix(), "R64-1-1", assembly=None)
    assert windows == expected[0]
    assert manifest["assembly"] == "sacCer3"
    assert manifest["sources"]["fasta"]["name"] == "sacCer3.2bit"


def test_a_prepared_peak_set_of_an_earlier_release_opens(prepare, write_fasta, tmp_path):
    prepare(yeast.matrix(), yeast.write_genome(tmp_path / "g.fa", write_fasta))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    del manifest["chromosome_names"]
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(manifest))
    assert sz.open_prepared(tmp_path / "out").n_peaks == manifest["n_peaks"]
