"""Reads a file of fragments as 10x Genomics writes it, in blocks: chromosome, start, end, barcode and more columns, with tabs."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.text_files import open_bytes, text_lines

T = TypeVar("T")

# Bytes of text that are read at once.
BLOCK = 1 << 24
_COLUMNS = ("chrom", "start", "end", "barcode")
_COMMENT = b"#"


@dataclass(frozen=True)
class FragmentBlock:
    """Fragments of one chromosome that follow each other in a file. Starts do not fall.

    Attributes
    ----------
    chrom : str
    start, end : int64 arrays of shape (n,)
        The fragment is ``start`` to ``end`` (0-based, half-open). Its two insertions of Tn5 are at ``start`` and ``end - 1``.
    barcode : int32 array of shape (n,)
        Positions in `barcodes`.
    barcodes : pyarrow string array
        The distinct barcodes of this part of the file.
    """

    chrom: str
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    barcode: NDArray[np.int32]
    barcodes: pa.StringArray

    def __len__(self) -> int:
        return len(self.start)


def read_fragments(path: str | os.PathLike[str], chromosome_sizes: Mapping[str, int] | None = None) -> Iterator[FragmentBlock]:
    """Yield the fragments of a file, plain or gzip, in its order. The next block is read while the last is in use.

    Lines that begin with "#" are left out. Columns after the fourth, such as the number of reads, are not used.

    Parameters
    ----------
    path : path
    chromosome_sizes : mapping of str to int, optional
        Lengths in bp, of some or all chromosomes.

    Raises
    ------
    InputError
        The file is missing, damaged or cut short; a line has no four columns with tabs between them, or an impossible interval; a
        fragment reaches beyond its chromosome; or the fragments are not sorted by chromosome and start. The message has the line.
    """
    sizes = chromosome_sizes or {}
    done: set[str] = set()
    chrom, last_start = "", 0
    with contextlib.closing(_ahead(_tables(path))) as tables:
        for table in tables:
            chroms, barcodes = table["chrom"].chunk(0), table["barcode"].chunk(0)
            start, end = table["start"].to_numpy(), table["end"].to_numpy()
            names = chroms.dictionary.to_pylist()
            chrom_number, barcode = chroms.indices.to_numpy(), barcodes.indices.to_numpy()
            empty_texts = "" in names or "" in barcodes.dictionary.to_pylist()
            if empty_texts or start.min() < 0 or (end <= start).any():
                raise _first_problem(path)
            edges = [0, *(np.flatnonzero(np.diff(chrom_number)) + 1).tolist(), len(start)]
            for first, last in zip(edges[:-1], edges[1:], strict=True):
                name = names[chrom_number[first]]
                if name != chrom:
                    done.add(chrom)
                    chrom, last_start = name, 0
                part = slice(first, last)
                unsorted = name in done or start[first] < last_start or (np.diff(start[part]) < 0).any()
                if unsorted or (name in sizes and end[part].max() > sizes[name]):
                    raise _first_problem(path, sizes)
                last_start = int(start[last - 1])
                yield FragmentBlock(name, start[part], end[part], barcode[part], barcodes.dictionary)
    if not chrom:
        raise InputError(
            f"{path} has no fragments. Expected chromosome, start, end and barcode on each line, with tabs between them."
        )


def _tables(path: str | os.PathLike[str]) -> Iterator[pa.Table]:
    """Yield tables of the first four columns. Texts are dictionaries, each in one chunk."""
    n_columns = 0
    with open_bytes(path) as file:
        for text in _blocks_of_lines(file):
            if not n_columns:
                text = _without_comments(text.removeprefix(codecs.BOM_UTF8))
                if not text:
                    continue
                n_columns = text.split(b"\n", 1)[0].count(b"\t") + 1
                if n_columns < len(_COLUMNS):
                    raise _first_problem(path)
            try:
                yield _parse(text, n_columns)
            except pa.ArrowInvalid:
                # Files that were joined have comments in the middle.
                if not (text := _without_comments(text)):
                    continue
                try:
                    yield _parse(text, n_columns)
                except pa.ArrowInvalid as error:
                    raise _first_problem(path) from error


def _blocks_of_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of whole lines. The error of a file that is cut short has its last line."""
    rest = b""
    n_lines = 0
    while block := _block(file, n_lines):
        n_lines += block.count(b"\n")
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            continue
        yield rest + block[:end]
        rest = block[end:]
    if rest:
        yield rest


