"""An index from anywhere is checked before it is used."""

from __future__ import annotations

import json

import pytest

from scbasset_zoo.errors import PackageError, SourceError
from scbasset_zoo.zoo.index import Index, check_id
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
        ({"id": "../blood"}, "must match the pattern"),
        ({"id": "lab/blood/0.10.0-abc"}, "looks like a version"),
        ({"version": "../1.0.0"}, "must match the pattern"),
        ({"mirror": "x"}, "unknown key; remove it or check its spelling"),
        ({"card_sha256": "0" * 64}, "files must list card.yaml"),
        ({"recipe": {"path": "r.yaml", "sha256": "0" * 64}}, "has a recipe, so it cannot have path"),
        ({"files": {"../../.bashrc": {"bytes": 1, "sha256": "0" * 64}}}, "must be a plain relative path"),
        ({"files": {"/etc/cron.d/x": {"bytes": 1, "sha256": "0" * 64}}}, "must be a plain relative path"),
        ({"files": {"model.onnx": {"bytes": -1, "sha256": "0" * 64}}}, "must be at least 0"),
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


@pytest.mark.parametrize("model_id", ["lab/recipe.yaml", "index.json", "lab/CON", "nul.x/a", "lab/a.", "LAB/blood"])
def test_only_an_entry_with_a_reserved_id_is_left_out(lab, model_id, capsys):
    fields = json.loads((lab / "index.json").read_text())
    fields["models"].append(fields["models"][0] | {"id": model_id, "version": "7.0.0"})
    index = Index.parse(json.dumps(fields).encode(), "there")
    assert len(index.models) == len(fields["models"]) - 1
    assert model_id not in {entry.id for entry in index.models}
    assert "there: a model is left out" in capsys.readouterr().err


def test_a_package_with_a_reserved_id_gets_no_entry():
    with pytest.raises(PackageError, match="reserved"):
        check_id("lab/recipe.yaml")


def test_many_unknown_keys_give_a_short_error():
    raw = json.dumps({f"key{n}": 1 for n in range(5_000)}).encode()
    with pytest.raises(PackageError, match="and 4,980 more") as error:
        Index.parse(raw, "there")
    assert len(str(error.value)) < 3_000


def _with_entries(lab, change):
    fields = json.loads((lab / "index.json").read_text())
    change(fields)
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.update(models=fields["models"][:1] * 10_001), "has 10,001 members, more than 10,000"),
        (lambda fields: fields["models"][0]["tags"].extend(["a"] * 100_000), "members, more than 10,000"),
        (lambda fields: fields.update({str(n): 1 for n in range(100_000)}), "has 100,002 members, more than 10,000"),
        (lambda fields: fields["models"][0]["tags"].extend(["a"] * 51), "models.0.tags: must have 50 or fewer entries"),
        (
            lambda fields: fields["models"][0]["files"].update({f"{n}": {"bytes": 1, "sha256": "0" * 64} for n in range(1001)}),
            "models.0.files: must have 1000 or fewer entries",
        ),
        (lambda fields: fields["models"][0]["files"]["card.yaml"].update(bytes=2**53), "less than 9007199254740992"),
        (lambda fields: fields["models"][0].update(n_cells=10**4000), "less than 9007199254740992"),
    ],
)
def test_the_entries_of_an_index_and_their_parts_are_bounded(lab, change, message):
    with pytest.raises(PackageError, match="there cannot be used") as error:
        Index.parse(_with_entries(lab, change), "there")
    assert message in str(error.value)
    assert len(str(error.value)) < 10_000


def test_only_the_first_wrong_entry_is_described(lab):
    raw = _with_entries(lab, lambda fields: fields.update(models=[{}] * 9_000))
    with pytest.raises(PackageError, match=r"models\.0\.id: is missing") as error:
        Index.parse(raw, "there")
    assert "models.1" not in str(error.value)


def test_an_index_of_many_models_is_read(lab):
    def many(fields):
        fields["models"] = [fields["models"][0] | {"id": f"lab/m{number}"} for number in range(2_000)]

    assert len(Index.parse(_with_entries(lab, many), "there").models) == 2_000
