"""Results are complete or absent, and replace only results of the same kind."""

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import check_destination, holding, new_file, new_folder

HOLDS_RUN = holding("run.json")


def test_a_folder_is_replaced_only_by_its_kind(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="thesis is not a result of this kind"):
        check_destination(tmp_path / "thesis", overwrite=True, replaceable=HOLDS_RUN)
    (tmp_path / "thesis" / "run.json").write_text("{}")
    check_destination(tmp_path / "thesis", overwrite=True, replaceable=HOLDS_RUN)
    (tmp_path / "empty").mkdir()
    check_destination(tmp_path / "empty", overwrite=True, replaceable=HOLDS_RUN)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="is not a result of this kind"):
        check_destination(tmp_path / "file", overwrite=True, replaceable=HOLDS_RUN)


def test_a_file_is_replaced_by_a_file_and_a_folder_only_if_it_is_zarr(tmp_path):
    (tmp_path / "a.h5ad").write_text("old")
    check_destination(tmp_path / "a.h5ad", overwrite=True)
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="is not a result of this kind"):
        check_destination(tmp_path / "b.zarr", overwrite=True)
    (tmp_path / "b.zarr" / ".zgroup").write_text("{}")
    check_destination(tmp_path / "b.zarr", overwrite=True)


def test_an_input_is_never_replaced(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "matrix.h5ad").write_text("counts")
    for source in (tmp_path / "run", str(tmp_path / "run" / "matrix.h5ad")):
        with pytest.raises(InputError, match="is or contains the input"):
            check_destination(tmp_path / "run", overwrite=True, replaceable=HOLDS_RUN, inputs=[None, source])
    with pytest.raises(InputError, match="is or contains the input"):
        check_destination(tmp_path / "run" / "matrix.h5ad", overwrite=True, inputs=[tmp_path / "run" / "matrix.h5ad"])


def test_a_failure_keeps_the_old_result_and_leaves_nothing_new(tmp_path):
    (tmp_path / "kept").write_text("old")

    def fail_after(writing):
        with writing as partial:
            (partial / "file" if partial.is_dir() else partial).write_text("new")
            raise RuntimeError

    for writing in (new_file(tmp_path / "kept"), new_folder(tmp_path / "folder")):
        with pytest.raises(RuntimeError):
            fail_after(writing)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"
