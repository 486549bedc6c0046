"""Columns of a table are joined to the cells of a matrix by barcode."""

import gzip

import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.cells_table import join_cells_table
from scbasset_zoo.inputs.matrix import open_matrices, open_matrix
from tests.helpers.matrices import VALUES, adata_of


def matrix_of(names=("A-1", "B-1", "C-1"), **columns):
    adata = adata_of(VALUES)
    adata.obs_names = list(names)
    adata.obs = adata.obs.assign(**columns)
    return open_matrix(adata)


def two_samples(second=("A-1", "B-1", "D-1")):
    matrices = [adata_of(VALUES), adata_of(VALUES)]
    matrices[0].obs_names, matrices[1].obs_names = ["A-1", "B-1", "C-1"], list(second)
    return open_matrices(matrices, ["s1", "s2"])


TABLE = pd.DataFrame({"barcode": ["C-1", "other", "A-1"], "type": ["c", "x", "a"], "n": [3, 9, 1], "depth": [0.5, 9.5, 1.5]})


def written(table, path, name):
    path = path / name
    if name.endswith(".parquet"):
        table.to_parquet(path, index=False)
    else:
        text = table.to_csv(index=False, sep="," if ".csv" in name else "\t")
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.tsv.gz", "t.parquet", None])
def test_a_table_of_any_format_joins_its_columns(name, tmp_path, capsys):
    cells = join_cells_table(matrix_of(), TABLE if name is None else written(TABLE, tmp_path, name)).cells
    assert cells.index.tolist() == ["A-1", "B-1", "C-1"]
    assert cells["type"].astype(object).where(cells["type"].notna(), None).tolist() == ["a", None, "c"]
    assert cells["n"].tolist() == [1, pd.NA, 3]
    np.testing.assert_array_equal(cells["depth"].astype("Float64").to_numpy(float, na_value=np.nan), [1.5, np.nan, 0.5])
    said = "2 of the 3 cells of the AnnData are in it; 1 of its 3 rows are no cell of the matrix."
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("column", ["barcode", "Barcode", "cell", "cell_id", "index", "CB", ""])
@pytest.mark.parametrize("position", [0, 2])
def test_barcodes_are_in_the_first_column_or_one_of_a_usual_name(column, position, tmp_path):
    if not column and position:
        pytest.skip("a column without a name is only read as barcodes if it is the first")
    table = TABLE[["type", "n", "depth"]].copy()
    table.insert(position, column, TABLE["barcode"])
    cells = join_cells_table(matrix_of(), written(table, tmp_path, "t.csv")).cells
    assert cells["n"].tolist() == [1, pd.NA, 3]
    assert cells.columns.tolist() == ["type", "n", "depth"]


def test_the_column_with_most_cells_is_taken_as_barcodes(tmp_path):
    # As Seurat writes it: names of the rows are those of the cells; "barcode" came with the metadata and repeats.
    (tmp_path / "t.csv").write_text('"","barcode","type"\n"s1_A-1","A-1","a"\n"s2_A-1","A-1","b"\n')
    cells = join_cells_table(matrix_of(["s1_A-1", "s2_A-1", "s3_A-1"]), tmp_path / "t.csv").cells
    assert cells["type"].tolist()[:2] == ["a", "b"]
    assert cells["barcode"].tolist()[:2] == ["A-1", "A-1"]


@pytest.mark.parametrize("name", ["index", "barcode", None])
def test_barcodes_of_a_dataframe_may_be_its_index(name):
    table = TABLE.set_index("barcode").rename_axis(name)
    assert join_cells_table(matrix_of(), table).cells["n"].tolist() == [1, pd.NA, 3]


def test_names_of_rows_that_r_writes_without_a_name_are_barcodes(tmp_path):
    (tmp_path / "t.tsv").write_text('"n"\t"type"\n"A-1"\t1\t"a"\n"C-1"\t3\tNA\n')
    cells = join_cells_table(matrix_of(), tmp_path / "t.tsv").cells
    assert cells["n"].tolist() == [1, pd.NA, 3]
    assert cells["type"].astype(object).where(cells["type"].notna(), None).tolist() == ["a", None, None]


