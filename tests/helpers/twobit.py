"""Writes .2bit files, after the description of the format by UCSC: py2bit only reads."""

import re
import struct


def write_twobit(path, sequences, *, version=0, order="<"):
    """Write sequences (dict of name to letters) as .2bit: upper case and lower case, and runs of N."""
    records = [_record(sequence, order) for sequence in sequences.values()]
    place = f"{order}{'Q' if version else 'I'}"
    at = 16 + sum(1 + len(name.encode()) + struct.calcsize(place) for name in sequences)
    parts = [struct.pack(f"{order}4I", 0x1A412743, version, len(sequences), 0)]
    for name, record in zip(sequences, records, strict=True):
        parts.append(bytes([len(name.encode())]) + name.encode() + struct.pack(place, at))
        at += len(record)
    path.write_bytes(b"".join(parts + records))
    return path


def _record(sequence, order):
    numbers = [len(sequence)]
    for pattern in ("[Nn]+", "[a-z]+"):
        runs = [match.span() for match in re.finditer(pattern, sequence)]
        numbers += [len(runs), *(start for start, _ in runs), *(end - start for start, end in runs)]
    packed = bytearray()
    letters = sequence.upper().replace("N", "T")
    for first in range(0, len(letters), 4):
        byte = 0
        for letter in letters[first : first + 4].ljust(4, "T"):
            byte = byte * 4 + "TCAG".index(letter)
        packed.append(byte)
    return struct.pack(f"{order}{len(numbers) + 1}I", *numbers, 0) + bytes(packed)
