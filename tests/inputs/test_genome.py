"""Codes and windows of plain and bgzip FASTA."""

import gzip
import pickle

import numpy as np
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import genome as genome_module
from scbasset_zoo.inputs.dna import N, decode, encode
from scbasset_zoo.inputs.genome import Genome

HG19 = 63_025_520  # length of chr20 in bp


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
    windows = genome.windows(chroms, starts, 211)
    expected = [naive(toy_sequences[chrom], start, start + 211) for chrom, start in zip(chroms, starts, strict=True)]
    assert windows.dtype == np.int8
    assert [decode(row) for row in windows] == expected


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


def test_missing_fasta_and_missing_chromosome(tmp_path, genome):
    with pytest.raises(InputError, match="There is no FASTA"):
        Genome(tmp_path / "none.fa")
    with pytest.raises(InputError, match=r"no chromosome chr9; it has chr1, chr2, chr3\.$"):
        genome.codes("chr9", 0, 1)
    with pytest.raises(InputError, match=r'named "1" on one side and "chr1" in the FASTA'):
        genome.windows(["1"], [0], 10)


def test_an_address_is_no_genome():
    with pytest.raises(InputError, match="not read from an address"):
        Genome("https://example.org/hg38.fa")
