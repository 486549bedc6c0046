"""Limits what a Parquet file can unpack to, before pyarrow unpacks it.

An untrusted file of a few kilobytes can fill all memory: its pages may unpack to gigabytes, and its footer may say otherwise.
pyarrow has no limit of its own. So this module reads the header of each page, which pyarrow obeys, and adds up the sizes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scbasset_zoo.errors import PackageError

# A file may unpack to so many bytes, plus so many times its own size.
MIN_BUDGET = 64 * 2**20
MAX_EXPANSION = 200

# Numbers in Parquet's parquet.thrift: plain, dictionary (old and new) and run lengths. Others can make long texts of few bytes.
_ENCODINGS = {0, 2, 3, 8}
# Types of Thrift's compact protocol.
_I32, _STRUCT = 5, 12
_INTEGER_BITS = {4: 16, _I32: 32, 6: 64}


class LimitedPages(io.BytesIO):
    """A Parquet file for pyarrow to read, one column chunk at a time, that stops when its pages unpack to too much.

    Raises a PackageError from :meth:`read` when the pages read so far declare more than `budget` bytes. Each value counts as
    8 bytes besides.

    Parameters
    ----------
    raw : bytes
        The file.
    path : Path
        Its name for messages.
    """

    def __init__(self, raw: bytes, path: Path) -> None:
        super().__init__(raw)
        self.budget = MIN_BUDGET + MAX_EXPANSION * len(raw)
        self._path, self._size, self._unpacked = path, len(raw), 0

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        for unpacked in unpacked_sizes(chunk):
            self._unpacked += unpacked
            if self._unpacked > self.budget:
                raise PackageError(
                    f"{self._path} has {self._size:,} bytes and would unpack to {self._unpacked:,} or more; at most "
                    f"{self.budget:,} are read."
                )
        return chunk


def unpacked_sizes(chunk: bytes) -> Iterator[int]:
    """Yield, for each page of a column chunk, its unpacked size in bytes plus 8 bytes for each of its values.

    Raises
    ------
    ValueError
        The header of a page is damaged, or the page has an encoding that is not allowed.
    """
    position = 0
    while position < len(chunk):
        header = _CompactReader(chunk, position)
        try:
            fields = header.struct()
            unpacked, packed = fields[2, _I32], fields[3, _I32]
            (values,) = (value for (_, kind), value in fields.items() if kind == _STRUCT)
            n_values, encoding = values[1, _I32], values[4 if (8, _STRUCT) in fields else 2, _I32]
        except (LookupError, ValueError) as error:
            raise ValueError(f"the header of a page is damaged: {error}") from error
        if min(unpacked, packed, n_values) < 0 or encoding not in _ENCODINGS:
            raise ValueError(f"a page declares {n_values} values, {packed} bytes, {unpacked} unpacked, and encoding {encoding}")
        yield unpacked + 8 * n_values
        position = header.position + packed


class _CompactReader:
    """Reads structures in Thrift's compact protocol: those types that headers of Parquet pages use."""

    def __init__(self, raw: bytes, position: int) -> None:
        self._raw, self.position = raw, position

    def struct(self) -> dict[tuple[int, int], Any]:
        """Return the values of a structure by field number and type, since pyarrow skips a field of an unexpected type."""
        fields: dict[tuple[int, int], Any] = {}
        number = 0
        while first_byte := self._byte():
            step, kind = divmod(first_byte, 16)
            number = number + step if step else self._integer(16)
            if (number, kind) in fields:
                raise ValueError(f"the field {number} of a page's header is given twice")
            fields[number, kind] = self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind == _STRUCT:
            return self.struct()
        if kind in _INTEGER_BITS:
            return self._integer(_INTEGER_BITS[kind])
        lengths = {1: 0, 2: 0, 3: 1, 7: 8}  # true, false, a byte, a double
        length = self._varint() if kind == 8 else lengths[kind]
        self.position += length
        return None

    def _integer(self, bits: int) -> int:
        value = self._varint()
        value = (value >> 1) ^ -(value & 1)
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(f"{value} is not an integer of {bits} bits")
        return value

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("an integer has more than 10 bytes")

    def _byte(self) -> int:
        self.position += 1
        return self._raw[self.position - 1]
