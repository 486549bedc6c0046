"""Untrusted YAML is read in a time that grows no faster than its length."""

import pytest

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.plain_yaml import load


@pytest.mark.parametrize(
    "number",
    [
        "1:" * 1_000_000 + "1",
        "1:" * 1_000_000 + "1.5",
        "0x" + "f" * 1_000_000,
        "9" * 5_000,
        "-" + "1_" * 300 + "1",
        "0b" + "1" * 500,
    ],
)
def test_long_numbers_are_refused_with_their_line(number):
    with pytest.raises(PackageError, match=r"card.yaml, line 2: a number has [\d,]+ characters"):
        load(f"a: 1\nb: {number}", "card.yaml")


def test_numbers_are_read():
    assert load("[1, -20, 0x1F, 1:30, 0b11, 1_000, 1.5, 1:30.5]", "x") == [1, -20, 31, 90, 3, 1000, 1.5, 90.5]


def test_many_small_parts_are_refused():
    with pytest.raises(PackageError, match=r"more than 500,000 keys and values"):
        load("[" + "1," * 600_000 + "]", "card.yaml")


def test_a_number_of_base_60_that_no_float_can_hold_is_refused():
    with pytest.raises(PackageError, match="holds an impossible value"):
        load("a: " + "1:" * 195 + "1.5", "card.yaml")
