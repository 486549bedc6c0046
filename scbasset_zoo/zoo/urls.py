"""Checks of addresses: which kinds of URL models are read from, and which can be written."""

from __future__ import annotations

import urllib.parse

from scbasset_zoo.errors import InputError

READABLE = ("https", "http", "s3", "hf")
WRITABLE = ("s3", "hf")


def is_url(text: str) -> bool:
    """Return whether `text` is a URL. If not, it is a path or a name."""
    return "://" in text


def scheme(url: str) -> str:
    """Return what comes before `://`, in lower case."""
    return urllib.parse.urlsplit(url).scheme.lower()


def check_url(url: str) -> str:
    """Return the URL without a slash at its end.

    Raises
    ------
    ValueError
        Models are not read from URLs of this kind, for example file://.
    """
    kind, _, rest = url.partition("://")
    try:
        urllib.parse.urlsplit(url).port  # noqa: B018  raises an error on a wrong port
    except ValueError as error:
        raise ValueError(f"{url!r} is not an address: {error}") from None
    if kind not in READABLE or not rest.strip("/") or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} cannot be read; an address begins with {', '.join(f'{kind}://' for kind in READABLE)}")
    return url.rstrip("/")


def folder_url(url: str) -> str:
    """Return a checked URL to which names of files can be added.

    Raises
    ------
    InputError
        Models are not read from URLs of this kind, or the URL ends in a query.
    """
    try:
        url = check_url(url)
    except ValueError as error:
        raise InputError(f"{error}.") from None
    parts = urllib.parse.urlsplit(url)
    if parts.query or parts.fragment:
        raise InputError(
            f"{url!r} ends in a query. Give the plain address of a folder. Its maintainer may have one without a query."
        )
    return url
