"""A gzip FASTA is unpacked once into the cache, and again when the file changed."""

import gzip
import os

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import remove
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.genome import Genome


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "genomes" / "unpacked"


def write(path, text):
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def test_the_letters_are_those_of_the_plain_file_and_it_is_unpacked_once(tmp_path, toy_fasta, toy_sequences, cache, capsys):
    path = write(tmp_path / "toy.fa.gz", toy_fasta.read_text())
    genome = Genome(path)
    (copy,) = cache.glob("*/toy.fa")
    size = copy.stat().st_size
    assert f"toy.fa.gz is gzip, not bgzip: it was unpacked once into {copy} ({size:,} bytes)" in capsys.readouterr().err
    assert genome.path == path
    for name, sequence in toy_sequences.items():
        assert decode(genome.codes(name, 0, len(sequence))) == sequence.upper()
    Genome(path)
    assert capsys.readouterr().err == ""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cache", "toy.fa.gz"]


def test_a_file_that_changed_is_unpacked_again(tmp_path, cache):
    path = write(tmp_path / "a.fa.gz", ">a\nACGT\n")
    Genome(path)
    time = path.stat().st_mtime_ns
    write(path, ">a\nTTTT\n")
    os.utime(path, ns=(time + 1, time + 1))
    assert decode(Genome(path).codes("a", 0, 4)) == "TTTT"
    assert len(list(cache.iterdir())) == 1


def test_files_of_one_name_in_two_folders_have_two_copies(tmp_path):
    for folder, letters in (("x", "AAAA"), ("y", "CCCC")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.fa.gz", f">a\n{letters}\n")
    assert [decode(Genome(tmp_path / folder / "a.fa.gz").codes("a", 0, 4)) for folder in "xy"] == ["AAAA", "CCCC"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b">a\n" + os.urandom(50_000).hex().encode())[:-2_000], "damaged or was cut short"),
        (gzip.compress(b">a\nACGT\n")[:12], "damaged or was cut short"),
        (gzip.compress(b"chr1\t5\t6\n"), "not a FASTA file"),
        (gzip.compress(gzip.compress(b">a\nACGT\n")), "compressed by gzip twice"),
        (gzip.compress(b""), "is empty"),
    ],
    # The bytes have the time, which differs between processes.
    ids=["cut", "cut early", "no FASTA", "twice", "empty"],
)
def test_what_is_damaged_or_no_fasta_leaves_no_copy(tmp_path, cache, content, message):
    path = tmp_path / "a.fa.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Genome(path)
    assert not list(cache.glob("*"))


def test_a_cache_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match=r"a\.fa\.gz is gzip .*cannot be written.*SCBASSET_ZOO_CACHE.*gunzip --keep a\.fa\.gz"):
        Genome(write(tmp_path / "a.fa.gz", ">a\nACGT\n"))


def test_a_copy_that_was_removed_is_made_again(tmp_path, cache):
    path = write(tmp_path / "a.fa.gz", ">a\nACGT\n")
    Genome(path)
    remove(cache)
    assert decode(Genome(path).codes("a", 0, 4)) == "ACGT"
