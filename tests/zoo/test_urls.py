"""Checks of addresses."""

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.zoo.urls import check_url, folder_url, is_url


@pytest.mark.parametrize("url", ["https://example.org/zoo/", "http://127.0.0.1:80/zoo", "s3://bucket/zoo", "hf://datasets/a/b"])
def test_addresses_of_folders_lose_the_last_slash(url):
    assert folder_url(url) == check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["file:///etc", "ftp://example.org/x", "https://", "https:///", "https://a b", "https://a\n", "/etc", "zoo"]
)
def test_other_addresses_are_refused(url):
    with pytest.raises(ValueError, match="cannot be read"):
        check_url(url)
    with pytest.raises(InputError, match="cannot be read"):
        folder_url(url)


@pytest.mark.parametrize("url", ["https://example.org/x?token=1", "https://example.org/x#part"])
def test_an_address_with_a_query_is_no_folder(url):
    with pytest.raises(InputError, match="ends in a query"):
        folder_url(url)


def test_a_name_and_a_path_are_no_url():
    assert [is_url(text) for text in ("lab/blood", "/data/zoo", "https://example.org")] == [False, False, True]
