"""Predictions in files: the same as in memory, complete or absent, in bounded memory."""

import json
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import toy
from helpers.rounding import ROUNDING
from helpers.tables import assert_tables_equal

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.windows import sequence_windows
from scbasset_zoo.runtime import output, predictions
from scbasset_zoo.runtime.output import write_predictions
from scbasset_zoo.zoo.models import open_model


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
        np.testing.assert_allclose(got.varm["peak_embedding"], expected.varm["peak_embedding"], atol=ROUNDING)
        np.testing.assert_allclose(got.obsm["X_scbasset"], expected.obsm["X_scbasset"], atol=ROUNDING)
    else:
        np.testing.assert_allclose(got.X, expected.X, atol=ROUNDING)
        assert got.X.dtype == np.float32
    expected.strings_to_categoricals()
    assert_tables_equal(got.obs, expected.obs)
    assert_tables_equal(got.var, expected.var)
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
        np.testing.assert_allclose(values, expected.varm["peak_embedding"], atol=ROUNDING)
        assert values.columns[31] == "embedding_31"
    else:
        np.testing.assert_allclose(values, expected.X.T, atol=ROUNDING)
        assert values.columns.tolist() == expected.obs_names.tolist()
    provenance = json.loads(pq.read_schema(out).metadata[b"scbasset_zoo"])
    assert provenance["model_id"] == "scbasset/toy"


def test_a_table_has_a_row_group_for_each_stripe_of_peaks(model, genome, tmp_path, small_blocks):
    write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.parquet")
    assert pq.ParquetFile(tmp_path / "p.parquet").num_row_groups == 3


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr", ".parquet"])
def test_a_failed_prediction_leaves_nothing_and_keeps_the_old_file(model, tmp_path, small_blocks, suffix):
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


def test_files_that_cannot_be_written_are_an_error_before_any_work(model, genome, tmp_path, monkeypatch):
    (tmp_path / "there.h5ad").write_text("x")
    with pytest.raises(InputError, match=r"must end in .h5ad, .zarr or .parquet"):
        write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.csv")
    with pytest.raises(InputError, match="already exists"):
        write_predictions(model, toy.toy_peaks(), genome, tmp_path / "there.h5ad")
    monkeypatch.setattr(output, "MAX_TABLE_COLUMNS", 6)
    with pytest.raises(
        InputError, match=r"7 columns; a table has at most 6. Group the cells with group_by, choose some with cells"
    ):
        write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.parquet")
    write_predictions(model, toy.toy_peaks(), genome, tmp_path / "p.parquet", group_by="cell_type")


def test_a_cell_named_like_a_column_of_peaks_is_refused_in_a_table(tmp_path, genome):
    cells = toy.toy_cells().rename(index={"cell-2": "start"})
    model = open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu")
    with pytest.raises(InputError, match="p.parquet: 'start' is the name of a cell"):
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
