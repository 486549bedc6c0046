"""An index from anywhere is checked before it is used."""

from __future__ import annotations

import json

import pytest

from scbasset_zoo.errors import PackageError, SourceError
from scbasset_zoo.zoo.index import Index
from scbasset_zoo.zoo.models import find_package, list_models


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "../elsewhere"}, "must be a plain relative path"),
        ({"path": "/etc"}, "must be a plain relative path"),
        ({"path": "https://example.org/x"}, "must be a plain relative path"),
        ({"path": "file:///etc"}, "must be a plain relative path"),
        ({"path": "a/../../b"}, "must be a plain relative path"),
        ({"path": "C:\\models"}, "must be a plain relative path"),
        ({"path": ".."}, "must be a plain relative path"),
        ({"id": "../blood"}, "should match pattern"),
        ({"id": "lab/blood/0.10.0-abc"}, "looks like a version"),
        ({"version": "../1.0.0"}, "should match pattern"),
        ({"mirror": "x"}, "unknown key; remove it or check its spelling"),
        ({"card_sha256": "0" * 64}, "files must list card.yaml"),
        ({"recipe": {"path": "r.yaml", "sha256": "0" * 64}}, "has a recipe, so it cannot have path"),
        ({"files": {"../../.bashrc": {"bytes": 1, "sha256": "0" * 64}}}, "must be a plain relative path"),
        ({"files": {"/etc/cron.d/x": {"bytes": 1, "sha256": "0" * 64}}}, "must be a plain relative path"),
        ({"files": {"model.onnx": {"bytes": -1, "sha256": "0" * 64}}}, "greater than or equal to 0"),
        ({"license": "my own"}, "SPDX"),
    ],
)
def test_an_entry_with_a_wrong_field_is_refused_with_the_reason(lab, change, message):
    fields = json.loads((lab / "index.json").read_text())
    fields["models"][1] |= change
    (lab / "index.json").write_text(json.dumps(fields))
    with pytest.raises(SourceError, match="Source bundled could not be read") as error:
        find_package("lab/blood")
    assert message in str(error.value)
    assert "models.1" in str(error.value)
    with pytest.raises(PackageError, match="cannot be used"):
        list_models()


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'{"schema_version": "2.0", "models": []}', b"[" * 100_000])
def test_a_file_that_is_not_an_index_is_refused(raw):
    with pytest.raises(PackageError, match="index.json cannot be used"):
        Index.parse(raw, "index.json")
