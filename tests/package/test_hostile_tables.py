"""Hostile tables are refused with a reason, before anything is unpacked.

Hashes and digest of each package fit, since an attacker can write the whole package.
"""

import itertools
import string
import struct

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.forgery import findings, needs_proc, peak_memory, rehash

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.parquet_pages import unpacked_sizes
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.tables import read_table, write_table
from scbasset_zoo.package.verifying import verify_package


def _write(folder, name, table, **options):
    pq.write_table(table, folder / name, **options)
    rehash(folder)


def _tables_refused(folder, name, reason):
    assert reason in findings(folder)
    with pytest.raises(PackageError) as caught:
        Package.open(folder).cells() if name == "cells.parquet" else Package.open(folder).peaks()
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["cells.parquet", "peaks.parquet"])
def test_a_table_of_millions_of_rows_in_a_few_bytes(folder, name):
    zeros = pa.array(np.zeros(20_000_000, np.int8))
    _write(folder, name, pa.table({"barcode": zeros}))
    assert (folder / name).stat().st_size < 100_000
    _tables_refused(folder, name, "or more; at most")


@pytest.mark.parametrize("codec", ["zstd", "brotli"])
def test_a_table_that_is_nearly_nothing_while_it_is_packed(folder, codec):
    text = pa.array(["\0" * 200_000_000])
    _write(folder, "peaks.parquet", pa.table({"chrom": text}), compression=codec, use_dictionary=False, write_statistics=False)
    assert (folder / "peaks.parquet").stat().st_size < 100_000
    _tables_refused(folder, "peaks.parquet", "would unpack to 200,000,")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([[0] * 1_000_000]), "list"),
        (pa.array([{"a": 1}]), "struct"),
        (pa.array([b"\x80\x04."]), "binary"),
        (pa.array([b"x" * 1_000], pa.binary(1_000)), "fixed_size_binary"),
    ],
)
def test_columns_that_are_not_plain(folder, column, kind):
    _write(folder, "cells.parquet", pa.table({"barcode": ["a"], "x": column}))
    _tables_refused(folder, "cells.parquet", f"the column 'x' holds {kind}")


def test_columns_of_one_name(folder):
    _write(folder, "cells.parquet", pa.Table.from_arrays([pa.array(["a"])] * 2, names=["barcode", "barcode"]))
    _tables_refused(folder, "cells.parquet", "each with a name of its own")


@needs_proc
def test_one_long_text_a_million_times_is_kept_once(folder):
    long = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, np.int32), ["x" * 1_000_000])
    numbers = pa.array(np.random.default_rng(0).integers(0, 2**60, 1_000_000))
    table = pa.table({"chrom": long.cast(pa.dictionary(pa.int32(), pa.string())), "start": numbers, "end": numbers})
    _write(folder, "peaks.parquet", table, store_schema=False)
    code = 'peaks = package.peaks()\nassert peaks["chrom"].iloc[-1] == "x" * 1_000_000 and len(peaks) == 1_000_000'
    assert peak_memory(folder, code) < 1_000  # MiB; unpacked it would be a million


def test_millions_of_short_distinct_texts_in_a_few_bytes(tmp_path):
    texts = ["".join(letters) for letters in itertools.islice(itertools.product(string.ascii_letters, repeat=4), 3_000_000)]
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"barcode": texts}), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 2_500_000
    with pytest.raises(PackageError, match="has 3,000,000 distinct texts, which take 600,000,000 bytes"):
        read_table(path.read_bytes(), path)


def test_a_million_numbered_cells_are_read(tmp_path):
    write_table(pd.DataFrame({"barcode": [f"cell_{i:07}" for i in range(1_000_000)]}), tmp_path / "cells.parquet")


def _replaced(raw, number, other):
    """A Parquet file whose footer has another number, in Thrift's compact protocol, wherever it had this one."""
    length = struct.unpack("<I", raw[-8:-4])[0]
    footer = raw[-8 - length : -8]
    assert _varint(number) in footer
    footer = footer.replace(_varint(number), _varint(other))
    return raw[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def _varint(number):
    digits, number = [], 2 * number
    while number > 127:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes([*digits, number])


@needs_proc
def test_a_table_whose_footer_lies_about_its_bytes(folder):
    table = pa.table({"chrom": ["\0" * 400_000_000]})
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    _write(folder, "peaks.parquet", table, **options)
    path = folder / "peaks.parquet"
    path.write_bytes(_replaced(path.read_bytes(), pq.read_metadata(path).row_group(0).total_byte_size, 1_000))
    rehash(folder)
    assert pq.read_metadata(path).row_group(0).total_byte_size == 1_000
    _tables_refused(folder, "peaks.parquet", "would unpack to 400,000,")
    assert peak_memory(folder, "package.verify()") < 500


@needs_proc
def test_a_table_whose_footer_lies_about_its_values(folder):
    _write(folder, "peaks.parquet", pa.table({"start": np.arange(777_777)}), write_statistics=False)
    path = folder / "peaks.parquet"
    path.write_bytes(_replaced(path.read_bytes(), 777_777, 10**10))
    rehash(folder)
    assert pq.read_metadata(path).num_rows == 10**10
    assert peak_memory(folder, "print(len(package.peaks()))") < 600  # MiB; a bit for each value declared is 1,200


def test_texts_that_are_made_of_those_before_them(folder):
    texts = ["x" * 100_000 + str(i) for i in range(1_000)]
    _write(folder, "peaks.parquet", pa.table({"chrom": texts}), use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")
    assert (folder / "peaks.parquet").stat().st_size < 300_000
    _tables_refused(folder, "peaks.parquet", "and encoding 7")


def test_the_numbers_of_a_page_are_those_that_pyarrow_reads():
    chunk = bytes([0x15, 4, 0x15, 20, 0x15, 6, 0x4C, 0x15, 2, 0x15, 0, 0, 0]) + b"abc"
    assert list(unpacked_sizes(chunk)) == [10 + 8]
    twice = chunk[:4] + bytes([0x05, 4, 2]) + chunk[4:]
    beyond = bytes([0x15, 4, 0x15, 0x80 | 20, 0x80, 0x80, 0x80, 0x80, 1]) + chunk[4:]
    for damaged in (twice, beyond, chunk[:7], chunk + b"\0"):
        with pytest.raises(ValueError, match="header of a page is damaged"):
            list(unpacked_sizes(damaged))


@pytest.mark.parametrize("raw", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1"])
def test_bytes_that_are_no_table(folder, raw):
    (folder / "cells.parquet").write_bytes(raw)
    rehash(folder)
    _tables_refused(folder, "cells.parquet", "cannot be read as Parquet")


def test_tables_whose_pages_were_tampered_with_never_crash_the_reader(folder):
    rng = np.random.default_rng(1)
    intact = (folder / "cells.parquet").read_bytes()
    for _ in range(100):
        damaged = bytearray(intact)
        for place in rng.integers(0, len(intact), 3):
            damaged[place] = int(rng.integers(256))
        (folder / "cells.parquet").write_bytes(damaged)
        rehash(folder)
        verify_package(folder)
