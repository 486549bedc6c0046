"""Predictions on disk and on the command line: the same as in memory, complete or absent, in bounded memory."""

import json
import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import toy
from typer import Typer
from typer.testing import CliRunner

from scbasset_zoo.cli.predict import predict
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.inputs.windows import fasta_windows, sequence_windows
from scbasset_zoo.runtime import output, predictions
from scbasset_zoo.runtime.output import write_predictions
from scbasset_zoo.zoo.models import open_model

ATOL = 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("predict") / "toy").folder


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 3 cells by 4 peaks, so that a toy result takes many; the last ones are ragged."""
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 3)
    monkeypatch.setattr(predictions, "BLOCK_VALUES", 12)
    monkeypatch.setattr(predictions, "PEAK_STEP", 5)


OPTIONS = [
    {},
    {"output": "logits", "average_strands": True},
    {"group_by": "cell_type"},
    {"cells": ["cell-5", "cell-0"], "output": "logits"},
    {"output": "peak_embedding"},
]


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("options", OPTIONS)
def test_an_anndata_file_is_what_predict_returns(model, genome, tmp_path, small_blocks, suffix, options):
    out = tmp_path / f"p{suffix}"
    write_predictions(model, toy.toy_peaks(), genome, out, **options)
    got = ad.read_h5ad(out) if suffix == ".h5ad" else ad.read_zarr(out)
    expected = model.predict(toy.toy_peaks(), genome, **options)
    if options.get("output") == "peak_embedding":
        assert got.X is None
        np.testing.assert_allclose(got.varm["peak_embedding"], expected.varm["peak_embedding"], atol=ATOL)
        np.testing.assert_allclose(got.obsm["X_scbasset"], expected.obsm["X_scbasset"], atol=ATOL)
    else:
        np.testing.assert_allclose(got.X, expected.X, atol=ATOL)
        assert got.X.dtype == np.float32
    expected.strings_to_categoricals()
    pd.testing.assert_frame_equal(got.obs, expected.obs)
    pd.testing.assert_frame_equal(got.var, expected.var)
    assert got.uns["scbasset_zoo"].keys() == expected.uns["scbasset_zoo"].keys()
    assert got.uns["scbasset_zoo"]["card_sha256"] == model.card_sha256
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_table_has_a_row_for_each_peak(model, genome, tmp_path, small_blocks, options):
    out = tmp_path / "p.parquet"
    write_predictions(model, toy.toy_peaks(), genome, out, **options)
    expected = model.predict(toy.toy_peaks(), genome, **options)
    table = pd.read_parquet(out)
    pd.testing.assert_frame_equal(table[["chrom", "start", "end", "name"]], expected.var.reset_index(drop=True), check_dtype=False)
    values = table.drop(columns=["chrom", "start", "end", "name"])
    if options.get("output") == "peak_embedding":
        np.testing.assert_allclose(values, expected.varm["peak_embedding"], atol=ATOL)
        assert values.columns[31] == "embedding_31"
    else:
        np.testing.assert_allclose(values, expected.X.T, atol=ATOL)
        assert values.columns.tolist() == expected.obs_names.tolist()
    said = json.loads(pq.read_schema(out).metadata[b"scbasset_zoo"])
    assert said["model_id"] == "scbasset/toy"


def test_a_table_has_a_row_group_for_each_stripe_of_peaks(model, genome, tmp_path, small_blocks):
    write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.parquet")
    assert pq.ParquetFile(tmp_path / "p.parquet").num_row_groups == 3


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr", ".parquet"])
def test_what_fails_on_the_way_leaves_nothing_and_keeps_the_old_file(model, tmp_path, small_blocks, suffix):
    windows = sequence_windows(toy.random_sequences(12), 1344)
    out = tmp_path / f"p{suffix}"
    write_predictions(model, windows, None, out)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))

    def broken(first, last):
        if first > 0:
            raise InputError("the disk caught fire")
        return windows.read(first, last)

    with pytest.raises(InputError, match="caught fire"):
        write_predictions(model, type(windows)(windows.var, broken), None, out, overwrite=True)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_what_cannot_be_written_is_refused_before_any_work(model, genome, tmp_path, monkeypatch):
    (tmp_path / "there.h5ad").write_text("x")
    with pytest.raises(InputError, match=r"must end in .h5ad, .zarr or .parquet"):
        write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.csv")
    with pytest.raises(InputError, match="already exists"):
        write_predictions(model, toy.toy_peaks(), genome, tmp_path / "there.h5ad")
    monkeypatch.setattr(output, "MAX_TABLE_COLUMNS", 6)
    with pytest.raises(InputError, match=r"7 columns; a table has at most 6. Group the cells"):
        write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.parquet")
    write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.parquet", group_by="cell_type")


def test_a_cell_named_like_a_column_of_peaks_is_refused_in_a_table(tmp_path, genome):
    cells = toy.toy_cells().rename(index={"cell-2": "start"})
    model = open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu")
    with pytest.raises(InputError, match="include 'start'"):
        write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.parquet")


def test_cells_with_gaps_in_their_annotation_can_be_written(tmp_path):
    cells = toy.toy_cells().assign(donor=["d1", None, "d2", "d1", None, "d2", "d1"], age=[1.0, np.nan, 3, 4, 5, 6, 7])
    model = open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu")
    write_predictions(model, sequence_windows(toy.random_sequences(1), 1344), None, tmp_path / "p.h5ad")
    assert ad.read_h5ad(tmp_path / "p.h5ad").obs["donor"].isna().tolist() == cells["donor"].isna().tolist()


MEMORY = """
import resource, sys
import numpy as np
from scbasset_zoo.runtime.output import write_predictions
from scbasset_zoo.inputs.windows import sequence_windows
from scbasset_zoo.zoo.models import open_model

