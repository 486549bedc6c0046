"""Cells and peaks with columns of any type and name go through every command and format, with the values that they had."""

import anndata as ad
import pandas as pd
import pytest
from helpers.any_table import COLUMNS, NAMES, assert_values_kept, table_of_all_columns
from helpers.tiny_fits import TINY

import scbasset_zoo as sz


@pytest.fixture(scope="module")
def matrix(toy_matrix):
    adata = toy_matrix()
    adata.obs = table_of_all_columns(adata.obs_names)
    var = adata.var
    adata.var = table_of_all_columns(var.index).assign(**var)
    return adata


@pytest.fixture(scope="module")
def package(matrix, toy_fasta, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    prepared = sz.prepare(matrix, genome=toy_fasta, assembly="toy", out=folder / "prepared", split="70/15/15", quiet=True)
    run = sz.train(prepared.folder, out=folder / "run", epochs=1, **TINY)
    return sz.export(run.folder, out=folder / "package")


@pytest.fixture(scope="module")
def model(package):
    return sz.open_model(package.folder, "cpu")


def test_a_package_has_all_values_and_a_column_for_each_name(matrix, model):
    rows = [matrix.obs_names.get_loc(barcode) for barcode in model.cells.index]
    assert len(rows) == matrix.n_obs
    assert_values_kept(model.cells, rows)
    numbered = [column for column in model.cells if column not in COLUMNS and model.cells[column].tolist() == rows]
    assert len(numbered) == len(NAMES)
    peaks = model.package.peaks()
    assert_values_kept(peaks, [matrix.var_names.get_loc(name) for name in peaks["name"]])


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_predictions_have_all_values(suffix, matrix, model, toy_fasta, tmp_path):
    out = tmp_path / f"predicted{suffix}"
    sz.predict(model.package.folder, matrix, genome=toy_fasta, out=out)
    read = (ad.read_h5ad if suffix == ".h5ad" else ad.read_zarr)(out)
    assert read.obs_names.tolist() == model.cells.index.tolist()
    assert_values_kept(read.obs, [matrix.obs_names.get_loc(barcode) for barcode in read.obs_names])
    assert read.var_names.tolist() == matrix.var_names.tolist()


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("analysis", ["embedding", "denoise"])
def test_results_of_analyses_have_all_values(analysis, suffix, matrix, model, toy_fasta, tmp_path):
    more = {"embedding": {"umap": False}, "denoise": {"peaks": matrix[:, :4], "genome": toy_fasta}}[analysis]
    out = tmp_path / f"result{suffix}"
    sz.run(analysis, model, out=out, quiet=True, **more)
    read = (ad.read_h5ad if suffix == ".h5ad" else ad.read_zarr)(out)
    assert_values_kept(read.obs, [matrix.obs_names.get_loc(barcode) for barcode in read.obs_names])


@pytest.mark.parametrize("column", [kind for kind, (_, values) in COLUMNS.items() if None not in values and len(set(values)) > 1])
def test_cells_are_grouped_by_a_column_of_any_type(column, model, toy_fasta):
    peak = pd.DataFrame({"chrom": ["chr1"], "start": [9_000], "end": [9_500]})
    cells = model.predict(peak, toy_fasta).to_df().iloc[:, 0]
    grouped = model.predict(peak, toy_fasta, group_by=column)
    texts = model.cells[column].astype(str)
    assert sorted(grouped.obs_names) == sorted(set(texts))
    for group in grouped.obs_names:
        assert grouped.to_df().loc[group].item() == pytest.approx(cells[texts == group].mean(), abs=1e-6)
