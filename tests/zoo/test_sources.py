"""Sources: zoo.yaml, and the indexes of sources."""

from __future__ import annotations

import pytest

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.zoo.models import find_package


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: {lab: {place: x}}", "unknown key; remove it or check its spelling"),
        ("sources: {lab: x}", "sources.lab"),
        ("sources: {'a b': {location: x}}", "must match the pattern"),
        ("sources: [", "is not valid YAML"),
        ("a: &a [x]\nsources: *a", "anchors and aliases"),
        ("sources: {}\nsources: {}", "the key 'sources' is given twice"),
        ("sources: {lab: {location: x, location: y}}", "the key 'location' is given twice"),
        ("sources: {[a]: {location: x}}", "must be a text"),
        ("[" * 5_000, "nested more than 16 deep"),
    ],
)
def test_a_zoo_yaml_with_problems_is_refused(configure, tmp_path, text, message):
    configure()
    (tmp_path / "config/zoo.yaml").write_text(text)
    with pytest.raises(PackageError, match="zoo.yaml") as error:
        sz.list_models()
    assert message in str(error.value)


def test_a_variable_names_zoo_yaml_and_the_file_must_exist(configure, lab, tmp_path):
    configure(bundled="../lab")
    assert find_package("lab/brain").card.id == "lab/brain"
    (tmp_path / "config/zoo.yaml").unlink()
    with pytest.raises(InputError, match="SCBASSET_ZOO_CONFIG is"):
        find_package("lab/brain")


def test_a_source_without_an_index_is_an_error(web):
    (web.folder / "index.json").unlink()
    with pytest.raises(SourceError, match=r"index.json: there is nothing at this address"):
        sz.list_models()
