"""Prepared peaks that changed on disk are refused when they are opened, with the file and what to do."""

import contextlib
import io
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.prepared_peaks import rewritten
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.training import prepared_files
from scbasset_zoo.training.dataset import open_prepared
from scbasset_zoo.training.preparation import prepare

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def prepared(toy_fasta, toy_matrix, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "prepared"
    return prepare(
        toy_matrix(),
        genome=toy_fasta,
        assembly="toy",
        out=out,
        length=300,
        flank=4,
        min_cell_fraction=0,
        max_n_fraction=1,
        quiet=True,
    )


@pytest.fixture
def copy(prepared, tmp_path):
    return shutil.copytree(prepared.folder, tmp_path / "copy")


@FEW
@given(name=st.sampled_from(prepared_files.FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_in_any_file_is_noticed_whatever_its_time_stamp_says(copy, name, place, bit):
    file = copy / name
    whole, stamp = file.read_bytes(), file.stat().st_mtime_ns
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= 1 << bit
    file.write_bytes(damaged)
    os.utime(file, ns=(stamp, stamp))
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        open_prepared(copy)
    file.write_bytes(whole)
    assert open_prepared(copy).n_peaks == 60


@FEW
@given(data=st.data())
def test_a_damaged_manifest_is_refused_or_read_but_raises_no_other_error(prepared, copy, data):
    manifest = dict(prepared.manifest)
    name = data.draw(st.sampled_from(sorted(manifest)))
    manifest[name] = data.draw(st.sampled_from([None, [], {}, "x", -1, 0, 1.5, {"a": None}]))
    text = json.dumps(manifest)
    (copy / "manifest.json").write_text(text[: data.draw(st.sampled_from([len(text), len(text) // 2]))])
    with contextlib.suppress(InputError):
        open_prepared(copy)


def test_a_manifest_names_all_its_problems(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["flank"]
    manifest["nnz"] = "many"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"(?s)damaged.*nnz.*found 'many'.*flank: is missing.*Prepare the peaks again"):
        open_prepared(copy)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sequences.npy", lambda a: np.where(np.arange(a.shape[1]) == 7, np.int8(5), a), "peak 0, position 7: .* 0 to 4; found 5"),
        ("sequences.npy", lambda a: np.where(np.arange(a.shape[1]) == 7, np.int8(-1), a), "found -1"),
        ("sequences.npy", lambda a: a.astype(np.uint8), "type uint8; expected int8"),
        ("sequences.npy", np.asfortranarray, "Fortran order"),
        ("indices.npy", lambda a: a.astype(np.float32), "type float32; expected int32"),
        ("indices.npy", lambda a: a.astype(">i4"), "type >i4; expected int32"),
        ("indices.npy", lambda a: np.where(np.arange(len(a)) == 3, np.int32(40), a), "between 0 and 39"),
        ("indices.npy", lambda a: np.r_[a[0], a[0], a[2:]], "must ascend"),
        ("indptr.npy", lambda a: np.r_[a[:5], a[6], a[5], a[7:]], "does not divide"),
        ("indptr.npy", lambda a: np.r_[a[:5], a[5] + 1, a[6:]], "must ascend|n_open_cells is not what"),
        ("indptr.npy", lambda a: a - 1, "does not divide"),
    ],
)
def test_values_that_no_preparation_writes_are_refused_even_if_the_manifest_fits(prepared, tmp_path, name, change, message):
    def write(file):
        array = change(np.load(file))
        np.save(file, array)

    with pytest.raises(InputError, match=message):
        open_prepared(rewritten(prepared, tmp_path / "forged", name, write))


def test_tables_that_contradict_the_manifest_are_refused(prepared, tmp_path):
    def move_to_test(file):
        peaks = pd.read_parquet(file)
        peaks["split"] = peaks["split"].where(np.arange(60) > 2, "test")
        peaks.to_parquet(file)

    with pytest.raises(InputError, match="has the splits .*its manifest says"):
        open_prepared(rewritten(prepared, tmp_path / "split", "peaks.parquet", move_to_test))

    def forget_depth(file):
        pd.read_parquet(file).drop(columns="n_open_peaks").to_parquet(file)

    with pytest.raises(InputError, match="lacks the columns n_open_peaks"):
        open_prepared(rewritten(prepared, tmp_path / "depth", "cells.parquet", forget_depth))


def test_a_pickle_is_never_loaded(prepared, tmp_path):
    def write(file):
        buffer = io.BytesIO()
        np.save(buffer, np.array([{}]), allow_pickle=True)
        file.write_bytes(buffer.getvalue())

    with pytest.raises(InputError, match=r"indices\.npy cannot be read"):
        open_prepared(rewritten(prepared, tmp_path / "forged", "indices.npy", write))


@pytest.mark.parametrize("n_bytes", [1, 2, 5, 1000])
def test_cells_are_checked_across_the_borders_of_blocks_as_by_a_plain_loop(monkeypatch, tmp_path, n_bytes):
    monkeypatch.setattr(prepared_files, "_BYTES_AT_ONCE", n_bytes)
    rng = np.random.default_rng(n_bytes)
    for _ in range(100):
        rows = [np.flatnonzero(rng.random(4) < 0.5) for _ in range(rng.integers(1, 8))]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        indices = np.concatenate(rows).astype(np.int32)
        if len(indices):
            indices[rng.integers(len(indices))] = rng.integers(-1, 6)
        is_right = all((np.diff(row) > 0).all() and set(row) <= set(range(4)) for row in np.split(indices, indptr[1:-1]))
        try:
            prepared_files.check_values(tmp_path, 4, np.zeros((len(rows), 3), np.int8), indptr, indices)
        except InputError:
            assert not is_right
        else:
            assert is_right


def test_a_file_that_is_written_to_while_it_is_in_use_is_noticed_and_a_replaced_one_is_read_as_it_was(copy):
    opened = open_prepared(copy)
    opened.require_unchanged()
    before = opened.sequences.copy()
    (copy / "new.npy").write_bytes(b"")
    (copy / "new.npy").rename(copy / "sequences.npy")
    opened.require_unchanged()
    np.testing.assert_array_equal(opened.sequences, before)
    with open(copy / "indices.npy", "r+b") as file:
        file.seek(200)
        file.write(b"\1")
    with pytest.raises(InputError, match=r"indices\.npy was changed while it was in use"):
        opened.require_unchanged()


def test_open_peaks_of_each_cell_are_counted_in_blocks(prepared, monkeypatch):
    from scbasset_zoo.training import dataset

    monkeypatch.setattr(dataset, "PEAKS_AT_ONCE", 7)
    rows = prepared.rows("train")
    np.testing.assert_array_equal(prepared.count_open_peaks(rows), np.asarray(prepared.labels(rows).sum(axis=0)).ravel())
