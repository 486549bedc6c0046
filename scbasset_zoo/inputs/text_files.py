"""Read text files that people send: any of the usual encodings, line ends, compressions and quotes gives the same text."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import re
import stat
from collections.abc import Iterator
from typing import BinaryIO, TextIO

# It unpacks gzip several times faster than the gzip module of Python, with the same classes.
from isal import igzip

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.file_kinds import START, kind_of

# Lines of BED and GTF files that are no intervals: comments, and settings of genome browsers.
INTERVAL_COMMENTS = ("#", "track ", "track\t", "browser ", "browser\t")
# The mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Every block of bgzip has a field "BC" in its header, and the last block is empty.
_BGZIP = re.compile(rb"(?s)\x1f\x8b\x08\x04.{8}BC")
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_QUOTED_OR_WORD = re.compile(r'"(?:[^"\\]|\\.|"")*"|\S+')
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_MOST = 10**18
_LOST_LETTER = "\ufffd"


def open_text(path: str | os.PathLike[str], errors: str = "strict") -> TextIO:
    """Open a text file for reading, the same on every computer: the settings of the system do not matter.

    The text is UTF-8; or UTF-16 or UTF-32, if it begins with a byte-order mark. The file is plain or gzip, also of several parts
    as bgzip writes it; its bytes tell, not its name. Lines may end in LF, CRLF or CR.

    Parameters
    ----------
    path : path
    errors : str
        What to do with bytes that are not letters of the encoding; see :func:`open`.

    Returns
    -------
    text file
        Reading it raises InputError if it is cut short, damaged or not text, and UnicodeDecodeError if `errors` is "strict" and
        its letters are not UTF-8.

    Raises
    ------
    InputError
        There is no such file, or it is of another kind: the message says which.
    """
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; expected a text file.")
    with readable(str(path)), contextlib.ExitStack() as closed_on_error:
        text = _decoded(closed_on_error.enter_context(open(path, "rb")), path, errors)
        closed_on_error.pop_all()
        return text


def open_bytes(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a text file as :func:`open_text` does, unpacked but not decoded. Its letters must be UTF-8; a byte-order mark stays.

    Raises
    ------
    InputError
        As :func:`open_text`, also while it is read.
    """
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; expected a text file.")
    with readable(str(path)), contextlib.ExitStack() as closed_on_error:
        checked, _ = _unpacked(closed_on_error.enter_context(open(path, "rb")), path)
        closed_on_error.pop_all()
        return io.BufferedReader(checked, 1 << 20)  # type: ignore[type-var]


def is_plain(path: str | os.PathLike[str]) -> bool:
    """Return whether the bytes of a text file are its letters: not compressed, no byte-order mark, lines end in LF or CRLF.

    A pipe is not plain: it can be read only once.

    Raises
    ------
    InputError
        As :func:`open_text`.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        return False
    open_text(path).close()
    with open(path, "rb") as file:
        first_line = file.readline()
    has_mark = first_line.startswith((b"\x1f\x8b", codecs.BOM_UTF8, *(mark for mark, _ in _MARKS)))
    return not has_mark and re.search(rb"[\r\0]", first_line.rstrip(b"\r\n")) is None


def text_lines(
    path: str | os.PathLike[str], comments: tuple[str, ...] = ("#",), *, strict: bool = True
) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file, without blank lines and comments. Files are read as by :func:`open_text`.

    Parameters
    ----------
    path : path
    comments : tuple of str
        Lines that begin with one of these are left out.
    strict : bool
        Whether to refuse a line with letters that are not UTF-8. Otherwise these letters become U+FFFD.

    Yields
    ------
    int
        Number of the line in the file, from 1.
    str
        The line, without blanks at its end.

    Raises
    ------
    InputError
        There is no such file, it is damaged or not text, or a line has letters that are not UTF-8. The message has the line.
    """
    with open_text(path, errors="replace") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip()
            if not line.isascii():
                # Files that were joined have a byte-order mark at the beginning of each.
                line = line.lstrip("\ufeff")
            if not line or line.lstrip().startswith(comments):
                continue
            if strict:
                require_letters(line, f"{path}, line {number}")
            yield number, line


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """Read a file with a name on each line, such as the barcodes of cells.

    Raises
    ------
    InputError
        As :func:`text_lines`, or a line has several columns.
    """
    names = []
    for number, line in text_lines(path, comments=()):
        if "\t" in line:
            raise InputError(f"{path}, line {number}: expected one name on a line; found columns with tabs in {line[:80]!r}.")
        names.append(unquoted(line))
    return names


