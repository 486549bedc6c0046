"""Measures what the pages of a Parquet file unpack to, before pyarrow unpacks them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scbasset_zoo.errors import PackageError

MIN_BUDGET = 64 * 2**20


MAX_EXPANSION = 200


# Numbers of Parquet's parquet.thrift, and the types of Thrift's compact protocol.
_ENCODINGS = {0, 2, 3, 8}  # plain, dictionary (old and new) and run lengths: the others can make long texts out of nothing


_I32, _STRUCT = 5, 12


_INTEGERS = {4: 16, _I32: 32, 6: 64}


class _Pages(io.BytesIO):
    """The file as pyarrow reads it, by column chunks, whose pages must not unpack to more than the file's budget in all.

    The footer says what the writer liked. The header of a page bounds what pyarrow makes of it: so many bytes, so many values.
    """

    def __init__(self, raw: bytes, path: Path) -> None:
        super().__init__(raw)
        self.budget = MIN_BUDGET + MAX_EXPANSION * len(raw)
        self._path, self._size, self._unpacked = path, len(raw), 0

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        for unpacked in _unpacked_sizes(chunk):
            self._unpacked += unpacked
            if self._unpacked > self.budget:
                raise PackageError(
                    f"{self._path} has {self._size:,} bytes and would unpack to {self._unpacked:,} or more; at most "
                    f"{self.budget:,} are read."
                )
        return chunk


def _unpacked_sizes(chunk: bytes) -> Iterator[int]:
    """For each page of a column chunk its bytes when unpacked, and 8 for each of its values."""
    place = 0
    while place < len(chunk):
        header = _Thrift(chunk, place)
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
        place = header.place + packed


class _Thrift:
    """Reads structures in Thrift's compact protocol, as far as the headers of Parquet's pages go."""

    def __init__(self, raw: bytes, place: int) -> None:
        self._raw, self.place = raw, place

    def struct(self) -> dict[tuple[int, int], Any]:
        """Values by number and type: a reader passes over a number of another type than its own."""
        fields: dict[tuple[int, int], Any] = {}
        number = 0
        while head := self._byte():
            step, kind = divmod(head, 16)
            number = number + step if step else self._integer(16)
            if (number, kind) in fields:
                raise ValueError(f"the field {number} of a page's header is given twice")
            fields[number, kind] = self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind == _STRUCT:
            return self.struct()
        if kind in _INTEGERS:
            return self._integer(_INTEGERS[kind])
        lengths = {1: 0, 2: 0, 3: 1, 7: 8}  # true, false, a byte, a double
        length = self._varint() if kind == 8 else lengths[kind]
        self.place += length
        return None

    def _integer(self, bits: int) -> int:
        value = self._varint()
        value = (value >> 1) ^ -(value & 1)
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(f"{value} is no integer of {bits} bits")
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
        self.place += 1
        return self._raw[self.place - 1]
