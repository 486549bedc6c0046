"""Windows around the centre of peaks, and windows from sequences."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.windows import fasta_windows, peak_windows, sequence_windows


@pytest.fixture
def genome(toy_fasta):
    return Genome(toy_fasta)


def cut(peaks, genome, length=8, sizes=None):
    windows = peak_windows(peaks, genome, length, assembly="toy", chromosome_sizes=sizes or genome.chromosome_sizes)
    return windows, [decode(row) for row in windows.read(0, len(windows))]


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize(("start", "end"), [(100, 120), (100, 121), (101, 120), (500, 501)])
def test_a_window_is_centred_on_its_peak(genome, toy_sequences, start, end, length):
    _, (letters,) = cut([f"chr1:{start}-{end}"], genome, length)
    first = (start + end) // 2 - length // 2
    assert letters == toy_sequences["chr1"][first : first + length].upper()


def test_a_window_is_n_outside_the_chromosome(genome, toy_sequences):
    _, (letters,) = cut(["chr1:0-2"], genome)
    assert letters == "NNN" + toy_sequences["chr1"][:5].upper()


def test_every_form_of_peaks_gives_the_same_windows(genome, tmp_path):
    table = pd.DataFrame({"chrom": ["chr2", "chr1", "chr2"], "start": [50, 7, 50], "end": [70, 30, 70]})
    (tmp_path / "a.bed").write_text("chr2\t50\t70\nchr1\t7\t30\nchr2\t50\t70\n")
    _, expected = cut(["chr2:50-70", "chr1:7-30", "chr2:50-70"], genome)
    for peaks in (table, tmp_path / "a.bed"):
        windows, letters = cut(peaks, genome)
        assert letters == expected
        assert windows.var.index.tolist() == ["chr2:50-70", "chr1:7-30", "chr2:50-70-1"]


def test_peaks_outside_the_genome_and_another_assembly_are_refused(genome):
    with pytest.raises(InputError, match=r"Peak 1 \(counting from 0\), chr9:1-5: .* has no chromosome chr9"):
        cut(["chr1:1-5", "chr9:1-5"], genome)
    with pytest.raises(InputError, match=r"Peak 0 .*, and 1 more: the centre lies beyond the chromosome's end"):
        cut(["chr1:900000-900010"] * 2, genome)
    with pytest.raises(InputError, match="this genome's chr1 is .* the model was trained on toy, where it has 5"):
        cut(["chr1:1-5"], genome, sizes={"chr1": 5})


def test_peaks_outside_the_genome_are_left_out_and_counted_if_not_strict(genome, capsys):
    peaks = ["chr9:1-5", "chr1:1-5", "chr1:900000-900010", "chr2:50-70", "chr8:1-9", "chr9:7-9"]
    windows = peak_windows(peaks, genome, 8, assembly="toy", chromosome_sizes=genome.chromosome_sizes, strict=False)
    assert windows.var.index.tolist() == ["chr1:1-5", "chr2:50-70"]
    assert windows.rows.tolist() == [1, 3]
    _, expected = cut(["chr1:1-5", "chr2:50-70"], genome)
    assert [decode(row) for row in windows.read(0, 2)] == expected
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("4 of 6 peaks are left out: 3 on chromosomes that ")
    assert "lacks (chr9, chr8); 1 whose centre lies beyond" in line
    with pytest.raises(InputError, match="no chromosome chr9"):
        peak_windows(peaks[:1], genome, 8, assembly="toy", chromosome_sizes=genome.chromosome_sizes, strict=False)


def test_records_of_a_fasta_are_windows_in_their_order(tmp_path):
    (tmp_path / "a.fa").write_text(">one about\nACGT\nacgt\n\n>one\nTTTTNNNN\n>\nAAAAAAAA\n")
    windows = fasta_windows(tmp_path / "a.fa", 8)
    assert windows.var.index.tolist() == ["one", "one-1", "sequence_2"]
    assert [decode(row) for row in windows.read(1, 3)] == ["TTTTNNNN", "AAAAAAAA"]
    assert windows.read(2, 2).shape == (0, 8)
    expected = sequence_windows(["ACGTACGT", "TTTTNNNN", "AAAAAAAA"], 8)
    np.testing.assert_array_equal(windows.read(0, 3), expected.read(0, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGT\n>b\nACG\n", r"a\.fa, record 2 \('b'\) has 3 bp; the model takes 4 bp"),
        ("ACGT\n", "is not a FASTA file"),
        ("\n", "has no FASTA record"),
    ],
)
def test_a_fasta_of_other_sequences_is_refused(text, message, tmp_path):
    (tmp_path / "a.fa").write_text(text)
    with pytest.raises(InputError, match=message):
        fasta_windows(tmp_path / "a.fa", 4)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_the_peaks_of_a_multiome_matrix_on_disk_are_its_features_of_that_type(suffix, genome, toy_matrix, tmp_path):
    adata = toy_matrix()[:, :6].copy()
    names = [f"{c}:{s}-{e}" for c, s, e in zip(adata.var["chr"], adata.var["start"], adata.var["end"], strict=True)]
    var = pd.DataFrame({"feature_types": ["Gene Expression", *["Peaks"] * 5]}, index=["GENE", *names[1:]])
    multiome = ad.AnnData(adata.X, obs=adata.obs, var=var)
    path = tmp_path / f"m.{suffix}"
    multiome.write_h5ad(path) if suffix == "h5ad" else multiome.write_zarr(path)
    assert cut(path, genome)[0].var["name"].tolist() == names[1:]
