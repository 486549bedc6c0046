"""Digests that show whether a card was changed and whether two lists have the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from scbasset_zoo.errors import InputError, PackageError

_DIGEST_KEY = b"digest: "


_DIGEST_LINE = len(_DIGEST_KEY) + 64 + 1


def order_digest(names: Iterable[str]) -> str:
    """SHA-256 of identifiers in their order, joined by newlines as UTF-8: two lists agree only if the order does.

    Cells are identified by barcode, peaks by ``chrom:start-end``.

    Raises
    ------
    InputError
        An identifier contains a line break, so that two lists could look alike.
    """
    names = [str(name) for name in names]
    broken = next((name for name in names if "\n" in name), None)
    if broken is not None:
        raise InputError(f"The name {broken!r} contains a line break; rename it.")
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def seal(text: str) -> bytes:
    """The bytes of card.yaml: a card's YAML, and as the last line the SHA-256 of all bytes above it."""
    raw = text.encode()
    return raw + _DIGEST_KEY + hashlib.sha256(raw).hexdigest().encode() + b"\n"


def unseal(raw: bytes) -> tuple[str, str | None]:
    """The YAML in the bytes of card.yaml without its last line, and what is wrong with that line, None if nothing is.

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
