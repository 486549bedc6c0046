"""Other data of a model's cells are read by the cells' positions in the model, in memory and from disk."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbasset_zoo import InputError
from scbasset_zoo.extend.companion_data import CompanionData

BARCODES = pd.Index(["a", "b", "c", "d"])


def rna(names="dxba", **parts):
    x = sparse.csr_matrix(np.arange(3.0 * len(names)).reshape(-1, 3))
    return ad.AnnData(x, obs=pd.DataFrame(index=list(names)), **parts)


@pytest.mark.parametrize("suffix", [None, ".h5ad", ".zarr"])
def test_rows_are_those_of_the_models_cells_in_the_order_that_is_requested(tmp_path, suffix):
    adata = rna(obsm={"X_pca": np.arange(8.0).reshape(4, 2)})
    data = adata
    if suffix is not None:
        data = tmp_path / f"rna{suffix}"
        (adata.write_h5ad if suffix == ".h5ad" else adata.write_zarr)(data)
    companion = CompanionData(data, BARCODES, "rna")
    assert companion.cells.tolist() == [0, 1, 3]
    expected = adata[["d", "a", "b"]]
    rows = companion.read(np.array([3, 0, 1]))
    np.testing.assert_array_equal(rows.toarray(), expected.X.toarray())
    np.testing.assert_array_equal(companion.obsm("X_pca", np.array([3, 0, 1])), expected.obsm["X_pca"])
    companion.require_finite()


def test_data_that_cannot_be_used_are_described(tmp_path):
    (tmp_path / "text.h5ad").write_text("no HDF5")
    (tmp_path / "table.csv").write_text("barcode,gene\na,1\n")
    (tmp_path / "pointer.h5ad").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    for data, message in (
        (rna("aab"), "rna: the barcode 'a' occurs more than once"),
        (rna("axyz"), "rna holds 1 of the model's 4 cells. Its barcodes look like 'a', the model's like 'a'"),
        (tmp_path / "absent.h5ad", "rna: there is no .h5ad or .zarr .*absent.h5ad"),
        (tmp_path / "table.csv", "rna: there is no .h5ad or .zarr .*table.csv. Read the file into an AnnData"),
        (tmp_path / "pointer.h5ad", "rna: .*pointer.h5ad is a pointer of Git LFS, not the file itself. Run `git lfs pull`."),
        (tmp_path / "text.h5ad", "rna: .*text.h5ad cannot be read as AnnData"),
    ):
        with pytest.raises(InputError, match=message):
            CompanionData(data, BARCODES, "rna")
    adata = rna("abcd", obsm={"X_pca": np.full((4, 2), np.nan)})
    adata.X.data[-1] = np.inf
    companion = CompanionData(adata, BARCODES, "rna")
    with pytest.raises(InputError, match="rna: the cell 'd' has NaN or infinite values in X"):
        companion.require_finite()
    with pytest.raises(InputError, match="rna: .obsm 'X_pca' must be cells x dimensions of finite numbers; found float64"):
        companion.obsm("X_pca", np.array([0]))
