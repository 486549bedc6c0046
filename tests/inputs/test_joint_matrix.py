"""Matrices of several samples as one: mapped peaks, named cells, columns of all, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import matrix_entries
from scbasset_zoo.inputs.matrix import open_matrices
from tests.helpers.any_table import COLUMNS, table_of_all_columns
from tests.helpers.matrices import FORMATS, VALUES, adata_of, entries_of, named_peaks, var_of, write_10x_h5


def random_matrix(n_cells, seed, n_peaks=30):
    values = np.random.default_rng(seed).poisson(0.4, (n_cells, n_peaks)).astype(np.float32)
    return adata_of(sparse.csr_matrix(values), var_of(n_peaks))


@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_values_are_those_of_all_matrices_by_interval(chunk, monkeypatch):
    monkeypatch.setattr(matrix_entries, "CHUNK", chunk)
    first, second, third = random_matrix(6, 0), random_matrix(9, 1), random_matrix(4, 2)
    second = second[:, np.random.default_rng(3).permutation(30)].copy()
    joint = open_matrices([first, second, third], ["s1", "s2", "s3"])
    # A naive computation: each value is looked up by the name of its cell and the start of its peak.
    expected = []
    for cell, name in enumerate(joint.cells.index):
        sample, barcode = name.split("#")
        source = {"s1": first, "s2": second, "s3": third}[sample]
        by_start = dict(zip(source.var["start"], source[barcode].X.toarray()[0], strict=True))
        expected += [(cell, peak) for peak, start in enumerate(joint.peaks["start"]) if by_start[start] > 0]
    assert entries_of(joint) == expected
    assert joint.peaks["start"].tolist() == first.var["start"].tolist()
    assert joint.cells.index.tolist() == [f"{s}#cell{i}" for s, n in (("s1", 6), ("s2", 9), ("s3", 4)) for i in range(n)]
    assert joint.cells["sample"].tolist() == ["s1"] * 6 + ["s2"] * 9 + ["s3"] * 4


@pytest.mark.parametrize("name", FORMATS)
def test_a_matrix_of_every_format_is_joined(name, tmp_path):
    joint = open_matrices([adata_of(VALUES[::-1]), FORMATS[name](tmp_path, VALUES)], ["a", "b"])
    both = np.vstack([VALUES[::-1], VALUES])
    assert entries_of(joint) == sorted(map(tuple, np.argwhere(both > 0).tolist()))


def test_columns_of_all_cells_are_kept_with_their_types():
    first, second = adata_of(VALUES), adata_of(VALUES)
    first.obs = first.obs.assign(
        n=[1, 2, 3], only_first=[True, False, True], kind=pd.Categorical(["a", "b", "a"]), depth=[0.5, 1, 2]
    )
    second.obs = second.obs.assign(n=[4, 5, 6], kind=pd.Categorical(["c", "b", None]), mixed=["x", "y", "z"], depth=[1, 2, 3])
    third = adata_of(VALUES)
    third.obs = third.obs.assign(mixed=[1, 2, 3])
    cells = open_matrices([first, second, third], ["1", "2", "3"]).cells
    assert cells.columns.tolist() == ["sample", "n", "only_first", "kind", "depth", "mixed"]
    assert cells["n"].tolist() == [1, 2, 3, 4, 5, 6, pd.NA, pd.NA, pd.NA]
    assert str(cells["n"].dtype) == "Int64"
    assert cells["only_first"].tolist() == [True, False, True] + [pd.NA] * 6
    assert cells["kind"].cat.categories.tolist() == ["a", "b", "c"]
    assert cells["kind"].astype(object).where(cells["kind"].notna(), None).tolist() == ["a", "b", "a", "c", "b", *[None] * 4]
    np.testing.assert_array_equal(cells["depth"], [0.5, 1, 2, 1, 2, 3, np.nan, np.nan, np.nan])
    assert cells["mixed"].tolist()[3:] == ["x", "y", "z", 1, 2, 3]


def test_columns_of_any_type_are_joined():
    first, second = adata_of(np.ones((8, 4))), adata_of(np.ones((5, 4)))
    first.obs, second.obs = table_of_all_columns(first.obs_names), table_of_all_columns(second.obs_names)
    cells = open_matrices([first, adata_of(VALUES), second], ["a", "without columns", "b"]).cells
    for column in COLUMNS:
        for value, expected in zip(cells[column], [*first.obs[column], *[None] * 3, *second.obs[column]], strict=True):
            assert (pd.isna(value) and pd.isna(expected)) or value == expected


def test_columns_of_peaks_are_those_of_the_first_that_all_have():
    first, second = adata_of(VALUES), adata_of(VALUES)
    first.var["score"], first.var["of_first"], second.var["score"], second.var["of_second"] = range(4), 1, 9, 2
    peaks = open_matrices([first, second], ["a", "b"]).peaks
    assert peaks.columns.tolist() == ["name", "chrom", "start", "end", "score"]
    assert peaks["score"].tolist() == [0, 1, 2, 3]


def test_different_peaks_are_refused_with_their_numbers_and_the_first_of_them(tmp_path):
    first = write_10x_h5(tmp_path / "first.h5", VALUES, multiome=True)
    second = adata_of(np.ones((2, 5)), pd.DataFrame(index=["chr1:1000-1501", *named_peaks()[:3], "chr2:5-10"]))
    second.write_h5ad(tmp_path / "second.h5ad")
    message = (
        r"1 of the 4 peaks of .*first\.h5 are not in .*second\.h5ad, first chr1:3000-3500; 2 of the 5 peaks of .*second\.h5ad are "
        r"not in .*first\.h5, first chr1:1000-1501, chr2:5-10\..*`scbasset-zoo merge-peaks`.*`scbasset-zoo count`"
    )
    with pytest.raises(InputError, match=message):
        open_matrices([first, tmp_path / "second.h5ad"], ["a", "b"])
    with pytest.raises(InputError, match=r"different peaks: 1 of the 4 peaks of the AnnData of a are not in the AnnData of b"):
        open_matrices([adata_of(VALUES), adata_of(VALUES[:, :3])], ["a", "b"])


def test_one_matrix_may_have_a_sample(tmp_path):
    named = open_matrices([h5ad_of(tmp_path)], ["a"])
    assert named.cells.index.tolist() == ["a#cell0", "a#cell1", "a#cell2"]
    assert (named.name, named.origin, named.where) == ("m.h5ad", {"sample": "a"}, str(tmp_path / "m.h5ad"))
    plain = open_matrices([h5ad_of(tmp_path)])
    assert plain.cells.index.tolist() == ["cell0", "cell1", "cell2"]
    assert entries_of(named) == entries_of(plain)


def test_the_names_of_samples_replace_a_column_sample_with_a_line(capsys):
    adata = adata_of(VALUES)
    adata.obs["sample"] = "old"
    assert open_matrices([adata], ["new"]).cells["sample"].tolist() == ["new"] * 3
    assert "the column 'sample' of .obs is replaced by the name of the sample, 'new'" in capsys.readouterr().err


def test_missing_or_too_many_samples_and_a_file_twice_are_refused(tmp_path):
    path = h5ad_of(tmp_path)
    (tmp_path / "link.h5ad").symlink_to(path)
    for matrices, samples, message in (
        ([path, adata_of(VALUES)], [], r"samples has no names, but there are 2 inputs"),
        ([path, adata_of(VALUES)], ["a"], r"samples has 1 names \(a\), but there are 2 inputs"),
        ([path], ["a", "b"], r"samples has 2 names \(a, b\), but there are 1 inputs"),
        ([path, tmp_path / "link.h5ad"], ["a", "b"], r"m\.h5ad is given twice"),
        ([], [], "There is no matrix"),
    ):
        with pytest.raises(InputError, match=message):
            open_matrices(matrices, samples)


def test_a_wrong_value_names_the_matrix_that_has_it(tmp_path):
    wrong = adata_of(np.where(VALUES == 3, -1, VALUES))
    wrong.write_h5ad(tmp_path / "wrong.h5ad")
    joint = open_matrices([h5ad_of(tmp_path), tmp_path / "wrong.h5ad"], ["a", "b"])
    with pytest.raises(InputError, match=r"wrong\.h5ad: the value of cell 'cell1' and peak 'p2' .* is -1"):
        list(joint.open_entries())


def h5ad_of(folder):
    adata: ad.AnnData = adata_of(VALUES)
    adata.write_h5ad(folder / "m.h5ad")
    return folder / "m.h5ad"
