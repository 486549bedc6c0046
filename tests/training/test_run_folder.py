"""The record of a run: runs of earlier versions are read with today's names."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.training.run_folder import (
    HISTORY,
    check_state,
    checked_record,
    open_run,
    read_history,
    read_record,
    write_history,
    write_record,
)
from scbasset_zoo.training.train_options import TrainingOptions

RECORD = {
    "status": "finished",
    "data": {"folder": "/data", "manifest_sha256": "0" * 64},
    "options": {"epochs": 3},
    "precision": "float32",
    "architecture": {"n_cells": 3, "n_batches": 0, "embedding_size": 8, "width": 0.5, "sequence_length": 1344},
    "n_trainable": 10,
    "versions": {"python": "3.11"},
    "hardware": "2 CPU cores",
}


def test_a_record_of_an_earlier_version_is_read_with_todays_names(tmp_path):
    record = {"options": {"bottleneck": 8, "width": 0.5}, "architecture": {"n_cells": 3, "bottleneck": 8}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    expected = {"options": {"embedding_size": 8, "width": 0.5}, "architecture": {"n_cells": 3, "embedding_size": 8}}
    assert read_record(tmp_path) == expected
    write_record(tmp_path, expected)
    assert read_record(tmp_path) == expected


@pytest.mark.parametrize("content", [None, "{", "[]", "null", "\x00", "[" * 100_000])
def test_another_folder_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="is not the folder of a training run"):
        read_record(tmp_path)


def test_a_damaged_record_names_all_its_problems(tmp_path):
    write_record(tmp_path, RECORD)
    checked_record(tmp_path)
    wrong = RECORD | {"status": "done", "architecture": {**RECORD["architecture"], "n_cells": "many"}, "options": {"epochs": -1}}
    del wrong["precision"]
    write_record(tmp_path, wrong)
    with pytest.raises(InputError) as caught:
        open_run(tmp_path)
    for problem in ("run.json is damaged", "status: ", "precision: is missing", "architecture.n_cells: ", "options.epochs: "):
        assert problem in str(caught.value)


def rows(*epochs):
    return [dict.fromkeys(HISTORY, 0.5) | {"epoch": epoch} for epoch in epochs]


@given(value=st.floats(allow_infinity=False))
@settings(max_examples=30, deadline=None)
def test_the_history_keeps_every_digit(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("run")
    written = [row | {"loss": value} for row in rows(1, 2)]
    write_history(folder, written)
    pd.testing.assert_frame_equal(read_history(folder), pd.DataFrame(written), check_exact=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "history.csv cannot be read"),
        (b"\xff\xfe\x00", "history.csv"),
        (b"epoch,loss\n1,0.5\n", "expected numbers in the columns epoch, loss, auroc"),
        (",".join(HISTORY).encode() + b"\n1,x,1,1,1,1,1\n", "expected numbers"),
    ],
)
def test_a_damaged_history_is_refused(tmp_path, content, message):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_history(tmp_path)


def test_a_history_with_a_gap_is_refused_and_one_that_starts_later_is_read(tmp_path):
    write_history(tmp_path, rows(5, 6))
    assert read_history(tmp_path)["epoch"].tolist() == [5, 6]
    write_history(tmp_path, rows(1, 3))
    with pytest.raises(InputError, match="the epochs are not consecutive"):
        read_history(tmp_path)


def test_fields_that_may_be_missing_are_filled_in(tmp_path):
    write_record(tmp_path, RECORD)
    record = checked_record(tmp_path)
    assert (record["stopped_because"], record["seconds"]) == ("", 0.0)
    assert record["options"] == TrainingOptions(epochs=3).model_dump()
    assert record["architecture"] == RECORD["architecture"]


@pytest.mark.parametrize("changes", [5, [5], [{"option": "x"}], [{"option": "x", "before": [], "after_epoch": 1}]])
def test_changed_options_of_another_form_are_damage(tmp_path, changes):
    write_record(tmp_path, RECORD | {"changed_options": changes})
    with pytest.raises(InputError, match=r"run.json is damaged:\n  changed_options"):
        checked_record(tmp_path)


NUMBERS = {"epoch": 3, "step": 0, "best_epoch": 2, "best_auroc": 0.7, "loss_sum": 0.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("epoch", "step", "best_epoch") for value in (-1, 1.5, True, "1", None, 2**31, float("nan"))]
    + [(name, value) for name in ("best_auroc", "loss_sum") for value in (float("nan"), True, "1", None)],
)
def test_impossible_numbers_of_a_checkpoint_are_damage(tmp_path, name, value):
    path = tmp_path / "checkpoint.npz"
    check_state(path, {}, NUMBERS | {"best_auroc": float("-inf")}, tuple(NUMBERS))
    with pytest.raises(InputError, match=f"checkpoint.npz is damaged: it does not give {name}"):
        check_state(path, {}, NUMBERS | {name: value}, tuple(NUMBERS))
