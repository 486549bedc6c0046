"""The record of a run: runs of earlier versions are read with today's names."""

import json

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.training.run_folder import read_record, write_record


def test_a_record_of_an_earlier_version_is_read_with_todays_names(tmp_path):
    record = {"options": {"bottleneck": 8, "width": 0.5}, "architecture": {"n_cells": 3, "bottleneck": 8}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    expected = {"options": {"embedding_size": 8, "width": 0.5}, "architecture": {"n_cells": 3, "embedding_size": 8}}
    assert read_record(tmp_path) == expected
    write_record(tmp_path, expected)
    assert read_record(tmp_path) == expected


@pytest.mark.parametrize("content", [None, "{"])
def test_another_folder_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="is not the folder of a training run"):
        read_record(tmp_path)
