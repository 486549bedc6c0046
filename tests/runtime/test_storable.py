"""Any names of columns and keys, and any values, can be written to .h5ad and .zarr."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers.any_table import COLUMNS, NAMES, assert_values_kept, table_of_all_columns
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.running.results import read_result, write_result
from scbasset_zoo.runtime.output import write_anndata
from scbasset_zoo.runtime.storable import storable, storable_name

WRITERS = {
    "in blocks": lambda data, path: write_anndata(data, None, path, overwrite=True),
    "at once": write_result,
}
NAME = st.text(min_size=0, max_size=12) | st.sampled_from([name for name in NAMES if isinstance(name, str)])


def written(data, path, write):
    write(data, path)
    return (ad.read_h5ad if path.suffix == ".h5ad" else ad.read_zarr)(path)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_all_columns_are_written(suffix, write, tmp_path):
    cells = table_of_all_columns([f"c{i}" for i in range(9)])
    data = ad.AnnData(obs=cells, uns={"table": cells, "a/b": {"c/d": cells}})
    read = written(data, tmp_path / f"out{suffix}", write)
    for table in (read.obs, read.uns["table"], read.uns["a_b"]["c_d"], read_result(tmp_path / f"out{suffix}").obs):
        assert_values_kept(table, range(9))
        assert table.shape == cells.shape
        assert [list(table[name]) for name in table.columns[len(COLUMNS) :]] == [list(range(9))] * len(NAMES)


@settings(max_examples=15, deadline=None)
@given(st.lists(NAME, min_size=1, max_size=6, unique=True))
def test_any_names_are_distinct_in_a_file(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    obs = pd.DataFrame({name: [i] for i, name in enumerate(names)}, index=["cell"])
    data = ad.AnnData(
        obs=obs, uns={name: i for i, name in enumerate(names)}, obsm={name: np.full((1, 1), i) for i, name in enumerate(names)}
    )
    for suffix in (".h5ad", ".zarr"):
        read = written(data, folder / f"out{suffix}", write_result)
        assert read.obs.iloc[0].tolist() == list(range(len(names)))
        assert sorted(int(value) for value in read.uns.values()) == list(range(len(names)))
        assert sorted(int(value[0, 0]) for value in read.obsm.values()) == list(range(len(names)))


def test_plain_names_stay_and_others_keep_what_they_can():
    for name in ("cell_type", "cell type", "é", "a.b", "[x]", "index", "zarr"):
        assert storable_name(name) == name
    assert storable_name("NK/T") == "NK_T"
    assert storable_name("..") == ".._"
    assert len(storable_name("é" * 300).encode()) == 200


def test_the_same_name_after_the_change_gets_a_prefix():
    stored = storable(ad.AnnData(obs=pd.DataFrame({"a/b": [1], "a_b": [2], "a\\b": [3]}, index=["cell"])))
    assert dict(stored.obs.iloc[0]) == {"other_a_b": 1, "a_b": 2, "other_other_a_b": 3}


def test_renamed_columns_are_reported(capsys):
    storable(ad.AnnData(obs=pd.DataFrame({"donor/id": [1], "..": [2]}, index=["cell"])))
    assert ".obs: 'donor/id' is called 'donor_id' in the file" in capsys.readouterr().err


def test_a_column_without_text_is_refused_by_name(tmp_path):
    data = ad.AnnData(obs=pd.DataFrame({"lists": [[1], [2]]}, index=["a", "b"]))
    with pytest.raises(InputError, match=r"\.obs: the column 'lists' has the list \[1\]"):
        write_result(data, tmp_path / "out.h5ad")


def test_the_data_itself_does_not_change():
    data = ad.AnnData(np.ones((1, 1)), obs=pd.DataFrame({"a/b": ["x"]}, index=["cell"]))
    stored = storable(data)
    assert list(data.obs) == ["a/b"]
    assert stored.X is data.X
