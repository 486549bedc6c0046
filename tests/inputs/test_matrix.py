"""Cells x peaks of every format, and files that are refused."""

import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import matrix_entries
from scbasset_zoo.inputs.matrix import open_matrix
from tests.helpers.matrices import FORMATS, VALUES, adata_of, cut, h5ad, var_of, write_10x_h5


@pytest.mark.parametrize("chunk", [1, 5, 1_000])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_entries_above_zero(name, chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix_entries, "CHUNK", chunk)
    matrix = open_matrix(FORMATS[name](tmp_path, VALUES))
    n_entries = np.zeros(VALUES.shape, dtype=int)
    for cell, peak in matrix.open_entries():
        np.add.at(n_entries, (cell, peak), 1)
    # Above zero, by hand: infinity is open; -1, NaN and zero are closed.
    assert n_entries.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 1]]
    assert matrix.cells.index.tolist() == ["cell0", "cell1", "cell2"]
    assert matrix.peaks[["chrom", "start", "end"]].to_numpy().tolist() == [["chr1", i * 1_000, i * 1_000 + 500] for i in range(4)]


def test_real_matrix_agrees_with_anndata(shared_data):
    path = shared_data / "buenrostro2018_bm0828.h5ad"
    matrix, expected = open_matrix(path), ad.read_h5ad(path)
    by_peak = sum(np.bincount(peak, minlength=matrix.n_peaks) for _, peak in matrix.open_entries())
    np.testing.assert_array_equal(by_peak, (expected.X > 0).sum(axis=0).A1)
    assert matrix.cells["cell_type"].tolist() == expected.obs["cell_type"].tolist()


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_empty_matrix_is_refused(shape, tmp_path):
    adata = adata_of(sparse.csr_matrix(shape))
    adata.write_h5ad(tmp_path / "m.h5ad")
    for matrix in (adata, tmp_path / "m.h5ad"):
        with pytest.raises(InputError, match=f"is empty: it has {shape[0]} cells and {shape[1]} peaks"):
            open_matrix(matrix)


def test_duplicates_are_refused():
    with pytest.raises(InputError, match=r"1 duplicate peaks, first chr1:0-500 in rows 0 and 3 \(counting from 0\)"):
        open_matrix(adata_of(np.ones((2, 4)), var_of().assign(start=[0, 1_000, 2_000, 0], end=[500, 1_500, 2_500, 500])))
    adata = adata_of(np.ones((2, 4)))
    adata.obs_names = ["same", "same"]
    with pytest.raises(InputError, match="1 cells have the name of another cell, first 'same'"):
        open_matrix(adata)


def write_other_h5(path):
    with h5py.File(path, "w") as file:
        file["weights"] = np.arange(5)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("none.h5ad", lambda path: None, "There is no"),
        ("table.csv", lambda path: path.write_text("cell,chr1:1-5\na,1\n"), "not an HDF5 file. Expected an AnnData"),
        ("noise.h5ad", lambda path: path.write_bytes(bytes(range(256)) * 20), "not an HDF5 file. Expected an AnnData"),
        ("other.h5", write_other_h5, r"HDF5 file of another kind \(it contains weights\)"),
        ("folder", lambda path: path.mkdir(), "neither a Zarr store nor matrix.mtx"),
        ("cut.h5ad", lambda path: cut(h5ad("csr")(path.parent, VALUES), path), "cannot be read.*cut short"),
        (
            "cut.h5",
            lambda path: cut(write_10x_h5(path.parent / "m.h5", VALUES, multiome=True), path),
            "cannot be read.*cut short",
        ),
    ],
)
def test_what_is_no_matrix_is_refused(name, write, message, tmp_path):
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        open_matrix(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("name", FORMATS)
def test_a_value_that_is_no_count_is_refused_in_every_format(name, value, tmp_path):
    values = VALUES.copy()
    values[2, 0] = value
    with pytest.raises(InputError, match=rf"the value of cell .* and peak .* is {value}; expected counts"):
        list(open_matrix(FORMATS[name](tmp_path, values)).open_entries())


def test_an_hdf5_file_that_another_program_writes_is_no_damage(tmp_path):
    path = h5ad("csr")(tmp_path, VALUES)
    code = "import sys, h5py; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(InputError, match="Another program has it open for writing"):
            open_matrix(path)
        writer.stdin.close()


@pytest.mark.parametrize("values", [VALUES.astype(complex), VALUES.astype(str), sparse.csr_matrix(VALUES.astype(complex))])
def test_values_that_are_no_real_numbers_are_refused(values):
    with pytest.raises(InputError, match=r"the AnnData: X has values of the type .*; expected counts"):
        list(open_matrix(adata_of(values)).open_entries())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["matrix/x", "row_attrs/x", "col_attrs/x"], "is a loom file"),
        (["hg19/barcodes", "hg19/genes", "hg19/indptr"], "is a gene matrix of Cell Ranger 1 or 2"),
    ],
)
def test_formats_of_genes_are_named(tmp_path, names, message):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for name in names:
            file[name] = np.arange(3)
    with pytest.raises(InputError, match=message):
        open_matrix(tmp_path / "other.h5")
