"""The index beside a FASTA: when it is made, and files that cannot be indexed."""

import gzip
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.genome import Genome


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
        assert "is missing, and cannot be written there" in message
        assert f"samtools faidx {path}" in message
        assert os.listdir(folder) == [path.name]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.fa", b"", "is empty"),
        ("table.fa", b"chr1\t5\t6\n", "must begin with '>'"),
        ("plain.fa.gz", b">a\nACGT\n", "plain text, but its name says gzip"),
        ("gzip.fa.gz", gzip.compress(b">a\nACGT\n", mtime=0), "gzip but not bgzip.*bgzip gzip.fa"),
        ("twice.fa", b">a\nACGT\n>a\nAC\n", "two chromosomes named a"),
        ("ragged.fa", b">a\nACGT\nAC\nACGT\n", "cannot|can be indexed"),
        ("binary.fa", b">a\n\xff\xfe\x00\x81", "not text|can be indexed"),
    ],
)
def test_what_is_no_indexable_fasta_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        Genome(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]


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