@pytest.mark.parametrize(
    "barcodes", [["s1#A-1", "s2#A-1", "s1#none"], ["A-1", "A-1", "none"]], ids=["sample#barcode", "barcode and sample"]
)
def test_cells_of_samples_are_found_by_sample_and_barcode(barcodes):
    table = pd.DataFrame({"cell": barcodes, "sample": ["s1", "s2", "s1"], "type": ["first", "second", "none"]})
    cells = join_cells_table(two_samples(), table).cells
    assert cells["type"].dropna().to_dict() == {"s1#A-1": "first", "s2#A-1": "second"}
    assert cells["sample"].tolist() == ["s1"] * 3 + ["s2"] * 3


def test_barcodes_alone_are_enough_where_no_two_samples_share_one():
    table = pd.DataFrame({"cell": ["A-1", "E-1"], "type": ["a", "e"]})
    cells = join_cells_table(two_samples(("D-1", "E-1", "F-1")), table).cells
    assert cells["type"].dropna().to_dict() == {"s1#A-1": "a", "s2#E-1": "e"}
    with pytest.raises(InputError, match="They differ in what is before the barcode"):
        join_cells_table(two_samples(), table.iloc[:1])


def test_the_table_wins_with_a_line(capsys):
    cells = join_cells_table(matrix_of(type=["old"] * 3, kept=[1, 2, 3]), TABLE).cells
    assert cells["type"].astype(object).where(cells["type"].notna(), None).tolist() == ["a", None, "c"]
    assert cells["kept"].tolist() == [1, 2, 3]
    said = "the table of cells replaces the columns type of the AnnData, .obs. The 1 cells that it lacks have no value there."
    assert said in capsys.readouterr().err


def test_a_table_of_other_cells_is_refused_with_examples_and_hints():
    for barcodes, hint in (
        (["A", "B"], "They differ in the suffix, such as -1."),
        (["s1#A-1", "s1#B-1"], "They differ in what is before the barcode"),
        (["s1_A", "s1_B"], "They differ in the suffix, such as -1, and in what is before"),
        (["a-1", "b-1"], "They differ in the case of letters."),
        (["1", "2"], "'A-1', 'B-1', 'C-1'."),
    ):
        with pytest.raises(
            InputError, match=rf"none of its 2 rows is a cell of the AnnData\. Its barcodes .* '{barcodes[0]}'"
        ) as error:
            join_cells_table(matrix_of(), pd.DataFrame({"cell": barcodes, "n": [1, 2]}))
        assert hint in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("barcode,n\nA-1,1\nB-1,2\nA-1,3\n", r"t\.csv: 1 barcodes are there more than once, first 'A-1' .* in line 2 and line 4"),
        ("barcode,n\nA-1,1\n,2\n", r"t\.csv, line 3: the barcode \(column 'barcode'\) is missing"),
        ("barcode,n\n", r"t\.csv is empty; expected a header line"),
        ("", r"t\.csv cannot be read"),
        ("barcode;n\nA-1;1\n", r"t\.csv: a \.csv file has commas between its columns; found semicolons"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        join_cells_table(matrix_of(), tmp_path / "t.csv")


def test_what_is_no_table_is_refused(tmp_path):
    for table, message in (
        (tmp_path / "none.csv", "cells_table: there is no .*none.csv"),
        (5, "cells_table must be a path or a DataFrame; found int"),
        (pd.concat([TABLE, TABLE[["n"]]], axis=1), "the table of cells has two columns called 'n'"),
        (TABLE.set_index(["barcode", "type"]), "the index of the table has 2 levels"),
        (TABLE.iloc[[0, 0]], r"'C-1' \(column 'barcode'\) in row 0 \(counting from 0\) and row 1"),
        (pd.DataFrame(), "is empty"),
        (pd.DataFrame({"barcode": []}), "is empty"),
    ):
        with pytest.raises(InputError, match=message):
            join_cells_table(matrix_of(), table)
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"must be a \.csv, \.tsv, \.txt, \.parquet or \.h5ad file"):
        join_cells_table(matrix_of(), tmp_path / "t.xlsx")
