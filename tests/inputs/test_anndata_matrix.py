"""Cells x peaks of AnnData: which features are peaks, and what is refused."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.matrix import open_matrix
from scbasset_zoo.wording import command_line
from tests.helpers.matrices import VALUES, adata_of, entries_of, h5ad, named_peaks, var_of


def test_anndata_of_several_feature_types_gives_its_peaks():
    var = var_of().assign(feature_types=["Gene Expression", "Peaks", "Peaks", "Gene Expression"])
    matrix = open_matrix(adata_of(np.ones((2, 4)), var))
    assert matrix.peaks["name"].tolist() == ["p1", "p2"]
    assert [(cell.tolist(), peak.tolist()) for cell, peak in matrix.open_entries()] == [([0, 0, 1, 1], [0, 1, 0, 1])]
    with pytest.raises(InputError, match='no feature of type "Peaks"; it has CRISPR, Gene Expression'):
        open_matrix(adata_of(np.ones((2, 4)), var.assign(feature_types=["CRISPR", *["Gene Expression"] * 3])))


def test_row_numbers_are_those_of_the_file_when_other_features_are_left_out():
    var = var_of().assign(feature_types=["Gene Expression", "Peaks", "Peaks", "Peaks"])
    var.loc["p2", "end"] = 0
    with pytest.raises(InputError, match=r"row 2 \(counting from 0, 'p2'\)"):
        open_matrix(adata_of(np.ones((2, 4)), var))


def test_transposed_matrix_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"peaks x cells.*adata\.T"):
        open_matrix(adata_of(np.ones((2, 4))).T)
    by_name = ad.AnnData(np.ones((4, 2)), obs=pd.DataFrame(index=named_peaks()), var=pd.DataFrame(index=["AAAC-1", "AAAG-1"]))
    with pytest.raises(InputError, match=r"peaks x cells.*adata\.T"):
        open_matrix(by_name)


def test_anndata_without_x_or_with_a_wrong_x_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no X"):
        open_matrix(ad.AnnData(obs=pd.DataFrame(index=["a"]), var=var_of()))
    path = h5ad("dense")(tmp_path, VALUES)
    with h5py.File(path, "a") as file:
        del file["X"]
        ad.io.write_elem(file, "X", VALUES[:, :2])
    with pytest.raises(InputError, match=r"X is \(3, 2\), but .obs has 3 rows and .var 4"):
        open_matrix(path)


@pytest.mark.parametrize(("name", "value"), [("indices", 99), ("indices", -1), ("indptr", 50)])
def test_damaged_sparse_matrix_is_refused_before_it_is_used(name, value, tmp_path):
    path = h5ad("csr")(tmp_path, VALUES)
    with h5py.File(path, "a") as file:
        file[f"X/{name}"][1] = value
    with pytest.raises(InputError, match=r"damaged|do not fit"):
        list(open_matrix(path).open_entries())


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, -0.25])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("place", ["memory", "h5ad", "zarr"])
def test_a_value_that_is_no_count_is_refused_with_its_cell_and_peak(tmp_path, kind, place, value):
    values = np.array([[1, 0, 2, 0], [0, 3, 0, 1]], dtype=np.float32)
    values[1, 3] = value
    adata = adata_of(kind(values), var_of())
    source = adata if place == "memory" else tmp_path / f"m.{place}"
    if place != "memory":
        (adata.write_h5ad if place == "h5ad" else adata.write_zarr)(source)
    with pytest.raises(InputError, match=rf"the value of cell '{adata.obs_names[1]}' and peak 'p3' .* is {value}"):
        list(open_matrix(source).open_entries())


def test_features_of_other_types_are_left_out_with_a_line(capsys):
    adata = adata_of(np.ones((2, 4)))
    adata.var["feature_types"] = ["Peaks", "peaks", "Peaks", "Peaks"]
    assert open_matrix(adata).n_peaks == 3
    assert 'the AnnData: 3 of 4 features are of the type "Peaks"; those of the type peaks are left out.' in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_a_feature_without_type_among_others_is_refused(dtype):
    adata = adata_of(np.ones((2, 4)))
    adata.var["feature_types"] = pd.Series(["Peaks", None, "Peaks", "Peaks"], adata.var_names, dtype=dtype)
    with pytest.raises(InputError, match=r"1 features have no type, first the one in row 1 \(counting from 0\); others have Peaks"):
        open_matrix(adata)
    adata.var["feature_types"] = pd.Series([None] * 4, adata.var_names, dtype=dtype)
    assert open_matrix(adata).n_peaks == 4


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("place", ["memory", "backed", "h5ad", "zarr"])
def test_a_layer_is_read_in_place_of_x(tmp_path, kind, place):
    adata = adata_of(kind(np.where(VALUES > 0, -1.5, np.nan)))
    adata.layers["counts"] = kind(VALUES)
    matrix = open_matrix(placed(adata, place, tmp_path), layer="counts")
    assert entries_of(matrix) == [(cell, peak) for cell in range(3) for peak in range(4) if VALUES[cell, peak] > 0]
    assert matrix.origin == {"layer": "counts"}


@pytest.mark.parametrize("place", ["memory", "backed", "h5ad", "zarr"])
def test_a_layer_that_is_not_there_is_refused_with_those_that_are(tmp_path, place):
    adata = adata_of(VALUES)
    with pytest.raises(InputError, match=r"layer: .* has no layer 'counts'\. It has none; without layer, X is read\."):
        open_matrix(placed(adata, place, tmp_path), layer="counts")
    adata.layers["raw_counts"], adata.layers["tfidf"] = VALUES, VALUES
    message = r"no layer 'raw_count'\. It has the layers raw_counts, tfidf; without layer, X is read\. Did you mean 'raw_counts'\?"
    with pytest.raises(InputError, match=message):
        open_matrix(placed(adata, place, tmp_path), layer="raw_count")


@pytest.mark.parametrize("place", ["memory", "backed", "h5ad", "zarr"])
def test_values_that_are_no_counts_point_to_the_layer_of_counts(tmp_path, place):
    adata = adata_of(VALUES - 1)
    adata.layers["counts"] = VALUES
    with pytest.raises(InputError, match=r"is -1.0; expected counts.*There is a layer of counts: read it with layer='counts'\."):
        list(open_matrix(placed(adata, place, tmp_path)).open_entries())
    with command_line(), pytest.raises(InputError, match=r"read it with --layer counts\."):
        list(open_matrix(placed(adata, place, tmp_path)).open_entries())
    adata.layers["other"] = VALUES - 2
    with pytest.raises(InputError, match=r"is -2.0; expected counts"):
        list(open_matrix(placed(adata, place, tmp_path), layer="other").open_entries())
    del adata.layers["counts"]
    with pytest.raises(InputError, match=r"There are the layers other: see layer\."):
        list(open_matrix(placed(adata, place, tmp_path)).open_entries())


@pytest.mark.parametrize("place", ["memory", "h5ad", "zarr"])
def test_without_x_a_layer_can_be_read(tmp_path, place):
    adata = adata_of(VALUES)
    adata.layers["counts"] = VALUES
    adata.X = None
    with pytest.raises(InputError, match=r"has no X.*It has the layers counts: choose one with layer\."):
        open_matrix(placed(adata, place, tmp_path))
    assert len(entries_of(open_matrix(placed(adata, place, tmp_path), layer="counts"))) == 5


def test_repeated_barcodes_of_samples_are_refused_with_what_to_do():
    adata = adata_of(VALUES)
    adata.obs_names = ["A-1", "B-1", "A-1"]
    with pytest.raises(InputError, match=r"distinct: call adata.obs_names_make_unique\(\)"):
        open_matrix(adata)
    # As SnapATAC2 makes the matrix of an AnnDataSet.
    adata.obs["sample"] = ["s1", "s1", "s2"]
    with pytest.raises(InputError, match=r"put the sample before each barcode, adata.obs_names = adata.obs\['sample'\]"):
        open_matrix(adata)


def placed(adata, place, folder):
    """The AnnData in memory, backed, or as a path."""
    path = folder / f"m.{'zarr' if place == 'zarr' else 'h5ad'}"
    if place != "memory":
        adata.write_zarr(path) if place == "zarr" else adata.write_h5ad(path)
    return adata if place == "memory" else ad.read_h5ad(path, backed="r") if place == "backed" else path
