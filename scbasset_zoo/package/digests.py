"""Digests: of the card, to notice changes, and of the order of cells and peaks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scbasset_zoo.errors import InputError, PackageError

if TYPE_CHECKING:
    import pandas as pd

_DIGEST_KEY = b"digest: "
_DIGEST_LINE = len(_DIGEST_KEY) + 64 + 1


def order_digest(names: Iterable[str]) -> str:
    """Return the SHA-256 of names joined by line feeds, as UTF-8. It depends on the order of the names.

    Cells are named by barcode, peaks by ``chrom:start-end``.

    Raises
    ------
    InputError
        A name contains a line break, so that two different lists could have one digest.
    """
    names = [str(name) for name in names]
    with_break = next((name for name in names if "\n" in name), None)
    if with_break is not None:
        raise InputError(f"The name {with_break!r} contains a line break; rename it.")
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def seal(text: str) -> bytes:
    """Return the bytes of card.yaml: the YAML of a card, and a last line with the SHA-256 of all bytes above it."""
    raw = text.encode()
    return raw + _DIGEST_KEY + hashlib.sha256(raw).hexdigest().encode() + b"\n"


def unseal(raw: bytes) -> tuple[str, str | None]:
    """Take the digest line off the bytes of card.yaml and check it.

    Returns
    -------
    text : str
        The YAML above the digest line.
    problem : str or None
        What is wrong with the digest line; None if it is right.

    Raises
    ------
    PackageError
        The bytes are not UTF-8.
    """
    body, line = raw[:-_DIGEST_LINE], raw[-_DIGEST_LINE:]
    problem = None
    if not (line.startswith(_DIGEST_KEY) and line.endswith(b"\n") and body.endswith(b"\n")):
        body = raw
        problem = "the last line must be `digest: ` and the SHA-256 of all bytes above it"
    elif raw != body + _DIGEST_KEY + hashlib.sha256(body).hexdigest().encode() + b"\n":
        problem = "the digest in the last line is not that of the lines above it: the card was changed or damaged"
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise PackageError(f"card.yaml is not UTF-8 text: {error}") from error
    return text, problem and f"{problem}. Fetch the package again; if you edited the card yourself, run scbasset-zoo seal FOLDER"


def peak_identifiers(peaks: pd.DataFrame) -> list[str]:
    """Return peaks as ``chrom:start-end``, the form in which the order digest takes them."""
    return [f"{c}:{s}-{e}" for c, s, e in zip(peaks["chrom"], peaks["start"], peaks["end"], strict=True)]
