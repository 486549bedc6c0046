"""Genomes in UCSC's .2bit format: the same letters as from FASTA and from py2bit, and damaged files."""

import contextlib
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import py2bit
import pytest
from helpers.twobit import write_twobit

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.genome import Genome


@pytest.fixture(scope="module")
def sequences(toy_sequences):
    """The toy genome, with short runs of N, N at both ends, and a chromosome whose length is no multiple of four."""
    return toy_sequences | {"short": "nnNACGTacNNgTn", "all_n": "N" * 9, "one": "g"}


@pytest.fixture(params=[(0, "<"), (1, "<"), (0, ">")], ids=["32 bit", "64 bit", "big endian"])
def genome(request, sequences, tmp_path):
    version, order = request.param
    return Genome(write_twobit(tmp_path / "toy.2bit", sequences, version=version, order=order))


def test_lengths_and_letters_agree_with_the_sequences(genome, sequences):
    assert genome.chromosome_sizes == {name: len(sequence) for name, sequence in sequences.items()}
    for name, sequence in sequences.items():
        assert decode(genome.codes(name, 0, len(sequence))) == sequence.upper()


def test_every_piece_of_a_short_chromosome_is_right(genome, sequences):
    letters = "N" * 5 + sequences["short"].upper() + "N" * 5
    for start in range(-5, 18):
        for end in range(start, 19):
            assert decode(genome.codes("short", start, end)) == letters[start + 5 : end + 5]


def test_windows_agree_with_fasta_and_with_py2bit(toy_sequences, tmp_path, write_fasta):
    twobit = Genome(write_twobit(tmp_path / "toy.2bit", toy_sequences))
    fasta = Genome(write_fasta(tmp_path / "toy.fa", toy_sequences))
    rng = np.random.default_rng(0)
    chroms, starts = rng.choice(list(toy_sequences), 300), rng.integers(-100, 31_000, 300)
    np.testing.assert_array_equal(twobit.windows(chroms, starts, 157), fasta.windows(chroms, starts, 157))
    other = py2bit.open(str(tmp_path / "toy.2bit"))
    assert decode(twobit.codes("chr2", 4_990, 7_011)) == other.sequence("chr2", 4_990, 7_011)
    other.close()


def test_a_genome_is_pickled_and_read_by_many_threads(genome, sequences):
    copy = pickle.loads(pickle.dumps(genome))
    with ThreadPoolExecutor(8) as pool:
        letters = pool.map(lambda start: decode(copy.codes("chr1", start, start + 50)), range(0, 20_000, 37))
        assert list(letters) == [sequences["chr1"][start : start + 50].upper() for start in range(0, 20_000, 37)]


def test_a_file_that_changes_while_it_is_open_is_refused(genome, sequences):
    write_twobit(genome.path, {"chr1": "ACGT" * 10})
    with pytest.raises(InputError, match="changed since it was opened"):
        genome.codes("chr1", 0, 4)


def test_a_file_cut_anywhere_is_refused_at_opening(sequences, tmp_path):
    whole = write_twobit(tmp_path / "whole.2bit", sequences).read_bytes()
    cut = tmp_path / "cut.2bit"
    for n_bytes in [*range(4, 200), *range(200, len(whole), 997), len(whole) - 1]:
        cut.write_bytes(whole[:n_bytes])
        with pytest.raises(InputError, match=r"cut\.2bit is damaged or was cut short"):
            Genome(cut)


@pytest.mark.parametrize("number", [0, 1, 3, 0x7FFFFFFF, 0xFFFFFFFF])
def test_any_wrong_number_in_the_index_is_an_error_or_changes_no_place(sequences, tmp_path, number):
    whole = write_twobit(tmp_path / "whole.2bit", sequences).read_bytes()
    damaged = tmp_path / "damaged.2bit"
    end_of_index = 16 + sum(5 + len(name) for name in sequences)
    for at in [*range(4, end_of_index + 40), *range(len(whole) - 60, len(whole) - 4)]:
        damaged.write_bytes(whole[:at] + struct.pack("<I", number) + whole[at + 4 :])
        with contextlib.suppress(InputError):
            genome = Genome(damaged)
            for chrom, size in genome.chromosome_sizes.items():
                assert len(genome.codes(chrom, 0, min(size, 1_000_000))) == min(size, 1_000_000)


def test_two_chromosomes_of_one_name_are_refused(tmp_path):
    path = write_twobit(tmp_path / "a.2bit", {"aa": "ACGT", "ab": "ACGT"})
    path.write_bytes(path.read_bytes().replace(b"ab", b"aa"))
    with pytest.raises(InputError, match="two chromosomes are named aa"):
        Genome(path)