model = open_model(sys.argv[1], "cpu")
rng = np.random.default_rng(0)
def peak_rss(n, out, **options):
    codes = rng.integers(0, 4, (n, 1344), dtype=np.int8)
    write_predictions(model, sequence_windows(codes, 1344), None, out, overwrite=True, **options)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
few = peak_rss(8, sys.argv[2])
many = peak_rss(int(sys.argv[3]), sys.argv[2])
grouped = peak_rss(int(sys.argv[3]), sys.argv[2], group_by="cell_type")
print(few, many, grouped)
"""


def test_memory_does_not_grow_with_cells_times_peaks(tmp_path):
    """200,000 cells x 256 peaks are 195 MiB; streaming them may cost a few blocks of 16 MiB more than 8 peaks do."""
    toy.toy_package(tmp_path / "toy", n_cells=200_000)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "toy"), str(tmp_path / "p.h5ad"), "256"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    few, many, grouped = map(float, done.stdout.split())
    assert many - few < 100
    assert grouped - few < 100


def test_fasta_sequences_are_read_where_they_are_asked_for(tmp_path):
    sequences = toy.random_sequences(5)
    lines = [f">s{i} title\r\n{sequence[:700]}\n\n{sequence[700:].lower()}\n" for i, sequence in enumerate(sequences)]
    (tmp_path / "s.fa").write_bytes(("\n" + "".join(lines)).encode())
    windows, whole = fasta_windows(tmp_path / "s.fa", 1344), sequence_windows(sequences, 1344)
    assert list(windows.var.index) == [f"s{i}" for i in range(5)]
    for first, last in ((0, 5), (2, 4), (4, 5), (3, 3)):
        np.testing.assert_array_equal(windows.read(first, last), whole.read(first, last))


def test_fasta_sequences_must_be_of_the_models_length(tmp_path):
    path = tmp_path / "s.fa"
    path.write_text(">one first\n" + "A" * 1344 + "\n>two\n" + "C" * 1000 + "\n")
    with pytest.raises(InputError, match=r"record 2 \('two'\) has 1,000 bp; the model takes 1,344"):
        fasta_windows(path, 1344)
    path.write_text("no record")
    with pytest.raises(InputError, match="FASTA"):
        fasta_windows(path, 1344)
    path.write_text("")
    with pytest.raises(InputError, match="no FASTA record"):
        fasta_windows(path, 1344)
    with pytest.raises(InputError, match=r"There is no .*absent\.fa"):
        fasta_windows(tmp_path / "absent.fa", 1344)
    path.write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    with pytest.raises(InputError, match="no plain FASTA file: its first line is"):
        fasta_windows(path, 1344)


def command(*arguments):
    app = Typer()
    app.command()(predict)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    path = tmp_path_factory.mktemp("bed") / "peaks.bed"
    toy.toy_peaks()[["chrom", "start", "end"]].to_csv(path, sep="\t", header=False, index=False)
    return path


def test_predict_on_the_command_line_from_bed(folder, model, genome, bed, tmp_path):
    out = tmp_path / "p.h5ad"
    done = command(folder, "--bed", bed, "--genome", genome, "--out", out, "--device", "cpu", "--batch-size", 3)
    assert done.exit_code == 0, done.output
    assert "accessibility of 7 cells x 12 peaks, by scbasset/toy 1.0.0" in done.stdout
    np.testing.assert_allclose(ad.read_h5ad(out).X, model.predict(toy.toy_peaks(), genome).X, atol=1e-5)


def test_predict_on_the_command_line_from_h5ad_with_groups_strands_and_logits(folder, model, genome, tmp_path):
    ad.AnnData(var=toy.toy_peaks().set_index(pd.Index([f"peak{i}" for i in range(12)]))).write_h5ad(tmp_path / "in.h5ad")
    options = ["--output", "logits", "--group-by", "batch", "--average-strands"]
    done = command(folder, "--h5ad", tmp_path / "in.h5ad", "--genome", genome, "--out", tmp_path / "p.zarr", *options)
    assert done.exit_code == 0, done.output
    assert "logits of 2 groups x 12 peaks" in done.stdout
    got = ad.read_zarr(tmp_path / "p.zarr")
    expected = model.predict(toy.toy_peaks(), genome, output="logits", group_by="batch", average_strands=True)
    np.testing.assert_allclose(got.X, expected.X, atol=1e-5)
    assert got.var_names[2] == "peak2"


def test_batch_effects_on_the_command_line(folder, genome, bed, tmp_path):
    corrected = toy.toy_corrected_package(tmp_path / "corrected").folder
    options = ["--bed", bed, "--genome", genome, "--batch-effects"]
    done = command(corrected, *options, "--out", tmp_path / "p.h5ad")
    assert done.exit_code == 0, done.output
    expected = open_model(corrected, "cpu").predict(toy.toy_peaks(), genome, batch_effects=True)
    np.testing.assert_allclose(ad.read_h5ad(tmp_path / "p.h5ad").X, expected.X, atol=1e-5)
    refused = command(folder, *options, "--out", tmp_path / "q.h5ad")
    assert "has no batch path" in str(refused.exception)
    assert not (tmp_path / "q.h5ad").exists()


@pytest.mark.parametrize("as_file", [False, True])
def test_predict_on_the_command_line_from_sequences_for_some_cells(folder, model, tmp_path, as_file):
    sequences = toy.random_sequences(2)
    (tmp_path / "s.fa").write_text("".join(f">s{i} title\n{sequence}\n" for i, sequence in enumerate(sequences)))
    (tmp_path / "cells.txt").write_text("cell-3\ncell-1\n")
    cells = tmp_path / "cells.txt" if as_file else "cell-3, cell-1"
    done = command(folder, "--fasta-sequences", tmp_path / "s.fa", "--out", tmp_path / "p.parquet", "--cells", cells)
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert table.columns.tolist() == ["name", "cell-3", "cell-1"]
    assert table["name"].tolist() == ["s0", "s1"]
    np.testing.assert_allclose(table.iloc[:, 1:], model.accessibility(sequences)[:, [3, 1]], atol=1e-5)


def test_the_command_line_refuses_what_does_not_go_together(folder, genome, bed, tmp_path):
    out = ["--out", tmp_path / "p.h5ad"]
    for arguments, message in (
        ([], "exactly one of --bed, --fasta-sequences and --h5ad; found none"),
        (["--bed", bed, "--h5ad", bed, "--genome", genome], "found --bed and --h5ad"),
        (["--bed", bed], "--bed needs --genome"),
        (["--fasta-sequences", bed, "--genome", genome], "takes no --genome"),
        (["--bed", tmp_path / "absent.bed", "--genome", genome], "absent.bed"),
        (["--bed", bed, "--genome", tmp_path / "absent.fa"], "absent.fa"),
        (["--bed", bed, "--genome", genome, "--cells", "nobody"], "no cell nobody"),
    ):
        done = command(folder, *arguments, *out)
        assert isinstance(done.exception, InputError), (arguments, done.output)
        assert message in str(done.exception)
    assert isinstance(command(tmp_path, "--bed", bed, "--genome", genome, *out).exception, PackageError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr", ".h5"])
def test_peaks_come_from_matrices_of_any_kind(model, genome, tmp_path, suffix):
    peaks = toy.toy_peaks()
    names = [f"{row.chrom}:{row.start}-{row.end}" for row in peaks.itertuples()]
    path = tmp_path / f"matrix{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            group = file.create_group("matrix")
            group["barcodes"], group["shape"] = [b"c"], [len(names), 1]
            group["indptr"], group["indices"], group["data"] = [0, 1], [0], [1]
            group["features/id"] = group["features/name"] = [name.encode() for name in names]
            group["features/feature_type"] = [b"Peaks"] * len(names)
    else:
        matrix = ad.AnnData(np.ones((1, len(names)), np.float32), var=pd.DataFrame(index=names))
        (matrix.write_h5ad if suffix == ".h5ad" else matrix.write_zarr)(path)
    np.testing.assert_array_equal(model.predict(path, genome).X, model.predict(names, genome).X)
    if suffix != ".zarr":
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(InputError, match=rf"matrix\{suffix} cannot be read: .*cut short or damaged"):
            model.predict(path, genome)


def test_the_input_is_not_replaced_by_the_prediction(folder, genome, tmp_path):
    matrix = tmp_path / "m.h5ad"
    ad.AnnData(np.ones((1, 12), np.float32), var=toy.toy_peaks().rename(index=str)).write_h5ad(matrix)
    result = command(folder, "--h5ad", matrix, "--genome", genome, "--out", matrix, "--overwrite")
    assert "is or holds what is read" in str(result.exception)


def test_an_existing_file_is_replaced_only_when_asked(folder, genome, bed, tmp_path):
    (tmp_path / "p.h5ad").write_text("precious")
    arguments = [folder, "--bed", bed, "--genome", genome, "--out", tmp_path / "p.h5ad"]
    assert "already exists" in str(command(*arguments).exception)
    assert (tmp_path / "p.h5ad").read_text() == "precious"
    assert command(*arguments, "--overwrite").exit_code == 0
