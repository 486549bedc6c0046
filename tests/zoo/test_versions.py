"""The order of versions."""

from __future__ import annotations

import pytest

from scbasset_zoo.zoo.versions import version_order


def test_prereleases_come_before_all_releases_each_in_semantic_order():
    versions = ["1.0.0", "2.0.0-rc.a", "0.10.0", "2.0.0-rc.10", "0.9.0", "2.0.0-rc.2"]
    assert sorted(versions, key=version_order) == ["2.0.0-rc.2", "2.0.0-rc.10", "2.0.0-rc.a", "0.9.0", "0.10.0", "1.0.0"]


@pytest.mark.parametrize(
    ("lower", "higher"), [("1.0.0-01", "1.0.0-2"), ("1.0.0--", "1.0.0"), ("1.0.0-a", "1.0.0-a.0"), ("1.02.0", "1.3.0")]
)
def test_versions_that_cards_allow_and_semver_does_not_have_an_order_too(lower, higher):
    assert version_order(lower) < version_order(higher)
