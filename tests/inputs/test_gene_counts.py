"""Counts of genes of multiome matrices: read from each format, and written as .h5ad."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import matrix_entries
from scbasset_zoo.inputs.gene_counts import check_same_genes, write_gene_counts
from scbasset_zoo.inputs.matrix import open_matrix
from tests.helpers.matrices import FORMATS, VALUES, adata_of, named_peaks, write_10x_folder, write_10x_h5

KEPT = np.array([True, False, True])


def multiome(genes=("G1", "G2"), seed=0, gene_ids=True):
    """An AnnData whose columns are a gene, the peaks and another gene."""
    counts = np.random.default_rng(seed).poisson(2, (3, 2)).astype(np.float32)
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression", *["Peaks"] * 4, "Gene Expression"]}, index=[genes[0], *named_peaks(), genes[1]]
    )
    if gene_ids:
        var["gene_ids"] = [f"E{name}" for name in var.index]
    x = np.hstack([counts[:, :1], VALUES, counts[:, 1:]])
    adata = adata_of(sparse.csr_matrix(x), var)
    return adata, counts


def written(parts, kept, path, names=None):
    names = pd.Index([f"cell{i}" for i in range(sum(map(len, kept)))]) if names is None else names
    write_gene_counts(path, parts, kept, names)
    return ad.read_h5ad(path)


@pytest.mark.parametrize("chunk", [1, 4, 1 << 20])
@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "h5ad", "zarr", "csc h5ad"])
def test_counts_of_the_kept_cells_are_those_of_the_matrix(kind, chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix_entries, "CHUNK", chunk)
    adata, counts = multiome()
    if "csc" in kind:
        adata.X = adata.X.tocsc()
    source = adata
    if kind == "dense":
        adata.X = adata.X.toarray()
    elif kind.endswith(("h5ad", "zarr")):
        source = tmp_path / f"m.{kind.split()[-1]}"
        adata.write_zarr(source) if kind == "zarr" else adata.write_h5ad(source)
    genes = written([open_matrix(source).gene_counts()], [KEPT], tmp_path / "genes.h5ad")
    np.testing.assert_array_equal(genes.X.toarray(), counts[KEPT])
    assert genes.obs_names.tolist() == ["cell0", "cell2"]
    assert genes.var_names.tolist() == ["G1", "G2"]
    assert genes.var["gene_ids"].tolist() == ["EG1", "EG2"]
    assert (genes.X.format, genes.X.dtype) == ("csr", np.float32)


def test_counts_of_10x_formats(tmp_path):
    write_10x_h5(tmp_path / "m.h5", VALUES, multiome=True)
    genes = written([open_matrix(tmp_path / "m.h5").gene_counts()], [KEPT], tmp_path / "genes.h5ad")
    # The helper writes 7 for both genes of all cells.
    assert genes.X.toarray().tolist() == [[7, 7], [7, 7]]
    assert genes.var["gene_ids"].tolist() == ["ENSG1", "ENSG2"]
    folder = write_10x_folder(tmp_path / "m", VALUES)
    genes = written([open_matrix(folder).gene_counts()], [np.ones(3, dtype=bool)], tmp_path / "genes.h5ad")
    # The helper writes 9 for the gene of the first cell.
    assert genes.X.toarray().tolist() == [[9], [0], [0]]
    assert (genes.var_names.tolist(), genes.var["gene_ids"].tolist()) == (["GENE"], ["ENSG1"])


@pytest.mark.parametrize("name", [name for name in FORMATS if "multiome" not in name])
def test_a_matrix_of_peaks_alone_has_no_genes(name, tmp_path):
    with pytest.raises(InputError, match="has no gene expression. Expected features of the type"):
        open_matrix(FORMATS[name](tmp_path, VALUES)).gene_counts()


def test_samples_are_written_one_after_the_other_and_genes_are_mapped(tmp_path):
    first, counts = multiome()
    second, more = multiome(("G2", "G1"), seed=1)
    parts = [open_matrix(first).gene_counts(), open_matrix(second).gene_counts()]
    check_same_genes(parts)
    names = pd.Index([f"{sample}#cell{i}" for sample in "ab" for i in range(3)])
    genes = written(parts, [KEPT, ~KEPT], tmp_path / "genes.h5ad", names)
    assert genes.obs_names.tolist() == ["a#cell0", "a#cell2", "b#cell1"]
    np.testing.assert_array_equal(genes.X.toarray(), [*counts[KEPT], more[1, ::-1]])


def test_different_genes_are_refused():
    parts = [open_matrix(multiome(genes)[0]).gene_counts() for genes in (("G1", "G2"), ("G1", "G3"))]
    with pytest.raises(InputError, match=r"different genes: 1 are only in the first and 1 only in the second, such as EG2, EG3"):
        check_same_genes(parts)
    parts = [open_matrix(multiome(genes, gene_ids=False)[0]).gene_counts() for genes in (("G1", "G1"), ("G1", "G2"))]
    with pytest.raises(InputError, match=r"different genes"):
        check_same_genes(parts)


def test_names_that_repeat_are_made_distinct(tmp_path):
    adata, _ = multiome(("G", "G"))
    adata.var["gene_ids"] = [f"E{i}" for i in range(6)]
    genes = written([open_matrix(adata).gene_counts()], [KEPT], tmp_path / "genes.h5ad")
    assert genes.var_names.tolist() == ["G", "G-1"]
    assert genes.var["gene_ids"].tolist() == ["E0", "E5"]


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_a_value_that_is_no_count_is_refused(value, tmp_path):
    adata, _ = multiome()
    adata.X[1, 5] = value
    with pytest.raises(InputError, match=rf"row 1, column 5 \(counting from 0\) is {value}; expected counts of genes"):
        written([open_matrix(adata).gene_counts()], [KEPT], tmp_path / "genes.h5ad")


def test_fractions_get_a_line(tmp_path, capsys):
    adata, _ = multiome()
    adata.X[0, 0] = 1.5
    written([open_matrix(adata).gene_counts()], [KEPT], tmp_path / "genes.h5ad")
    assert "the AnnData: 1 values of genes are no whole numbers." in capsys.readouterr().err