def _block(file: BinaryIO, n_lines: int) -> bytes:
    """Read a block that follows a number of lines."""
    parts: list[bytes] = []
    size = 0
    try:
        # One piece at a time, so that what comes before damage is known.
        while size < BLOCK and (part := file.read1(BLOCK - size)):  # type: ignore[attr-defined]
            parts.append(part)
            size += len(part)
    except InputError as error:
        n_lines += sum(part.count(b"\n") for part in parts)
        raise InputError(f"{error} The last whole line is line {n_lines:,}.") from error
    return b"".join(parts)


def _without_comments(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join(line for line in lines if line.strip() and not line.startswith(_COMMENT))


def _parse(text: bytes, n_columns: int) -> pa.Table:
    texts = pa.dictionary(pa.int32(), pa.string())
    table = pyarrow.csv.read_csv(
        pa.BufferReader(text),
        # The other core counts meanwhile.
        pyarrow.csv.ReadOptions(
            column_names=[*_COLUMNS, *(f"more{i}" for i in range(n_columns - len(_COLUMNS)))],
            use_threads=False,
            block_size=len(text) + 1,
        ),
        pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        pyarrow.csv.ConvertOptions(
            include_columns=_COLUMNS,
            column_types={"chrom": texts, "start": pa.int64(), "end": pa.int64(), "barcode": texts},
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    if not len(table):
        raise pa.ArrowInvalid("no rows")
    return table


def _ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield items while the next one is made in a thread."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]


def _first_problem(path: str | os.PathLike[str], chromosome_sizes: Mapping[str, int] | None = None) -> InputError:
    """Return the error of the first line of a file that is wrong. It reads line by line, so it is used only if there is one."""
    done: set[str] = set()
    chrom, last = "", 0
    n_columns = 0
    for number, line in text_lines(path):
        columns = line.split("\t")
        n_columns = n_columns or len(columns)
        where, shown = f"{path}, line {number}", repr(line[:80])
        if len(columns) < len(_COLUMNS):
            return InputError(
                f"{where}: expected chromosome, start, end and barcode with tabs between them; found {shown}.{_hint(line)}"
            )
        if len(columns) != n_columns:
            return InputError(f"{where}: expected {n_columns} columns, as in the lines before; found {len(columns)} in {shown}.")
        name, start_text, end_text, barcode = columns[:4]
        if not (name and barcode):
            return InputError(f"{where}: the {'barcode' if name else 'chromosome'} is missing in {shown}.")
        if not (_is_whole(start_text) and _is_whole(end_text) and int(start_text) < int(end_text)):
            return InputError(
                f"{where}: expected a start from 0 and an end greater than the start, both whole numbers; found {shown}."
            )
        start, size = int(start_text), (chromosome_sizes or {}).get(name)
        if size is not None and int(end_text) > size:
            return InputError(
                f"{where}: the fragment ends at {int(end_text):,}, beyond the end of {name} ({size:,} bp). Are the fragments of "
                "another assembly?"
            )
        if name != chrom:
            done.add(chrom)
            chrom, last = name, 0
        if name in done or start < last:
            what = (
                f"{name} comes again after other chromosomes" if name in done else f"{name}:{start:,} comes after {name}:{last:,}"
            )
            return InputError(
                f"{where}: the fragments are not sorted: {what}. Sort them: `zcat -f {path} | grep -v '^#' | sort -k1,1 -k2,2n | "
                "bgzip > sorted.tsv.gz`."
            )
        last = start
    return InputError(
        f"{path} cannot be read as fragments. Expected UTF-8 text whose lines end in LF or CRLF: chromosome, start, end and "
        "barcode with tabs. If its lines end in CR, convert them: `tr '\\r' '\\n' < IN > OUT`."
    )


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 18


def _hint(line: str) -> str:
    if len(line.split()) >= len(_COLUMNS):
        return " The columns are separated by blanks: write tabs."
    if len(line.split(",")) >= len(_COLUMNS):
        return " The columns are separated by commas: write tabs."
    return " It looks like a BED of peaks; fragments have a barcode each." if len(line.split("\t")) == 3 else ""
