"""Text files, plain or gzip."""

from __future__ import annotations

import gzip
import os
from typing import TextIO, cast


def open_text(path: str | os.PathLike[str]) -> TextIO:
    """Open a UTF-8 text file for reading; whether it is gzip is told by its first bytes, not by its name.

    Parameters
    ----------
    path : path

    Returns
    -------
    text file
        Reading it raises UnicodeDecodeError if it is not text, and gzip.BadGzipFile, zlib.error or EOFError if it is damaged.
    """
    with open(path, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return cast(TextIO, gzip.open(path, "rt", encoding="utf-8")) if is_gzip else open(path, encoding="utf-8")
