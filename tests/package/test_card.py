"""The model card: what it accepts, what it refuses, and that it says everything at once."""

import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.package.card import MAX_BYTES, Card
from scbasset_zoo.package.digests import order_digest, seal, unseal

ENTRY = {"bytes": 1, "sha256": "a" * 64}


def fields(**changes):
    return {
        "schema_version": "1.0",
        "id": "scbasset/blood",
        "version": "1.2.0",
        "created": datetime.date(2026, 1, 31),
        "description": "Haematopoietic cells.",
        "authors": [{"name": "Ada Example", "affiliation": "Somewhere", "orcid": "0000-0002-1825-0097"}],
        "license": "CC-BY-4.0",
        "citation": [{"text": "A paper", "doi": "10.1038/s41592-022-01562-8"}],
        "data": {
            "description": "scATAC-seq",
            "license": "NOASSERTION",
            "citation": [{"text": "Data paper", "url": "https://example.org/x"}],
            "accessions": ["GSE96769"],
        },
        "input": {
            "name": "sequence",
            "length": 1344,
            "alphabet": "ACGT",
            "n_policy": "0.25 in each channel",
            "window": "centred",
        },
        "outputs": [{"name": name, "meaning": "m"} for name in ("accessibility", "logits", "peak_embedding")],
        "architecture": {
            "name": "scBasset",
            "embedding_size": 32,
            "n_parameters": 4_513_960,
            "opset": 17,
            "producer": "tf2onnx",
            "software": {"tensorflow": "2.21"},
        },
        "genome": {"assembly": "hg19", "naming": "ucsc", "chromosome_sizes": {"chr1": 249_250_621}},
        "cells": {"n_cells": 5, "order_sha256": "b" * 64, "columns": {"cell_type": "type"}, "default_group": "cell_type"},
        "peaks": {"n_peaks": 9, "order_sha256": "c" * 64, "columns": {"chrom": "chromosome"}},
        "batch_correction": {"column": "batch", "n_batches": 2, "lambda_cell": 1e-6, "lambda_batch": 0.0},
        "training": {
            "sources": [{"name": "x.h5ad", "bytes": 3, "sha256": "d" * 64}],
            "split": {"method": "random", "train": 7, "validation": 1, "test": 1},
            "seed": 1,
            "hyperparameters": {"learning_rate": 0.01, "filters": [288, 323], "shuffle": True, "optimiser": "Adam"},
            "epochs": 10,
            "stopped_because": "no better for 50 epochs",
            "hardware": "1 GPU",
            "wall_time": 12.5,
        },
        "evaluation": [{"metric": "AUROC per cell", "split": "test", "value": 0.7, "n": 5}],
        "intended_use": "Research.",
        "limits": "Human blood only.",
        "tests": {"n_sequences": 4, "rtol": 1e-3, "atol": 1e-4},
        "files": {
            name: dict(ENTRY)
            for name in (
                "model.onnx",
                "cells.parquet",
                "peaks.parquet",
                "tests/sequences.txt",
                "tests/expected.npz",
                "README.md",
            )
        },
    } | changes


def changed(path, value):
    """The fields with one of them set."""
    card = fields()
    *parents, last = path
    place = card
    for key in parents:
        place = place[key]
    place[last] = value
    return card


def test_a_card_survives_yaml_unchanged_and_in_the_schemas_order():
    card = Card.from_fields(fields())
    text = card.to_yaml()
    assert Card.from_yaml(text) == card
    assert Card.from_yaml(text).to_yaml() == text
    assert list(yaml.safe_load(text)) == list(Card.model_fields)


def test_a_card_without_the_facts_that_an_imported_model_lacks_is_accepted():
    card = {name: value for name, value in fields().items() if name not in ("training", "evaluation", "peaks", "batch_correction")}
    del card["files"]["peaks.parquet"]
    assert Card.from_yaml(Card.from_fields(card).to_yaml()).training is None


def test_a_card_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Card.from_fields(fields()).version = "2.0.0"


