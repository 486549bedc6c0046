"""The digest line of a card, and the digest of the order of cells and peaks."""

import hashlib

import pytest
import yaml
from helpers.card_fields import card_fields

from scbasset_zoo.errors import InputError
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.digests import order_digest, seal, unseal


def test_the_digest_line_is_sha256_of_all_that_is_above_it():
    text = Card.from_fields(card_fields(description="Zellen, größer als 1 µm")).to_yaml()
    raw = seal(text)
    assert raw == text.encode() + b"digest: " + hashlib.sha256(text.encode()).hexdigest().encode() + b"\n"
    assert unseal(raw) == (text, None)
    assert yaml.safe_load(raw)["digest"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
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
def test_a_changed_digest_line_or_card_is_noticed(change, message):
    problem = unseal(change(seal(Card.from_fields(card_fields()).to_yaml())))[1]
    assert message in problem
    assert "scbasset-zoo seal" in problem


def test_order_digest_is_sha256_of_the_joined_names_and_depends_on_their_order():
    assert order_digest(["AC-1", "GT-1"]) == hashlib.sha256(b"AC-1\nGT-1").hexdigest()
    assert order_digest(["GT-1", "AC-1"]) != order_digest(["AC-1", "GT-1"])
    with pytest.raises(InputError, match="line break"):
        order_digest(["AC-1\nGT-1"])
