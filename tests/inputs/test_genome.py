"""Windows out of plain and bgzip FASTA, the index beside it, and the check of the assembly."""

import gzip
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import genome as genome_module
from scbasset_zoo.inputs.assemblies import check_assembly
from scbasset_zoo.inputs.dna import N, decode, encode
from scbasset_zoo.inputs.genome import Genome, check_sizes

HG19, HG38 = 63_025_520, 64_444_167


@pytest.fixture(params=["toy.fa", "toy.fa.gz"])
def genome(request, toy_sequences, write_fasta, tmp_path):
    return Genome(write_fasta(tmp_path / request.param, toy_sequences))


def naive(sequence, start, end):
    return "".join(sequence[i].upper() if 0 <= i < len(sequence) else "N" for i in range(start, end))


def test_chromosome_sizes(genome, toy_sequences):
    assert genome.chromosome_sizes == {name: len(sequence) for name, sequence in toy_sequences.items()}


@pytest.mark.parametrize(("start", "end"), [(0, 10), (59, 61), (60, 120), (-5, 5), (4_990, 5_010), (29_990, 30_020), (-9, 40_000)])
def test_codes_agree_with_slices_and_are_n_outside(genome, toy_sequences, start, end):
    assert decode(genome.codes("chr1", start, end)) == naive(toy_sequences["chr1"], start, end)


def test_codes_wholly_outside_are_n(genome):
    assert (genome.codes("chr3", 50_000, 50_004) == N).all()
    assert len(genome.codes("chr3", 5, 5)) == 0


@pytest.mark.parametrize("stretch", [1 << 22, 1_000])
def test_windows_agree_with_a_naive_loop(genome, toy_sequences, monkeypatch, stretch):
    monkeypatch.setattr(genome_module, "STRETCH", stretch)
    monkeypatch.setattr(genome_module, "GAP", stretch // 4)
    rng = np.random.default_rng(0)
    chroms = rng.choice(list(toy_sequences), 200)
    starts = rng.integers(-300, 31_000, 200)
    found = genome.windows(chroms, starts, 211)
    expected = [naive(toy_sequences[chrom], start, start + 211) for chrom, start in zip(chroms, starts, strict=True)]
    assert found.dtype == np.int8
    assert [decode(row) for row in found] == expected


def test_no_windows_are_no_error(genome):
    assert genome.windows([], [], 10).shape == (0, 10)


def test_windows_end_to_end_with_bgzip_blocks_and_lines_of_one_chromosome(tmp_path, write_fasta):
    # Over 65,536 letters: several bgzip blocks, so that windows cross their borders.
    sequence = "".join(np.random.default_rng(1).choice(list("ACGT"), 300_000))
    genome = Genome(write_fasta(tmp_path / "long.fa.gz", {"one": sequence}, width=71))
    assert decode(genome.codes("one", 0, 300_000)) == sequence
    starts = np.arange(0, 299_000, 997)
    assert [decode(row) for row in genome.windows(["one"] * len(starts), starts, 1_000)] == [
        sequence[s : s + 1_000] for s in starts
    ]


def test_windows_line_ends_lower_case_and_no_last_newline(tmp_path):
    (tmp_path / "crlf.fa").write_bytes(b">a\r\nACGT\r\nacgt\r\nTT\r\n>b\r\nGG\r\nGA")
    genome = Genome(tmp_path / "crlf.fa")
    assert decode(genome.codes("a", 0, 10)) == "ACGTACGTTT"
    assert decode(genome.codes("b", 0, 4)) == "GGGA"


def test_genome_survives_pickling(genome):
    assert np.array_equal(pickle.loads(pickle.dumps(genome)).codes("chr1", 5, 99), genome.codes("chr1", 5, 99))


def test_real_genome_agrees_with_gzip(hg19_fasta):
    genome = Genome(hg19_fasta)
    assert genome.chromosome_sizes == {"chr20": HG19, "chr22": 51_304_566}
    with gzip.open(hg19_fasta, "rt") as file:
        assert file.readline().startswith(">chr20")
        letters = "".join(next(file).strip() for _ in range(60_000))
    np.testing.assert_array_equal(genome.codes("chr20", 100_000, len(letters)), encode(letters)[100_000:])


def test_link_is_indexed_beside_the_link(toy_fasta, tmp_path):
    (tmp_path / "link.fa").symlink_to(toy_fasta)
    Genome(tmp_path / "link.fa")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.fa", "link.fa.fai"]


@pytest.mark.parametrize("name", ["a.fa", "a.fa.gz"])
def test_index_older_than_the_fasta_is_made_again(tmp_path, write_fasta, name):
    path = write_fasta(tmp_path / name, {"a": "ACGT" * 100})
    Genome(path)
    for index in tmp_path.glob("*.?[az]i"):
        os.utime(index, (1, 1))
    write_fasta(path, {"b": "GGGG" * 50_000, "c": "TTTT"})
    genome = Genome(path)
    assert genome.chromosome_sizes == {"b": 200_000, "c": 4}
    assert decode(genome.codes("c", 0, 4)) == "TTTT"


def test_index_of_another_file_is_noticed(tmp_path, write_fasta):
    path = write_fasta(tmp_path / "a.fa", {"a": "ACGT" * 100}, width=60)
    Genome(path)
    write_fasta(path, {"a": "ACGT" * 100}, width=50)
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match=r"delete a\.fa\.fai"):
        Genome(path).codes("a", 0, 400)