def test_every_problem_is_reported_at_once():
    card = fields(version="1", license="apache-2.0", colour="blue")
    card["authors"] = [{"name": "TODO"}]
    card["genome"]["chromosome_sizes"]["chr2"] = -4
    card["training"]["wall_tiem"] = 3
    del card["limits"]
    card["files"]["model.onnx"]["sha256"] = "xyz"
    with pytest.raises(PackageError) as caught:
        Card.from_fields(card)
    lines = str(caught.value).splitlines()
    assert lines[0] == "The model card has 8 problems:"
    found = {line.split(":")[0].strip() for line in lines[1:]}
    assert found == {
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
    assert Card.from_fields(fields(description="The XXXL mastodon, todos los datos ...")).id == "scbasset/blood"


@pytest.mark.parametrize(
    "license",
    ["(MIT OR Apache-2.0)", "LicenseRef-Institute", "GPL-2.0-only WITH Classpath-exception-2.0", "0BSD", "EUPL-1.2", "NOASSERTION"],
)
def test_spdx_expressions_are_accepted(license):
    card = Card.from_fields(fields(license=license))
    assert Card.from_yaml(card.to_yaml()).license == license


@pytest.mark.parametrize(
    "license", ["Apache-3.0", "CC-BY", "public domain", "LicenseRef-", "MIT OR", "MIT AND NOASSERTION", "(" * 99]
)
def test_licences_that_spdx_does_not_have_are_refused(license):
    with pytest.raises(PackageError, match=r"license: .*SPDX"):
        Card.from_fields(fields(license=license))


def test_tags_are_short_words_and_survive():
    assert Card.from_yaml(Card.from_fields(fields(tags=["human", "10x", "bone-marrow"])).to_yaml()).tags == (
        "human",
        "10x",
        "bone-marrow",
    )
    assert Card.from_fields(fields()).tags == ()
    for tag in ("Human", "bone marrow", "-x", "x" * 41, "", "a\n", 7):
        with pytest.raises(PackageError, match=r"tags\.0"):
            Card.from_fields(fields(tags=[tag]))


def test_the_digest_line_is_sha256_of_all_that_is_above_it():
    text = Card.from_fields(fields(description="Zellen, größer als 1 µm")).to_yaml()
    raw = seal(text)
    assert raw == text.encode() + b"digest: " + hashlib.sha256(text.encode()).hexdigest().encode() + b"\n"
    assert unseal(raw) == (text, None)
    assert yaml.safe_load(raw)["digest"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw[:-73], "the last line must be"),
        (lambda raw: raw[:-1], "the last line must be"),
        (lambda raw: raw + b"limits: none\n", "the last line must be"),
        (lambda raw: raw[:-74] + raw[-73:], "the last line must be"),
        (lambda raw: raw.replace(b"blood", b"bloop"), "changed or damaged"),
        (lambda raw: raw[:-65] + raw[-65:].upper(), "changed or damaged"),
        (lambda raw: raw.replace(b"\n", b"\r\n", 1), "changed or damaged"),
        (lambda raw: b"", "the last line must be"),
    ],
)
def test_a_changed_digest_line_or_card_is_noticed(change, said):
    problem = unseal(change(seal(Card.from_fields(fields()).to_yaml())))[1]
    assert said in problem
    assert "scbasset-zoo seal" in problem


def test_the_published_json_schema_is_current():
    published = (Path(__file__).parents[2] / "docs/card.schema.json").read_text()
    done = subprocess.run([sys.executable, "-m", "scbasset_zoo.package.card_schema"], capture_output=True, text=True, check=True)
    assert published == done.stdout, "run: python -m scbasset_zoo.package.card_schema > docs/card.schema.json"
    schema = json.loads(published)
    assert set(schema["properties"]) == {*Card.model_fields, "digest"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["schema_version"]["const"] == "1.0"
    assert schema["properties"]["created"]["format"] == "date"
    assert all(section["additionalProperties"] is False for section in schema["$defs"].values() if section["type"] == "object")


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
        ("a: " + "[" * 50_000, "nested"),
        ("a: " + "x" * MAX_BYTES, "at most"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_yaml_that_could_harm_or_mislead_is_refused(text, message):
    with pytest.raises(PackageError, match=message):
        Card.from_yaml(text)


def test_order_digest_is_sha256_of_the_joined_names_and_depends_on_their_order():
    assert order_digest(["AC-1", "GT-1"]) == hashlib.sha256(b"AC-1\nGT-1").hexdigest()
    assert order_digest(["GT-1", "AC-1"]) != order_digest(["AC-1", "GT-1"])
    with pytest.raises(InputError, match="line break"):
        order_digest(["AC-1\nGT-1"])
