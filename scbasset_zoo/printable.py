"""Make texts from outside safe to print: nothing in them controls the terminal, forges a line or shows a password."""

from __future__ import annotations

import re
import unicodedata

# Letters that str.isprintable allows, and that have no width or look like a space.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(map(chr, range(0xFE00, 0xFE10)))
_USER = re.compile(r"://[^/\s?#]*@")
_SECRET = re.compile(
    r"([?&;](?:[\w.-]{0,40}(?:token|signature|credential|password|secret|key)|sig|auth)=)[^&;#\s'\"<>]+", re.IGNORECASE
)


def without_secrets(text: str) -> str:
    """Return a text in which the user, the password and the tokens of addresses are replaced by ``***``.

    Examples
    --------
    >>> without_secrets("https://me:pw@host/a?token=1&x=2")
    'https://***@host/a?token=***&x=2'
    """
    return _SECRET.sub(r"\1***", _USER.sub("://***@", text))


def printable_field(text: str) -> str:
    """Return a text as one line: line breaks, control characters, marks without width and foreign digits are escaped.

    Examples
    --------
    >>> printable_field("a\\nb")
    'a\\\\nb'
    """
    text = without_secrets(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if _is_plain(letter) else letter.encode("unicode_escape").decode() for letter in text)


def printable(text: str) -> str:
    """Return a message of one or more lines. Each line after the first is indented, so that it cannot look like a new message."""
    first, *others = text.split("\n")
    lines = [printable_field(first)]
    lines += [printable_field(line if line.startswith("  ") or not line else f"  {line}") for line in others]
    return "\n".join(lines)


def _is_plain(letter: str) -> bool:
    if letter.isascii():
        return letter.isprintable()
    return letter.isprintable() and letter not in _BLANK and unicodedata.category(letter) != "Nd"
