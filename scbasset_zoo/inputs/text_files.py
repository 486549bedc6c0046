"""Text files, plain or gzip."""

from __future__ import annotations

import gzip
import os
from typing import TextIO, cast


def open_text(path: str | os.PathLike[str], errors: str = "strict") -> TextIO:
    """Open a UTF-8 text file for reading. Its first bytes, not its name, tell whether it is gzip.

    A byte-order mark is skipped, and lines may end in LF, CRLF or CR.

    Parameters
    ----------
    path : path
    errors : str
        What to do with bytes that are not UTF-8; see :func:`open`.

    Returns
    -------
    text file
        Reading it raises UnicodeDecodeError if it is not text, and gzip.BadGzipFile, zlib.error or EOFError if it is damaged.
    """
    with open(path, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    if is_gzip:
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", errors=errors))
    return open(path, encoding="utf-8-sig", errors=errors)
