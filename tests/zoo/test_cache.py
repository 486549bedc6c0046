"""The cache on disk."""

from __future__ import annotations

import pytest
from helpers.zoo_fixtures import NAME

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError


def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_variable(web, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / place))
        with pytest.raises(InputError, match=rf"The cache {tmp_path / place} cannot be written: .*Set SCBASSET_ZOO_CACHE"):
            sz.pull(NAME)
