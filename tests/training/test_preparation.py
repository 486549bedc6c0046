"""From a matrix and a genome to the prepared peak set: what is kept, what is stored, what is refused."""

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import matrix_entries
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.training import label_matrix, window_file
from scbasset_zoo.training.dataset import open_prepared
from scbasset_zoo.training.preparation import prepare

LENGTH, FLANK = 300, 4


@pytest.fixture
def toy(toy_fasta, tmp_path):
    """Function (matrix, **options): prepare it over the random genome into tmp_path/out, keeping every peak."""

    def run(matrix, **options):
        options = {"length": LENGTH, "flank": FLANK, "min_cell_fraction": 0, "max_n_fraction": 1, "quiet": True} | options
        return prepare(matrix, **{"genome": toy_fasta, "assembly": "toy", "out": tmp_path / "out"} | options)

    return run


@pytest.fixture
def small_disk(tmp_path):
    """A mounted disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def dense(prepared):
    labels = np.zeros((prepared.n_cells, prepared.n_peaks), dtype=int)
    for peak in range(prepared.n_peaks):
        labels[prepared.indices[prepared.indptr[peak] : prepared.indptr[peak + 1]], peak] += 1
    return labels


def centre_window(var, row, length, flank=0):
    start = (var["start"].iloc[row] + var["end"].iloc[row]) // 2 - length // 2
    return start - flank, start + length + flank


def refused(run, out, message, /, *args, **options):
    with pytest.raises(InputError, match=message) as caught:
        run(*args, **options)
    assert not list(Path(out).parent.glob(f"*{Path(out).name}*")), "something was left behind"
    return str(caught.value)


@pytest.mark.parametrize("chunk", [7, 100, 1 << 20])
@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
def test_labels_are_the_entries_above_zero(toy, toy_matrix, kind, chunk, monkeypatch):
    monkeypatch.setattr(matrix_entries, "CHUNK", chunk)
    monkeypatch.setattr(label_matrix, "CHUNK", chunk)
    adata = toy_matrix()
    expected = adata.X.toarray() > 0
    adata.X = adata.X.toarray() if kind == "dense" else adata.X.asformat(kind)
    prepared = toy(adata)
    np.testing.assert_array_equal(dense(prepared), expected)
    assert all((np.diff(row) > 0).all() for row in np.split(prepared.indices, prepared.indptr[1:-1]))
    assert prepared.cells["n_open_peaks"].tolist() == expected.sum(axis=1).tolist()
    assert prepared.peaks["n_open_cells"].tolist() == expected.sum(axis=0).tolist()


def test_labels_are_the_same_where_blocks_cannot_be_reserved(toy, toy_matrix, monkeypatch):
    # As on macOS, which has no posix_fallocate.
    monkeypatch.delattr(os, "posix_fallocate")
    adata = toy_matrix()
    np.testing.assert_array_equal(dense(toy(adata)), adata.X.toarray() > 0)


def test_sequences_are_the_windows_around_the_centres(toy, toy_matrix, toy_sequences):
    adata = toy_matrix()
    prepared = toy(adata)
    assert prepared.sequences.shape == (60, LENGTH + 2 * FLANK)
    for row, chrom in enumerate(adata.var["chr"]):
        start, end = centre_window(adata.var, row, LENGTH, FLANK)
        letters = "".join(toy_sequences[chrom][i] if 0 <= i < len(toy_sequences[chrom]) else "N" for i in range(start, end))
        assert decode(prepared.sequences[row]) == letters.upper()
        window = letters[FLANK:-FLANK]
        assert prepared.peaks["n_fraction"].iloc[row] == pytest.approx(window.count("N") / LENGTH, abs=1e-12)
        assert prepared.peaks["window_start"].iloc[row] == start + FLANK


def test_many_blocks_of_windows_give_the_same_sequences(toy, toy_matrix, monkeypatch):
    whole = np.array(toy(toy_matrix()).sequences)
    monkeypatch.setattr(window_file, "WINDOWS_AT_ONCE", 7)
    np.testing.assert_array_equal(toy(toy_matrix(), overwrite=True).sequences, whole)


def test_window_beyond_the_chromosome_is_n_and_starts_below_zero(toy, toy_matrix):
    adata = toy_matrix()
    adata.var.iloc[0, 1:] = [0, 100]
    prepared = toy(adata)
    assert prepared.peaks["window_start"].iloc[0] == 50 - LENGTH // 2
    assert prepared.peaks["n_fraction"].iloc[0] == pytest.approx((LENGTH // 2 - 50) / LENGTH)
    assert decode(prepared.sequences[0]).startswith("N" * (LENGTH // 2 - 50 + FLANK))


def test_batch_and_labels_agree_with_the_matrix(toy, toy_matrix):
    adata = toy_matrix()
    prepared = toy(adata)
    rows = np.array([5, 59, 0, 5])
    expected = (adata.X.toarray() > 0).T[rows]
    codes, peak, cell = prepared.batch(rows)
    labels = np.zeros_like(expected)
    labels[peak, cell] = True
    np.testing.assert_array_equal(labels, expected)
    assert len(cell) == expected.sum()
    assert (peak.dtype, cell.dtype, codes.dtype) == (np.int32, np.int32, np.int8)
    np.testing.assert_array_equal(codes, np.array(prepared.sequences)[rows])
    np.testing.assert_array_equal(prepared.labels(rows).toarray(), expected)
    assert prepared.labels([]).shape == (0, 40)
    assert [len(part) for part in prepared.batch([])] == [0, 0, 0]


def test_tables_keep_the_columns_of_cells_and_peaks(toy, toy_matrix):
    adata = toy_matrix()
    adata.obs["n_open_peaks"], adata.obs["mixed"] = 7, [1, "two"] * 20
    adata.var["split"], adata.var["score"] = "mine", np.arange(60) / 7
    prepared = toy(adata)
    assert prepared.cells.index.name == "barcode"
    assert prepared.cells.columns.tolist() == ["cell_type", "obs_n_open_peaks", "mixed", "n_open_peaks"]
    assert prepared.cells["cell_type"].tolist() == adata.obs["cell_type"].tolist()
    own = ["name", "chrom", "start", "end", "window_start", "n_fraction", "n_open_cells", "split"]
    assert prepared.peaks.columns.tolist() == [*own, "var_split", "score"]
    assert prepared.peaks["name"].tolist() == adata.var_names.tolist()
    np.testing.assert_array_equal(prepared.peaks[["start", "end"]], adata.var[["start", "end"]])


def test_manifest_says_what_was_done(toy, toy_matrix, toy_fasta, tmp_path):
    path = tmp_path / "m.h5ad"
    toy_matrix().write_h5ad(path)
    manifest = json.loads((toy(path, seed=3).folder / "manifest.json").read_text())
    assert (manifest["schema_version"], manifest["n_cells"], manifest["n_peaks"]) == (1, 40, 60)
    assert manifest["parameters"]["seed"] == 3
    assert manifest["chromosome_sizes"] == {"chr1": 30_011, "chr2": 20_000, "chr3": 9_000}
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    assert manifest["sources"]["matrix"]["files"]["m.h5ad"] == {"bytes": path.stat().st_size, "sha256": digest}
    assert manifest["sources"]["fasta"] == {"name": toy_fasta.name, "bytes": toy_fasta.stat().st_size}
    assert set(manifest["files"]) == {"sequences.npy", "indptr.npy", "indices.npy", "cells.parquet", "peaks.parquet"}


def test_real_matrix_keeps_the_peaks_in_known_sequence(shared_data, hg19_fasta, tmp_path):
    path = shared_data / "buenrostro2018_bm0828.h5ad"
    given = {"genome": hg19_fasta, "assembly": "hg19", "quiet": True}
    prepared = prepare(path, out=tmp_path / "whole", max_n_fraction=0, min_cell_fraction=0, **given)
    assert prepared.n_peaks == 1_421
    assert prepare(path, out=tmp_path / "default", **given).n_peaks == 1_694
    adata = ad.read_h5ad(path)[:, prepared.peaks["name"]]
    rows = np.arange(0, 1_421, 97)
    np.testing.assert_array_equal(prepared.labels(rows).toarray(), (adata.X > 0).toarray().T[rows])


def test_real_matrix_that_is_no_counts_is_prepared(shared_data, hg19_fasta, tmp_path):
    path = shared_data / "scicar_a549.h5ad"
    prepared = prepare(path, genome=hg19_fasta, assembly="hg19", out=tmp_path / "out", min_cell_fraction=0, quiet=True)
    adata = ad.read_h5ad(path)
    assert prepared.n_peaks + sum(sum(n.values()) for n in prepared.manifest["left_out"]["peaks"].values()) == adata.n_vars
    expected = (adata[:, prepared.peaks["name"]].X > 0).sum(axis=1).A1
    np.testing.assert_array_equal(prepared.cells["n_open_peaks"], expected)
    assert prepared.manifest["n_empty_cells"] == (expected == 0).sum() > 0
    assert "have no open peak left" in prepared.summary()
    assert prepared.manifest["left_out"]["peaks"]["not in the FASTA"]["chrhs37d5"] == 1_283


def test_peaks_open_in_too_few_cells_are_left_out(toy, toy_matrix):
    adata = toy_matrix(n_cells=100, density=0.1)
    count = (adata.X > 0).sum(axis=0).A1
    assert (count == 7).any()
    prepared = toy(adata, min_cell_fraction=0.07)
    # 0.07 * 100 is more than 7 in floating point; a peak open in exactly 7 of 100 cells stays.
    assert prepared.peaks["name"].tolist() == adata.var_names[count >= 7].tolist()
    assert prepared.manifest["left_out"]["peaks"]["open in too few cells"] == {
        chrom: n for chrom, n in adata.var["chr"][count < 7].value_counts().items() if n
    }


def test_cells_with_few_peaks_go_first_and_peaks_are_counted_over_the_rest(toy, toy_matrix):
    adata = toy_matrix(n_cells=50)
    x = adata.X.toarray()
    x[:10] = 0
    x[:10, 3] = 1
    adata.X = sparse.csr_matrix(x)
    prepared = toy(adata, min_peaks_per_cell=2, min_cell_fraction=0.3)
    kept = (x[10:] > 0).mean(axis=0) >= 0.3
    assert prepared.cells.index.tolist() == adata.obs_names[10:].tolist()
    assert prepared.peaks["name"].tolist() == adata.var_names[kept].tolist()
    np.testing.assert_array_equal(dense(prepared), x[10:, kept] > 0)
    assert "left out 10 with fewer than 2 open peaks" in prepared.summary()


def test_cells_emptied_by_the_peak_filter_are_kept_or_left_out(toy, toy_matrix):
    adata = toy_matrix()
    x = adata.X.toarray()
    x[4] = 0
    x[:, 59] = 0
    x[4, 59] = 1
    adata.X = sparse.csr_matrix(x)
    kept = toy(adata, min_cell_fraction=0.05)
    assert (kept.n_cells, kept.manifest["n_empty_cells"]) == (40, 1)
    assert "1 have no open peak left" in kept.summary()
    left_out = toy(adata, min_cell_fraction=0.05, min_peaks_per_cell=1, overwrite=True)
    assert left_out.cells.index.tolist() == adata.obs_names.delete(4).tolist()
    np.testing.assert_array_equal(dense(left_out), np.delete(dense(kept), 4, axis=0))
    assert "left out 1 with no open peak left" in left_out.summary()


def test_zero_cells_are_refused_unless_left_out(toy, toy_matrix, tmp_path):
    adata = toy_matrix()
    x = adata.X.toarray()
    x[[3, 8]] = 0
    adata.X = x
    refused(toy, tmp_path / "out", "2 of 40 cells have no open peak, first cell3, cell8.*min_peaks_per_cell=1", adata)
    assert toy(adata, min_peaks_per_cell=1).n_cells == 38
    other = tmp_path / "other"
    refused(toy, other, "none of the 40 cells has 61 open peaks", adata, min_peaks_per_cell=61, out=other)


def test_peaks_in_n_beyond_the_end_or_on_unknown_chromosomes_are_left_out(toy, toy_matrix):
    adata = toy_matrix()
    adata.var["chr"] = adata.var["chr"].astype(str)
    adata.var.iloc[25:27, 1:] = [[5_500, 5_900], [5_550, 5_900]]
    adata.var.iloc[27, 1:] = [6_800, 7_400]  # window 6,950..7,250: a sixth is N
    adata.var.iloc[58:, 0] = "chrUn_1"
    adata.var.iloc[57, 1:] = [8_900, 9_001]
    adata.var = adata.var.sort_values(["chr", "start"])
    adata = adata.copy()
    prepared = toy(adata, max_n_fraction=0.2)
    left_out = prepared.manifest["left_out"]["peaks"]
    assert left_out["too many N"]["chr2"] == 60 - prepared.n_peaks - 3
    assert left_out["not in the FASTA"] == {"chrUn_1": 2}
    assert left_out["beyond the end"] == {"chr3": 1}
    assert (prepared.peaks["n_fraction"] <= 0.2).all()
    at_the_edge = prepared.peaks[prepared.peaks["start"] == 6_800]
    assert at_the_edge["n_fraction"].tolist() == [pytest.approx(50 / 300)]
    assert "chrUn_1" in prepared.summary()
    chosen = adata[:, prepared.peaks["name"]]
    np.testing.assert_array_equal(dense(prepared), chosen.X.toarray() > 0)


def test_many_peaks_beyond_the_end_are_said(toy, toy_matrix, capsys):
    adata = toy_matrix()
    toy(adata)
    assert "beyond the end of their chromosome" not in capsys.readouterr().err
    adata.var.iloc[50:60, 2] += 1_000_000
    toy(adata, overwrite=True)
    assert "10 of 60 peaks end beyond the end of their chromosome" in capsys.readouterr().err


def test_nothing_left_is_refused_with_all_reasons(toy, toy_matrix, tmp_path):
    message = refused(toy, tmp_path / "out", "None of the 60 peaks of the AnnData is kept", toy_matrix(), min_cell_fraction=1)
    assert "open in too few cells" in message
    assert message.count("20") >= 3


def test_other_chromosome_names_are_refused_with_a_hint(toy, toy_matrix, tmp_path):
    adata = toy_matrix()
    adata.var["chr"] = adata.var["chr"].astype(str).str.removeprefix("chr")
    refused(toy, tmp_path / "out", 'named "1" on one side and "chr1" in the FASTA', adata)


def test_many_chromosomes_make_one_short_table(toy, toy_matrix):
    adata = toy_matrix()
    adata.var["chr"] = adata.var["chr"].astype(str).to_numpy()
    adata.var.iloc[20:, 0] = [f"contig{i:02}" for i in range(40)]
    summary = toy(adata).summary()
    assert "10 more" in summary
    assert len(summary.splitlines()) < 45


def test_random_split_is_ninety_five_five_and_follows_the_seed(toy, toy_matrix):
    first = toy(toy_matrix(), seed=1)
    assert [len(first.rows(split)) for split in ("train", "validation", "test")] == [54, 3, 3]
    assert sorted(np.concatenate([first.rows(split) for split in ("train", "validation", "test")])) == list(range(60))
    assert toy(toy_matrix(), seed=1, overwrite=True).peaks["split"].tolist() == first.peaks["split"].tolist()
    assert toy(toy_matrix(), seed=2, overwrite=True).peaks["split"].tolist() != first.peaks["split"].tolist()
    halves = toy(toy_matrix(), split="50/20/30", overwrite=True)
    assert halves.manifest["splits"] == {"train": 30, "validation": 12, "test": 18}
    with pytest.raises(InputError, match="no split 'all'"):
        first.rows("all")


@pytest.mark.parametrize("split", ["90/10", "90/10/0"])
def test_a_random_split_may_have_no_test_peaks(toy, toy_matrix, split):
    prepared = toy(toy_matrix(), split=split)
    assert prepared.manifest["splits"] == {"train": 54, "validation": 6, "test": 0}
    assert prepared.held_out_splits == ("validation",)
    assert len(prepared.rows("test")) == 0


def test_a_split_column_may_have_no_test_peaks_but_needs_validation(toy, toy_matrix, tmp_path):
    adata = toy_matrix()
    adata.var["fold"] = ["train", "train", "validation"] * 20
    assert toy(adata, split_column="fold").manifest["splits"] == {"train": 40, "validation": 20, "test": 0}
    adata.var["fold"] = ["train", "test"] * 30
    refused(toy, tmp_path / "other", "leaves no peak for validation", adata, split_column="fold", out=tmp_path / "other")


def test_split_by_chromosome(toy, toy_matrix):
    peaks = toy(toy_matrix(), test_chroms="chr3", validation_chroms=["chr2"]).peaks
    expected = {"chr1": "train", "chr2": "validation", "chr3": "test"}
    assert peaks["split"].tolist() == [expected[chrom] for chrom in peaks["chrom"]]
    peaks = toy(toy_matrix(), test_chroms="chr3, chr2", overwrite=True).peaks
    assert (peaks["split"] == "test").tolist() == peaks["chrom"].isin(["chr2", "chr3"]).tolist()
    assert (peaks["split"] == "validation").sum() == 1


def test_split_by_column(toy, toy_matrix, tmp_path):
    adata = toy_matrix()
    words = ["train", "val", "valid", "Validation", "test", "train"] * 10
    adata.var["fold"] = pd.Categorical(words)
    expected = [{"val": "validation", "valid": "validation", "Validation": "validation"}.get(word, word) for word in words]
    assert toy(adata, split_column="fold").peaks["split"].tolist() == expected
    adata.var["fold"] = ["train", "holdout", *words[2:]]
    message = r"row 1 \(counting from 0, 'peak1'\): expected train, validation \(val, valid\) or test, found 'holdout'"
    refused(toy, tmp_path / "other", message, adata, split_column="fold", out=tmp_path / "other")
    refused(toy, tmp_path / "other", "no column 'none'", adata, split_column="none", out=tmp_path / "other")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "90/5/3/2"}, "percentages for training, validation and test"),
        ({"split": "90/5/6"}, "add up to 100"),
        ({"split": "95/0/5"}, "the first two are above zero"),
        ({"split": "a/b/c"}, "found 'a/b/c'"),
        ({"test_chroms": "chr9"}, "test_chroms: no peak is left on chr9; .* chr1, chr2, chr3"),
        ({"test_chroms": "chr1,chr2,chr3"}, "leaves no peak for train and validation"),
        ({"test_chroms": "chr1", "validation_chroms": "chr2,chr3"}, "leaves no peak for train"),
        ({"test_chroms": "chr1", "validation_chroms": "chr1"}, "chr1 cannot be in both test_chroms and validation_chroms"),
        ({"validation_chroms": "chr1"}, "validation_chroms needs test_chroms"),
        ({"test_chroms": "chr1", "split_column": "chr"}, "not both"),
        ({"min_cell_fraction": 1.5}, "min_cell_fraction: must be at most 1; found 1.5"),
        ({"min_cell_fraction": float("nan")}, "min_cell_fraction: must be a finite number; found nan"),
        ({"max_n_fraction": -0.1}, "max_n_fraction: must be at least 0"),
        ({"min_peaks_per_cell": -1}, "min_peaks_per_cell: must be at least 0"),
        ({"length": 0}, "length: must be at least 1"),
        ({"flank": -1}, "flank: must be at least 0"),
        ({"seed": -1}, "seed: must be at least 0"),
    ],
)
def test_impossible_options_are_refused(toy, toy_matrix, tmp_path, options, message):
    refused(toy, tmp_path / "out", message, toy_matrix(), **options)


def test_unsorted_peaks_are_refused_or_sorted(toy, toy_matrix, tmp_path):
    adata = toy_matrix()
    order = np.random.default_rng(0).permutation(60)
    mixed = adata[:, order].copy()
    refused(toy, tmp_path / "out", "are not sorted.*sort_peaks=True", mixed)
    prepared = toy(mixed, sort_peaks=True)
    # Chromosomes in the order of their first appearance, starts rising.
    groups = [adata.var_names[adata.var["chr"] == chrom] for chrom in dict.fromkeys(mixed.var["chr"])]
    names = [name for group in groups for name in group]
    assert prepared.peaks["name"].tolist() == names
    np.testing.assert_array_equal(dense(prepared), adata[:, names].X.toarray() > 0)
    straight = toy(adata, overwrite=True)
    places = [adata.var_names.get_loc(name) for name in names]
    np.testing.assert_array_equal(prepared.sequences, straight.sequences[places])


def test_the_same_entry_twice_is_refused(toy, toy_matrix, tmp_path):
    adata = toy_matrix()
    first = adata.X.indices[0]
    x = sparse.csr_matrix(
        (np.r_[1, adata.X.data], np.r_[first, adata.X.indices], np.r_[0, adata.X.indptr[1:] + 1]), shape=adata.shape
    )
    twice = ad.AnnData(x, obs=adata.obs, var=adata.var)
    assert twice.X.nnz == adata.X.nnz + 1
    refused(toy, tmp_path / "out", "same cell and peak more than once", twice)


def test_wrong_assembly_and_missing_inputs_are_refused(shared_data, hg19_fasta, toy, toy_matrix, tmp_path):
    path, out = shared_data / "buenrostro2018_bm0828.h5ad", tmp_path / "out"
    message = r"this genome's chr20 is 63,025,520 bp; hg38 has 64,444,167 \(the length fits hg19\)"
    refused(prepare, out, message, path, genome=hg19_fasta, assembly="hg38", out=out)
    refused(toy, out, "There is no FASTA", toy_matrix(), genome=tmp_path / "none.fa")
    refused(toy, out, "There is no .*none.h5ad", tmp_path / "none.h5ad")


def test_existing_output_is_kept_unless_overwritten(toy, toy_matrix, tmp_path):
    toy(toy_matrix(seed=0))
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="already exists.*overwrite=True"):
        toy(toy_matrix(seed=1))
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    with pytest.raises(InputError, match="None of the 60 peaks"):
        toy(toy_matrix(seed=1), overwrite=True, min_cell_fraction=1)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert toy(toy_matrix(n_cells=33), overwrite=True).n_cells == 33


def test_overwrite_replaces_nothing_but_a_prepared_peak_set(toy, toy_matrix, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("precious")
    toy_matrix().write_zarr(tmp_path / "work" / "m.zarr")
    with pytest.raises(InputError, match="is not a result of this kind"):
        toy(toy_matrix(), out=tmp_path / "work", overwrite=True)
    for out in (tmp_path / "work", tmp_path / "work" / "m.zarr"):
        with pytest.raises(InputError, match="is or contains the input"):
            toy(tmp_path / "work" / "m.zarr", out=out, overwrite=True)
    assert (tmp_path / "work" / "thesis.txt").read_text() == "precious"


def test_columns_that_parquet_cannot_hold_are_kept_as_text_or_refused_by_name(toy, toy_matrix):
    adata = toy_matrix()
    adata.obs["depth_bin"] = pd.cut(np.arange(adata.n_obs), 3)
    adata.obs["phase"] = np.arange(adata.n_obs) * 1j
    cells = toy(adata).cells
    assert cells["depth_bin"].nunique() == 3
    assert cells["phase"].iloc[1] == "1j"
    adata.obs = pd.concat([adata.obs, adata.obs[["phase"]]], axis=1)
    with pytest.raises(InputError, match="obs has two columns called 'phase'"):
        toy(adata, overwrite=True)
    with pytest.raises(InputError, match="must be a path, an AnnData or a MuData; found NoneType"):
        toy(None, overwrite=True)


def test_a_matrix_without_closed_peaks_gets_a_line(toy, toy_matrix, capsys):
    toy(toy_matrix(density=0.3))
    assert "are above 0" not in capsys.readouterr().err
    toy(toy_matrix(density=0.99), overwrite=True)
    assert "99% of the entries are above 0, and each of them counts as open" in capsys.readouterr().err


@pytest.mark.parametrize("table", ["obs", "var"])
@pytest.mark.parametrize("value", [["a"], {"a": 1}, "a\0", b"\xff", object()])
def test_values_that_no_package_can_hold_are_refused_with_table_and_column(toy, toy_matrix, table, value):
    adata = toy_matrix()
    getattr(adata, table)["notes"] = [value] * adata.shape[table == "var"]
    with pytest.raises(InputError, match=rf", \.{table}: the column 'notes' has the .*(drop the column|Remove them)\."):
        toy(adata)


def test_folder_that_cannot_be_written_is_refused(toy, toy_matrix, as_another_user):
    adata = toy_matrix()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        message = as_another_user(lambda: toy(adata, out=Path(folder) / "out"))
        os.chmod(folder, 0o755)
        assert message.startswith("InputError: Cannot write")
        assert os.listdir(folder) == []


def test_full_disk_is_refused_and_nothing_is_left(toy, toy_matrix, small_disk):
    message = "The disk is full"
    # The sequences do not fit.
    refused(toy, small_disk / "out", message, toy_matrix(), out=small_disk / "out", length=20_000)
    # The sequences fit, the open entries (mapped into memory) do not.
    many = toy_matrix(n_cells=20_000, density=0.5)
    refused(toy, small_disk / "out", message, many, out=small_disk / "out", length=50)
    assert os.listdir(small_disk) == []


def test_killed_run_leaves_nothing_that_looks_finished(toy_fasta, toy_matrix, tmp_path):
    toy_matrix(n_cells=5_000, density=0.5).write_h5ad(tmp_path / "m.h5ad")
    # Chunks of 20 entries make the writing last, so that the kill comes in the midst of it.
    code = (
        "from scbasset_zoo.inputs import matrix_entries; matrix_entries.CHUNK = 20\n"
        "from scbasset_zoo.training.preparation import prepare\n"
        f"prepare({str(tmp_path / 'm.h5ad')!r}, genome={str(toy_fasta)!r}, assembly='toy', out={str(tmp_path / 'out')!r}, "
        "length=300, quiet=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    try:
        while not list(tmp_path.glob(".partial-*/indices.npy")):
            assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    (partial,) = tmp_path.glob(".partial-*")
    with pytest.raises(InputError, match="not a prepared peak set"):
        open_prepared(partial)


def test_incomplete_or_damaged_prepared_peaks_are_refused(toy, toy_matrix, tmp_path):
    folder = toy(toy_matrix()).folder

    def damaged(change):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        change(copy)
        with pytest.raises(InputError) as caught:
            open_prepared(copy)
        return str(caught.value)

    def truncate(copy):
        (copy / "sequences.npy").write_bytes((copy / "sequences.npy").read_bytes()[:-1])

    def edit(copy, **changes):
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps(manifest | changes))

    assert "has no manifest.json" in damaged(lambda copy: (copy / "manifest.json").unlink())
    assert "manifest.json is damaged" in damaged(lambda copy: (copy / "manifest.json").write_text("{"))
    assert "lacks peaks.parquet" in damaged(lambda copy: (copy / "peaks.parquet").unlink())
    assert "sequences.npy has 18,607 bytes, its manifest says 18,608" in damaged(truncate)
    assert "schema version 2" in damaged(lambda copy: edit(copy, schema_version=2))
    assert "cells.parquet has shape (40,), its manifest says (41,)" in damaged(lambda copy: edit(copy, n_cells=41))
    assert "not a prepared peak set" in pytest.raises(InputError, open_prepared, tmp_path / "none").value.args[0]


def test_command_prints_a_summary_and_the_next_command(toy_fasta, toy_matrix, tmp_path):
    adata = toy_matrix()
    adata.var["chr"] = adata.var["chr"].astype(str).replace("chr3", "chrUn_7")
    adata.write_h5ad(tmp_path / "m.h5ad")
    out = tmp_path / "out"
    options = ["--genome", toy_fasta, "--assembly", "toy", "--out", out, "--length", 300, "--test-chroms", "chr2"]
    done = CliRunner().invoke(app, [str(option) for option in ["prepare", tmp_path / "m.h5ad", *options]])
    assert done.exit_code == 0, done.output
    n_peaks = open_prepared(out).n_peaks
    for text in (
        "cells    40",
        f"peaks    {n_peaks} of 60",
        "chrUn_7",
        "not in the FASTA",
        f"scbasset-zoo train {out} --out RUN",
    ):
        assert text in done.stdout


def test_chromosomes_are_separated_by_commas_or_repeated(toy_fasta, toy_matrix, tmp_path):
    toy_matrix().write_h5ad(tmp_path / "m.h5ad")
    common = ["prepare", tmp_path / "m.h5ad", "--genome", toy_fasta, "--assembly", "toy"]
    for number, chromosomes in enumerate((["--test-chroms", "chr1, chr2"], ["--test-chroms", "chr1", "--test-chroms", "chr2"])):
        done = CliRunner().invoke(app, [*map(str, common), *chromosomes, "--out", str(tmp_path / f"out{number}")])
        assert done.exit_code == 0, done.output
        assert open_prepared(tmp_path / f"out{number}").manifest["parameters"]["test_chroms"] == ["chr1", "chr2"]


def test_fasta_is_now_called_genome(toy_fasta, toy_matrix, tmp_path, capsys):
    prepared = prepare(toy_matrix(), fasta=toy_fasta, assembly="toy", out=tmp_path / "in_python")
    assert prepared.manifest["sources"]["fasta"]["name"] == toy_fasta.name
    assert "fasta is now genome; the next release will not accept fasta." in capsys.readouterr().err
    with pytest.raises(InputError, match="fasta is the earlier name of genome. Give one of them."):
        prepare(toy_matrix(), fasta=toy_fasta, genome=toy_fasta, assembly="toy", out=tmp_path / "both")
    toy_matrix().write_h5ad(tmp_path / "m.h5ad")
    words = ["prepare", tmp_path / "m.h5ad", "--fasta", toy_fasta, "--assembly", "toy", "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert "--fasta is now --genome" in done.stderr
    assert open_prepared(tmp_path / "out").manifest["sources"]["fasta"]["name"] == toy_fasta.name
    assert "--fasta" not in CliRunner().invoke(app, ["prepare", "--help"]).output


def test_manifest_records_the_options_that_were_used(toy, toy_matrix):
    parameters = toy(toy_matrix(), test_chroms="chr3, chr2", split="80/10/10", seed=3).manifest["parameters"]
    assert parameters == {
        "samples": [],
        "modality": None,
        "layer": None,
        "length": LENGTH,
        "flank": FLANK,
        "min_cell_fraction": 0.0,
        "min_peaks_per_cell": 0,
        "max_n_fraction": 1.0,
        "allow_overlaps": True,
        "split": "80/10/10",
        "test_chroms": ["chr3", "chr2"],
        "validation_chroms": [],
        "split_column": None,
        "sort_peaks": False,
        "seed": 3,
        "force": False,
    }


def peaks_apart(toy_matrix):
    """A matrix whose peaks do not overlap: 20 of 300 bp on each chromosome, 100 bp apart."""
    adata = toy_matrix()
    adata.var["start"] = np.tile(200 + 400 * np.arange(20), 3)
    adata.var["end"] = adata.var["start"] + 300
    return adata


def with_overlaps(toy_matrix):
    """A matrix whose peaks 3 and 4, and 21 and 22, overlap by one base; peaks 10 and 11 touch."""
    adata = peaks_apart(toy_matrix)
    column = adata.var.columns.get_loc("end")
    adata.var.iloc[[3, 21], column] += 101
    adata.var.iloc[10, column] += 100
    return adata


def test_blacklisted_peaks_are_left_out_with_their_own_reason(toy, toy_matrix, tmp_path):
    adata = peaks_apart(toy_matrix)
    blacklist = tmp_path / "blacklist.bed.gz"
    first, last = adata.var.iloc[7], adata.var.iloc[50]
    # One base of peak 7, none of peak 50, which begins where the region ends.
    lines = f"chr1\t{first['end'] - 1}\t{first['end']}\tHigh Signal Region\n{last['chr']}\t{last['start'] - 1}\t{last['start']}\n"
    blacklist.write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "more").mkdir()
    more = tmp_path / "more" / "blacklist.bed.gz"
    more.write_text("chr3\t0\t9000\n")
    prepared = toy(adata, blacklist=[blacklist, more])
    is_kept = (adata.var["chr"] != "chr3").to_numpy() & (np.arange(60) != 7)
    assert prepared.peaks["name"].tolist() == adata.var_names[is_kept].tolist()
    assert prepared.manifest["left_out"]["peaks"]["in the blacklist"] == {"chr1": 1, "chr3": 20}
    assert "in the blacklist" in prepared.summary()
    assert prepared.manifest["sources"]["blacklist"]["files"] == {
        name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for name, path in (("blacklist.bed.gz", blacklist), ("blacklist.bed.gz (2)", more))
    }
    assert str(tmp_path) not in (prepared.folder / "manifest.json").read_text()
    np.testing.assert_array_equal(dense(prepared), adata[:, is_kept].X.toarray() > 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "1\t0\t100\n",
            "no chromosome of the peaks. It has 1; the peaks have chr1, chr2, chr3. It names chromosomes as Ensembl does",
        ),
        ("scaffold\t0\t100\n", "Give the blacklist of the same assembly"),
        ("chr1\t5\n", "line 1: expected chrom, start and end"),
    ],
)
def test_a_blacklist_of_other_chromosomes_is_refused(toy, toy_matrix, tmp_path, text, message):
    (tmp_path / "black.bed").write_text(text)
    assert "black.bed" in refused(toy, tmp_path / "out", message, toy_matrix(), blacklist=tmp_path / "black.bed")


def test_overlapping_peaks_are_counted_or_refused(toy, toy_matrix, tmp_path):
    adata = with_overlaps(toy_matrix)
    adata.var["fold"] = ["test" if row in (4, 40, 11) else "train" for row in range(59)] + ["val"]
    prepared = toy(adata, split_column="fold")
    assert prepared.manifest["overlapping_peaks"] == {"all": 4, "across_splits": 2}
    assert "overlaps 4 peaks overlap another, 2 one of another split" in prepared.summary()
    message = refused(toy, tmp_path / "other", "4 of 60 peaks overlap", adata, allow_overlaps=False, out=tmp_path / "other")
    rows = adata.var.iloc[[3, 4]]
    first, second = (f"chr1:{start}-{end}" for start, end in zip(rows["start"], rows["end"], strict=True))
    assert f"first {first} (row 3, counting from 0) and {second} (row 4)" in message
    assert "merge-peaks" in message
    assert "allow_overlaps=True" in message
    apart = toy(peaks_apart(toy_matrix), allow_overlaps=False, overwrite=True)
    assert apart.manifest["overlapping_peaks"] == {"all": 0, "across_splits": 0}
    assert "overlap" not in apart.summary()


def test_command_line_takes_a_blacklist_and_refuses_overlaps(toy_fasta, toy_matrix, tmp_path):
    with_overlaps(toy_matrix).write_h5ad(tmp_path / "m.h5ad")
    (tmp_path / "black.bed").write_text("chr1\t0\t30000\n")
    command = f"prepare {tmp_path / 'm.h5ad'} --genome {toy_fasta} --assembly toy --out {tmp_path / 'out'}".split()
    done = CliRunner().invoke(app, [*command, "--blacklist", str(tmp_path / "black.bed")])
    assert done.exit_code == 0, done.output
    assert "in the blacklist" in done.stdout
    assert "overlaps 2 peaks overlap another" in done.stdout
    done = CliRunner().invoke(app, [*command, "--overwrite", "--no-allow-overlaps"])
    assert "4 of 60 peaks overlap" in str(done.exception)
    assert "--allow-overlaps" in str(done.exception)


def test_peak_sets_of_versions_that_did_not_count_overlaps_open(toy, toy_matrix):
    prepared = toy(toy_matrix())
    manifest = prepared.manifest
    del manifest["overlapping_peaks"], manifest["left_out"]["peaks"]["in the blacklist"]
    (prepared.folder / "manifest.json").write_text(json.dumps(manifest))
    assert "overlap" not in open_prepared(prepared.folder).summary()
