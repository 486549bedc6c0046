"""The index beside a FASTA: when it is made, and files that cannot be indexed."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_index_of_another_file_is_made_again(tmp_path, write_fasta, capsys):
    path = write_fasta(tmp_path / "a.fa", {"a": "ACGT" * 100}, width=60)
    Genome(path)
    write_fasta(path, {"a": "ACGT" * 100}, width=50)
    os.utime(path, (1, 1))
    assert decode(Genome(path).codes("a", 0, 400)) == "ACGT" * 100
    assert "the index of a.fa does not fit it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.fa", "a.fa.gz"])
@pytest.mark.parametrize("widths", [(60, 55), (55, 60), (60, 61), (99, 51)])
def test_index_of_a_file_with_other_lines_of_the_same_number_is_made_again(tmp_path, write_fasta, capsys, name, widths):
    # Titles, lengths, number of bytes and places of the titles are the same: only the width of the lines differs.
    old, new = ("".join(np.random.default_rng(seed).choice(list("ACGT"), 100)) for seed in (0, 1))
    path = write_fasta(tmp_path / name, {"a": old, "b": old}, width=widths[0])
    size = len("".join(old)) if name.endswith("gz") else path.stat().st_size
    Genome(path)
    write_fasta(path, {"a": new, "b": new}, width=widths[1])
    assert name.endswith("gz") or path.stat().st_size == size
    os.utime(path, (1, 1))
    genome = Genome(path)
    assert [decode(genome.codes(chrom, 0, 100)) for chrom in "ab"] == [new, new]
    assert "the index of a.fa" in capsys.readouterr().err


def test_letters_of_a_bgzip_fasta_are_right_whatever_its_gzi_says(tmp_path, write_fasta):
    sequence = "".join(np.random.default_rng(3).choice(list("ACGT"), 400_000))
    path = write_fasta(tmp_path / "a.fa.gz", {"a": sequence}, width=60)
    Genome(path)
    gzi = path.with_name("a.fa.gz.gzi")
    entries = np.frombuffer(gzi.read_bytes(), "<u8", offset=8).reshape(-1, 2)
    assert len(entries) > 4
    for row in range(len(entries)):
        for column, change in ((1, 61), (1, -61), (1, 1), (0, 1), (0, 18)):
            damaged = entries.astype(np.int64)
            damaged[row:, column] += change  # one entry and those after it, as after a block of another length
            gzi.write_bytes(len(damaged).to_bytes(8, "little") + damaged.astype("<u8").tobytes())
            with contextlib.suppress(InputError):
                assert decode(Genome(path).codes("a", 0, len(sequence))) == sequence


def test_file_that_changes_while_it_is_open_is_refused(tmp_path, write_fasta):
    path = write_fasta(tmp_path / "a.fa", {"a": "ACGT" * 100})
    genome = Genome(path)
    write_fasta(path, {"a": "CCCC" * 100})
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match="changed since it was opened"):
        genome.codes("a", 0, 4)


def test_older_index_that_cannot_be_replaced_is_used_if_it_fits(toy_fasta, toy_sequences, as_another_user):
    chrom = next(iter(toy_sequences))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(toy_fasta, folder))
        Genome(path)
        index = path.with_name(f"{path.name}.fai")
        os.utime(index, (1, 1))
        os.chmod(folder, 0o555)
        before = index.read_bytes()
        assert as_another_user(lambda: Genome(path).codes(chrom, 0, 20)) == "no error"
        assert index.read_bytes() == before
        assert decode(Genome(path).codes(chrom, 0, 20)) == toy_sequences[chrom][:20].upper()
        index.write_text(index.read_text().splitlines()[0] + "\n")
        os.utime(index, (1, 1))
        assert as_another_user(lambda: Genome(path)).startswith("IndexNotWritten: The index ")
        os.chmod(folder, 0o755)


@pytest.mark.parametrize(
    "text",
    [
        ">a\nACGT\n\nACGT\nAC\n",
        ">a\nACGT\n\n\nACGT\n",
        ">a\nACG \nACG \nAC\n",
        ">a\nACGT\r\nACGTA\nAC\n",
        ">a\nAC GT\nACCGT\n>b\nAC\n",
    ],
)
def test_lines_that_no_index_describes_are_refused(tmp_path, text):
    path = tmp_path / "a.fa"
    path.write_bytes(text.encode())
    with pytest.raises(InputError, match="a.fa"):
        Genome(path).codes("a", 0, 8)


def _damaged(lines, damage, number):
    """Return the lines of an index with one kind of damage."""
    rows = [line.split("\t") for line in lines]
    row = rows[number % len(rows)]
    if damage == "cut":
        rows = rows[: number % len(rows)]
    elif damage == "swapped":
        rows[0][0], rows[-1][0] = rows[-1][0], rows[0][0]
    elif damage == "missing":
        rows.remove(row)
    else:
        column = {"length": 1, "offset": 2, "bases": 3, "width": 4}[damage]
        row[column] = str(max(0, int(row[column]) + number - 3))
    return "".join("\t".join(row) + "\n" for row in rows)


@settings(max_examples=60, deadline=None)
@given(
    sequences=st.lists(st.text("ACGTNacgt", min_size=1, max_size=40), min_size=1, max_size=4),
    width=st.integers(3, 12),
    end=st.sampled_from(["\n", "\r\n"]),
    title=st.sampled_from(["", " a description", "\tchr1:5-10"]),
    damage=st.sampled_from(["cut", "swapped", "missing", "length", "offset", "bases", "width"]),
    number=st.integers(0, 8),
)
def test_letters_are_those_of_the_file_whatever_the_index_says(sequences, width, end, title, damage, number):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.fa"
        parts = []
        for i, sequence in enumerate(sequences):
            parts.append(f">s{i}{title}{end}" + "".join(sequence[j : j + width] + end for j in range(0, len(sequence), width)))
        path.write_bytes("".join(parts).encode())
        Genome(path)
        index = path.with_name("g.fa.fai")
        index.write_text(_damaged(index.read_text().splitlines(), damage, number))
        genome = Genome(path)
        for i, sequence in enumerate(sequences):
            try:
                letters = decode(genome.codes(f"s{i}", 0, len(sequence)))
            except InputError:
                # Only widths of lines may pass the look at opening and be refused at first use.
                letters = sequence.upper() if damage in ("bases", "width") else "refused"
            assert letters == sequence.upper()
        assert list(genome.chromosome_sizes.values()) == list(map(len, sequences))


def test_fasta_without_index_in_a_folder_that_cannot_be_written(toy_fasta, as_another_user):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(toy_fasta, folder))
        os.chmod(folder, 0o555)
        os.chmod(path, 0o444)
        message = as_another_user(lambda: Genome(path))
        os.chmod(folder, 0o755)
        assert message.startswith("IndexNotWritten: The index ")
        assert "is missing, and cannot be written there" in message
        assert f"samtools faidx {path}" in message
        assert os.listdir(folder) == [path.name]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.fa", b"", "is empty"),
        ("table.fa", b"chr1\t5\t6\n", "must begin with '>'"),
        ("plain.fa.gz", b">a\nACGT\n", "plain text, but its name says gzip"),
        ("book.fa", b"PK\x03\x04" + bytes(40), "is an .xlsx workbook or another ZIP archive"),
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


@pytest.mark.parametrize("text", [">a\n>b\nACGT\n", ">b\nACGT\n>a\n", ">a\n\n>b\nACGT\n"])
def test_a_chromosome_without_letters_does_not_stop_the_others(tmp_path, text):
    (tmp_path / "a.fa").write_text(text)
    genome = Genome(tmp_path / "a.fa")
    assert genome.chromosome_sizes["a"] == 0
    assert decode(genome.codes("a", 0, 2)) == "NN"
    assert decode(genome.codes("b", 0, 4)) == "ACGT"
