"""Packages with a card of an earlier schema version open, verify and predict the same; newer cards ask for an update."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import toy
from helpers.card_fields import card_fields
from helpers.forgery import change_card
from helpers.rounding import ROUNDING

from scbasset_zoo.errors import PackageError
from scbasset_zoo.inputs import dna
from scbasset_zoo.package import Package, seal_package, verify_package
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.card_versions import CURRENT, to_current
from scbasset_zoo.package.digests import seal, unseal
from scbasset_zoo.package.test_vectors import read_expected, read_sequences
from scbasset_zoo.zoo.models import open_model

BUNDLED = Path(__file__).parents[2] / "model_cards/scbasset/demo/0.1.0"
PENALTIES = {"l2_cell": 1e-6, "l2_batch": 0.0}


def as_1_0(card):
    """Turn the fields of a card into those of a card of version 1.0."""
    card["schema_version"] = "1.0"
    card.pop("gauge", None)
    card.pop("lineage", None)
    for old, new in (("lambda_cell", "l2_cell"), ("lambda_batch", "l2_batch")):
        card["batch_correction"][old] = card["batch_correction"].pop(new)


def without_gauge(**changes):
    """Return the fields of a card that has no gauge and no lineage, as all before 1.3."""
    card = card_fields(**changes)
    del card["gauge"], card["lineage"]
    return card


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    """Folder of a batch-corrected package with a card of the current version, not to be changed."""
    folder = toy.toy_corrected_package(tmp_path_factory.mktemp("corrected") / "toy", gauge=False).folder
    change_card(folder, lambda card: card["batch_correction"].update(PENALTIES))
    return seal_package(folder).folder


@pytest.fixture
def old(corrected, tmp_path):
    """The same package as version 1.0 of the card described it."""
    folder = shutil.copytree(corrected, tmp_path / "old")
    text = unseal((folder / "card.yaml").read_bytes())[0]
    replaced = {"schema_version: '1.4'": "schema_version: '1.0'", "l2_cell:": "lambda_cell:", "l2_batch:": "lambda_batch:"}
    for new, former in replaced.items():
        assert text.count(new) == 1
        text = text.replace(new, former)
    (folder / "card.yaml").write_bytes(seal(text))
    return folder


def test_the_bundled_package_is_of_version_1_0_and_verifies():
    raw = (BUNDLED / "card.yaml").read_bytes()
    assert yaml.safe_load(raw)["schema_version"] == "1.0"
    package = Package.open(BUNDLED)
    assert package.card.schema_version == CURRENT
    assert package.card_sha256 == hashlib.sha256(raw).hexdigest()
    assert verify_package(BUNDLED) == []


def test_the_bundled_package_predicts_what_it_did_when_it_was_made():
    card = Package.open(BUNDLED).card
    cells, expected = read_expected(BUNDLED, card)
    sequences = [dna.decode(codes) for codes in read_sequences(BUNDLED, card)]
    model = open_model(BUNDLED, "cpu")
    np.testing.assert_allclose(model.logits(sequences)[:, cells], expected["logits"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.accessibility(sequences)[:, cells], expected["accessibility"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.embed(sequences), expected["peak_embedding"], rtol=1e-3, atol=1e-4)


def test_a_batch_corrected_package_of_version_1_0_opens_verifies_and_predicts_the_same(old, corrected):
    batch_correction = Package.open(old).card.batch_correction
    assert (batch_correction.l2_cell, batch_correction.l2_batch) == (1e-6, 0.0)
    assert verify_package(old) == []
    sequences = toy.random_sequences(2)
    models = [open_model(folder, "cpu") for folder in (old, corrected)]
    for output in ("logits", "accessibility", "embed"):
        np.testing.assert_allclose(*(getattr(model, output)(sequences) for model in models), atol=ROUNDING)


def test_sealing_writes_the_current_version(old, corrected):
    seal_package(old)
    for path in corrected.rglob("*"):
        assert path.is_dir() or (old / path.relative_to(corrected)).read_bytes() == path.read_bytes()


def test_a_card_of_version_1_0_becomes_the_same_card_as_one_of_the_current_version():
    former = card_fields()
    as_1_0(former)
    assert Card.from_fields(former) == Card.from_fields(card_fields(gauge=None, lineage=None))
    assert to_current(card_fields()) == card_fields()


def test_the_fields_that_are_converted_are_not_changed_themselves():
    former = card_fields()
    as_1_0(former)
    to_current(former)
    assert former["schema_version"] == "1.0"
    assert "lambda_cell" in former["batch_correction"]


@pytest.mark.parametrize("version", ["1.5", "1.10", "2.0"])
def test_a_newer_card_asks_for_an_update(folder, version):
    change_card(folder, lambda card: card.update(schema_version=version, new_field=1))
    with pytest.raises(PackageError, match=rf"card\.yaml: .*schema_version is '{version}'.*Update scbasset_zoo") as caught:
        Package.open(folder)
    assert "unknown key" not in str(caught.value)
    (finding,) = verify_package(folder)
    assert "Update scbasset_zoo" in finding.problem


@pytest.mark.parametrize("version", ["0.9", "1", "one", "", 1.0, 1.2, None, ["1.0"], {"1": 0}, "1.0\n", "9" * 5_000 + ".0"])
def test_a_version_that_does_not_exist_is_a_problem_of_the_card(version):
    with pytest.raises(PackageError, match=r"schema_version: must be '1\.4'"):
        Card.from_fields(card_fields(schema_version=version))


def test_a_card_without_a_version_is_incomplete():
    card = card_fields()
    del card["schema_version"]
    with pytest.raises(PackageError, match="schema_version: is missing"):
        Card.from_fields(card)


@pytest.mark.parametrize("kept", ["lambda_cell", None])
def test_names_of_version_1_1_are_unknown_keys_in_a_card_of_version_1_0(kept):
    card = without_gauge(schema_version="1.0", batch_correction={"column": "batch", "n_batches": 2, "l2_cell": 1e-6})
    if kept:
        card["batch_correction"][kept] = 1e-6
    with pytest.raises(PackageError, match=r"batch_correction\.l2_cell: unknown key in a card of schema_version '1\.0'"):
        Card.from_fields(card)


def test_names_of_version_1_0_are_unknown_keys_in_a_card_of_version_1_1():
    card = card_fields()
    card["batch_correction"]["lambda_cell"] = 1e-6
    with pytest.raises(PackageError, match=r"batch_correction\.lambda_cell: unknown key"):
        Card.from_fields(card)


@pytest.mark.parametrize("batch_correction", [None, 7, ["lambda_cell"]])
def test_a_batch_correction_of_another_type_is_left_to_the_check_of_the_card(batch_correction):
    former = without_gauge(schema_version="1.0", batch_correction=batch_correction)
    converted = to_current(former)
    assert converted["batch_correction"] == batch_correction


def test_a_card_of_version_1_1_is_a_card_without_baselines_and_verdict():
    assert Card.from_fields(without_gauge(schema_version="1.1")) == Card.from_fields(without_gauge())


def test_a_card_of_version_1_2_is_a_card_without_a_gauge():
    assert Card.from_fields(without_gauge(schema_version="1.2")) == Card.from_fields(without_gauge())
    with pytest.raises(PackageError, match=r"gauge: unknown key in a card of schema_version '1\.2'"):
        Card.from_fields(card_fields(schema_version="1.2"))


def test_a_card_of_version_1_3_is_a_card_without_a_lineage():
    former = card_fields(schema_version="1.3")
    del former["lineage"]
    assert Card.from_fields(former) == Card.from_fields(card_fields(lineage=None))
    with pytest.raises(PackageError, match=r"lineage: unknown key in a card of schema_version '1\.3'"):
        Card.from_fields(card_fields(schema_version="1.3"))


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("verdict", {"verdict": None}),
        (
            r"evaluation\[0\]\.baselines",
            {"evaluation": [{"metric": "AUROC", "split": "test", "value": 0.7, "n": 5, "baselines": {}}]},
        ),
    ],
)
def test_names_of_version_1_2_are_unknown_keys_in_a_card_of_version_1_1(place, fields):
    with pytest.raises(PackageError, match=rf"{place}: unknown key in a card of schema_version '1\.1'"):
        Card.from_fields(without_gauge(schema_version="1.1", **fields))
