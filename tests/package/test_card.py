"""The model card: what it accepts, what it refuses, and that it reports all problems at once."""

import datetime

import pytest
import yaml
from helpers.card_fields import ENTRY, card_fields

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import MAX_BYTES, Card


def changed(path, value):
    """The fields with one of them set."""
    card = card_fields()
    *parents, last = path
    place = card
    for key in parents:
        place = place[key]
    place[last] = value
    return card


def test_a_card_survives_yaml_unchanged_and_in_the_schemas_order():
    verdict = {"learnt": "depth", "split": "test", "p_sequence": 0.5, "p_cells": 0.001, "p_depth": 1.0, "statement": "Only depth."}
    card = Card.from_fields(card_fields(verdict=verdict))
    text = card.to_yaml()
    assert Card.from_yaml(text) == card
    assert Card.from_yaml(text).to_yaml() == text
    assert list(yaml.safe_load(text)) == list(Card.model_fields)


def test_a_card_without_the_facts_that_an_imported_model_lacks_is_accepted():
    card = {
        name: value
        for name, value in card_fields().items()
        if name not in ("training", "evaluation", "peaks", "batch_correction", "lineage")
    }
    del card["files"]["peaks.parquet"]
    assert Card.from_yaml(Card.from_fields(card).to_yaml()).training is None


def test_a_card_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Card.from_fields(card_fields()).version = "2.0.0"


def test_every_problem_is_reported_at_once():
    card = card_fields(version="1", license="apache-2.0", colour="blue")
    card["authors"] = [{"name": "TODO"}]
    card["genome"]["chromosome_sizes"]["chr2"] = -4
    card["training"]["wall_tiem"] = 3
    del card["limits"]
    card["files"]["model.onnx"]["sha256"] = "xyz"
    with pytest.raises(PackageError) as caught:
        Card.from_fields(card)
    lines = str(caught.value).splitlines()
    assert lines[0] == "The model card has 8 problems:"
    places = {line.split(":")[0].strip() for line in lines[1:]}
    assert places == {
        "version",
        "license",
        "colour",
        "authors.0.name",
        "genome.chromosome_sizes.chr2",
        "training.wall_tiem",
        "limits",
        "files.model.onnx.sha256",
    }


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema_version",), "2.0", "schema_version"),
        (("id",), "../up", "id"),
        (("id",), "a//b", "id"),
        (("version",), 1.0, "version"),
        (("created",), "yesterday", "created"),
        (("created",), datetime.date(2026, 1, 1).isoformat(), "created"),
        (("description",), "", "empty or a placeholder"),
        (("description",), "  \n", "empty or a placeholder"),
        (("description",), "...", "empty or a placeholder"),
        (("limits",), "FIXME: think", "placeholder"),
        (("limits",), "see XXX below", "placeholder"),
        (("intended_use",), "TBD", "placeholder"),
        (("authors",), [], "authors"),
        (("authors", 0, "orcid"), "0000", "authors.0.orcid"),
        (("license",), "MIT License", "SPDX"),
        (("license",), "GPL", "not an SPDX licence expression"),
        (("license",), "mit", "spelt 'MIT'"),
        (("license",), "Apache-2.0 AND", "SPDX"),
        (("citation", 0, "doi"), "https://doi.org/10.1038/x", "doi"),
        (("data", "citation", 0, "url"), "ftp://x.org/a", "url"),
        (("input", "length"), 0, "input.length"),
        (("input", "length"), True, "input.length"),
        (("input", "n_policy"), "random base", "n_policy"),
        (("outputs",), [], "outputs"),
        (("architecture", "opset"), "17", "opset"),
        (("genome", "chromosome_sizes"), {}, "chromosome_sizes"),
        (("cells", "default_group"), "tissue", "none of the cells' columns"),
        (("cells", "order_sha256"), "B" * 64, "order_sha256"),
        (("evaluation", 0, "value"), float("nan"), "value"),
        (("tests", "rtol"), -1.0, "rtol"),
        (("training", "hyperparameters", "x"), {"deep": 1}, "hyperparameters.x"),
        (("training", "hyperparameters", "x"), "TODO", "placeholder"),
        (("training", "hyperparameters", "x"), float("inf"), "finite"),
        (("lineage", "parent", "card_sha256"), "e" * 63, "card_sha256"),
        (("lineage", "n_new_cells"), 0, "n_new_cells"),
        (("lineage", "n_new_cells"), 6, "6 new cells, more than the 5 cells of the model"),
        (("lineage", "settings"), {"ridge": {"of": 1}}, "settings.ridge"),
        (("files", "../model.onnx"), ENTRY, "relative path"),
        (("files", "/etc/passwd"), ENTRY, "relative path"),
        (("files", "a\\b"), ENTRY, "relative path"),
        (("files", "C:x"), ENTRY, "relative path"),
        (("files", "tests//x"), ENTRY, "relative path"),
        (("files", "./x"), ENTRY, "relative path"),
        (("files", "card.yaml"), ENTRY, "its own hash"),
        (("files",), {"model.onnx": ENTRY}, "peaks.parquet"),
        (("peaks",), None, "peaks.parquet"),
    ],
)
def test_a_wrong_field_is_refused_by_name(path, value, message):
    with pytest.raises(PackageError, match=message):
        Card.from_fields(changed(path, value))


def test_words_that_merely_contain_a_placeholder_are_fine():
    assert Card.from_fields(card_fields(description="The XXXL mastodon, todos los datos ...")).id == "scbasset/blood"


@pytest.mark.parametrize(
    "license",
    ["(MIT OR Apache-2.0)", "LicenseRef-Institute", "GPL-2.0-only WITH Classpath-exception-2.0", "0BSD", "EUPL-1.2", "NOASSERTION"],
)
def test_spdx_expressions_are_accepted(license):
    card = Card.from_fields(card_fields(license=license))
    assert Card.from_yaml(card.to_yaml()).license == license


@pytest.mark.parametrize(
    "license", ["Apache-3.0", "CC-BY", "public domain", "LicenseRef-", "MIT OR", "MIT AND NOASSERTION", "(" * 99]
)
def test_licences_that_spdx_does_not_have_are_refused(license):
    with pytest.raises(PackageError, match=r"license: .*SPDX"):
        Card.from_fields(card_fields(license=license))


def test_tags_are_short_words_and_survive():
    assert Card.from_yaml(Card.from_fields(card_fields(tags=["human", "10x", "bone-marrow"])).to_yaml()).tags == (
        "human",
        "10x",
        "bone-marrow",
    )
    assert Card.from_fields(card_fields()).tags == ()
    for tag in ("Human", "bone marrow", "-x", "x" * 41, "", "a\n", 7):
        with pytest.raises(PackageError, match=r"tags\.0"):
            Card.from_fields(card_fields(tags=[tag]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1", "mapping"),
        ("", "mapping"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: 1\na: 2", "line 2: the key 'a' is given twice"),
        ("1: a", "must be a text"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("created: 2026-13-45", "impossible value"),
        ("a: " + "[" * 100, "nested more than 16 deep"),
        ("a: " + "[" * 50_000, "nest"),
        ("a: " + "x" * MAX_BYTES, "at most"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_dangerous_or_misleading_yaml_is_refused(text, message):
    with pytest.raises(PackageError, match=message):
        Card.from_yaml(text)