def test_fasta_without_index_in_a_folder_that_cannot_be_written(toy_fasta, as_another_user):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(toy_fasta, folder))
        os.chmod(folder, 0o555)
        os.chmod(path, 0o444)
        message = as_another_user(lambda: Genome(path))
        os.chmod(folder, 0o755)
        assert message.startswith("InputError: The index ")
        assert "is missing, and cannot be made there" in message
        assert f"samtools faidx {path}" in message
        assert os.listdir(folder) == [path.name]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.fa", b"", "is empty"),
        ("table.fa", b"chr1\t5\t6\n", "must begin with '>'"),
        ("plain.fa.gz", b">a\nACGT\n", "plain text although"),
        ("gzip.fa.gz", gzip.compress(b">a\nACGT\n"), "gzip but not bgzip.*bgzip gzip.fa"),
        ("twice.fa", b">a\nACGT\n>a\nAC\n", "two chromosomes named a"),
        ("ragged.fa", b">a\nACGT\nAC\nACGT\n", "cannot|can be indexed"),
        ("binary.fa", b">a\n\xff\xfe\x00\x81", "no text|can be indexed"),
    ],
)
def test_what_is_no_indexable_fasta_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        Genome(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_missing_fasta_and_missing_chromosome(tmp_path, genome):
    with pytest.raises(InputError, match="There is no FASTA"):
        Genome(tmp_path / "none.fa")
    with pytest.raises(InputError, match=r"no chromosome chr9; it has chr1, chr2, chr3\.$"):
        genome.codes("chr9", 0, 1)
    with pytest.raises(InputError, match=r'named "1" on one side and "chr1" in the FASTA'):
        genome.windows(["1"], [0], 10)


def test_truncated_bgzip_is_refused(tmp_path, write_fasta):
    whole = write_fasta(tmp_path / "whole.fa.gz", {"a": "".join(np.random.default_rng(0).choice(list("ACGT"), 200_000))})
    cut = tmp_path / "cut.fa.gz"
    cut.write_bytes(whole.read_bytes()[:-2_000])
    with pytest.raises(InputError, match="cut short"):
        Genome(cut)


def test_damaged_index_is_refused(tmp_path, write_fasta):
    path = write_fasta(tmp_path / "a.fa", {"a": "ACGT"})
    (tmp_path / "a.fa.fai").write_text("a\tfour\n")
    with pytest.raises(InputError, match=r"index of .* is damaged"):
        Genome(path)


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
    assert "lengths not checked" in capsys.readouterr().err


def test_sizes_of_a_card_are_compared_with_the_genome(tmp_path, write_fasta):
    genome = Genome(write_fasta(tmp_path / "a.fa", {"20": "A" * 50, "chrM": "A" * 9}))
    check_sizes(genome, {"chr20": 50, "chrM": 8, "chr3": 7}, "the model was trained on hg19")
    with pytest.raises(InputError, match="this FASTA's 20 is 50 bp; the model was trained on hg19, where it has 60"):
        check_sizes(genome, {"chr20": 60}, "the model was trained on hg19")