def require_letters(text: str, where: str) -> None:
    """Raise InputError if a text has letters that were not UTF-8 in its file; `where` names file and line."""
    if not text.isascii() and _LOST_LETTER in text:
        raise InputError(
            f"{where}: expected UTF-8, found other letters in {text[:80]!r}. If the file is Latin-1, convert it: "
            "`iconv -f LATIN1 -t UTF-8 IN > OUT`."
        )


def columns_of(line: str) -> list[str]:
    """Split a line at its tabs, or at its blanks if it has no tab. Quotes around a column and blanks beside it are left out."""
    if '"' not in line:
        return list(map(str.strip, line.split("\t"))) if "\t" in line else line.split()
    return list(map(unquoted, line.split("\t") if "\t" in line else _QUOTED_OR_WORD.findall(line)))


def unquoted(text: str) -> str:
    r"""Return a column without blanks beside it and quotes around it. R writes a quote within quotes as ``\"``, Excel as ``""``."""
    text = text.strip()
    if len(text) < 2 or not text[0] == text[-1] == '"':
        return text
    return text[1:-1].replace('\\"', '"').replace('""', '"')


def whole_number(text: str) -> int | None:
    """Read a whole number as programs write it: 4100000, 4,100,000, 4.1e+06 or 4100000.0.

    None if it is something else, or has more than 64 bits.
    """
    if text.isdecimal() and text.isascii() and len(text) < len(str(_MOST)):
        return int(text)
    try:
        number = float(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)
    except ValueError:
        return None
    return int(number) if number.is_integer() and "_" not in text and abs(number) <= _MOST else None


def _decoded(file: io.BufferedReader, path: str | os.PathLike[str], errors: str) -> TextIO:
    """Unpack and decode a file as its first bytes say."""
    checked, encoding = _unpacked(file, path)
    return io.TextIOWrapper(io.BufferedReader(checked, 1 << 16), encoding=encoding, errors=errors)  # type: ignore[type-var]


def _unpacked(file: io.BufferedReader, path: str | os.PathLike[str]) -> tuple[_CheckedBytes, str]:
    """Return the unpacked bytes of a file, and the encoding of its text."""
    source: io.BufferedReader | igzip.IGzipFile = file
    start = file.peek(START)
    if start.startswith(b"\x1f\x8b"):
        if _BGZIP.match(start):
            _require_end(file, path)
        source = igzip.IGzipFile(fileobj=file)
        start = source.peek(START)
    kind = kind_of(start[:START])
    if kind is not None:
        raise InputError(f"{path} is {kind}")
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8-sig")
    return _CheckedBytes(file, source, path, may_have_nul=encoding != "utf-8-sig"), encoding


def _require_end(file: BinaryIO, path: str | os.PathLike[str]) -> None:
    """Raise InputError if a bgzip file was cut between two of its blocks, which the gzip module does not notice."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        with open(path, "rb") as end:
            end.seek(-min(len(_BGZIP_END), os.fstat(end.fileno()).st_size), os.SEEK_END)
            if end.read() != _BGZIP_END:
                raise InputError(f"{path} was cut short: bgzip's end-of-file mark is missing. Fetch or write the file again.")


class _CheckedBytes(io.RawIOBase):
    """The unpacked bytes of a file. Damage and bytes that no text has become an InputError that names the file."""

    def __init__(
        self, file: BinaryIO, source: io.BufferedReader | igzip.IGzipFile, path: str | os.PathLike[str], *, may_have_nul: bool
    ) -> None:
        self._file, self._source, self._path, self._may_have_nul = file, source, path, may_have_nul

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        with readable(str(self._path)):
            data = self._source.read1(len(buffer))
        if b"\0" in data and not self._may_have_nul:
            raise InputError(
                f"{self._path} is not text: it has NUL bytes. If it is text in UTF-16 without a byte-order mark, save it as UTF-8."
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
            self._file.close()
        super().close()
