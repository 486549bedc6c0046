"""The index of a FASTA file (.fai, .gzi): read it, and make it if it is missing."""

from __future__ import annotations

import os
import struct
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pyfaidx
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.file_kinds import START, kind_of
from scbasset_zoo.progress import say

# More bytes than a file can have; larger numbers are damage.
_MOST = 1 << 60


def compression_of(path: Path) -> str:
    """Return how a FASTA is compressed, by its first bytes: "bgzip", "gzip", or "" if it is plain.

    Raises
    ------
    InputError
        The file is missing or empty, is not a FASTA, or its name does not match its compression.
    """
    try:
        with path.open("rb") as file:
            head = file.read(START)
    except FileNotFoundError as error:
        raise InputError(f"There is no FASTA file {path}.") from error
    except OSError as error:
        raise InputError(f"The FASTA {path} cannot be read: {error.strerror}.") from error
    named_gz = path.name.lower().endswith((".gz", ".bgz"))
    if head[:2] == b"\x1f\x8b":
        # BGZF (SAM specification, 4.1): a gzip member with an extra field whose subfield is BC.
        if len(head) < 18 or not (head[3] & 4 and head[12:14] == b"BC"):
            return "gzip"
        if not named_gz:
            raise InputError(f"{path} is bgzip, but its name does not end in .gz. Rename it to {path.name}.gz.")
        return "bgzip"
    require_fasta(path, head)
    if named_gz:
        raise InputError(f"{path} is plain text, but its name says gzip. Rename it, or compress it with `bgzip`.")
    return ""


def require_fasta(path: Path, start: bytes) -> None:
    """Raise InputError unless a file begins, unpacked, as a FASTA does."""
    if not start:
        raise InputError(f"The FASTA {path} is empty.")
    if start[:1] not in (b">", b";", b"\n", b"\r"):
        kind = kind_of(start[:START])
        other = f"{path} is not a FASTA file: it must begin with '>' (plain, gzip or bgzip). A .2bit file is read too."
        raise InputError(f"{path} is {kind}" if kind else other)


def read_index(
    path: Path, compressed: bool
) -> tuple[dict[str, pyfaidx.IndexRecord], tuple[NDArray[np.int64], NDArray[np.int64]] | None, bool]:
    """Read the index of a FASTA. Make it first if it is missing or older than the FASTA.

    An older index that cannot be replaced is read all the same, with a line that says so.

    Parameters
    ----------
    path : Path
        The FASTA.
    compressed : bool
        Whether it is bgzip.

    Returns
    -------
    records : dict of str to IndexRecord
        Place of each chromosome in the uncompressed file.
    blocks : tuple of two int64 arrays, or None
        Of a bgzip FASTA: where each block starts in the uncompressed file and in the compressed file.
    was_made : bool
        Whether the index was made now.

    Raises
    ------
    InputError
        The FASTA cannot be indexed, the index is damaged, or the index cannot be written.
    """
    fai, gzi = path.with_name(f"{path.name}.fai"), path.with_name(f"{path.name}.gzi")
    fasta_time = path.stat().st_mtime
    files = [fai, gzi][: 1 + compressed]
    was_made = False
    if any(not file.exists() or file.stat().st_mtime < fasta_time for file in files):
        try:
            build_index(path)
            was_made = True
        except IndexNotWritten:
            if not all(file.exists() for file in files):
                raise
            say(f"the index {fai.name} is older than {path.name} and cannot be replaced; it is compared with the file")
    try:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # that the index is older
            index = pyfaidx.Faidx(str(path), rebuild=False, build_index=False)
        with index:
            records = dict(index.index)
            blocks = [(block.ustart, block.cstart) for block in index.gzi_index] if compressed else None
        if any(not 0 <= number <= _MOST for record in records.values() for number in record[:4]):
            raise ValueError("it has lengths or places that no file has")
    except (ValueError, ArithmeticError, OSError, struct.error, pyfaidx.FastaIndexingError, pyfaidx.IndexNotFoundError) as error:
        _refuse_repeated_name(path, error)
        raise InputError(f"The index of {path} is damaged ({error}). Delete {fai.name} and {gzi.name}.") from error
    if blocks is None:
        return records, None, was_made
    starts, positions = np.array(blocks, dtype=np.int64).reshape(-1, 2).T
    return records, (starts, positions), was_made


class IndexNotWritten(InputError):
    """The index of a FASTA cannot be written beside it."""


def build_index(path: Path) -> None:
    """Write the index of a FASTA beside it, in place of an older one.

    Raises
    ------
    IndexNotWritten
        Nothing can be written in the folder.
    InputError
        The FASTA cannot be indexed.
    """
    fai, gzi = path.with_name(f"{path.name}.fai"), path.with_name(f"{path.name}.gzi")
    # pyfaidx writes an index in place. Here it is written elsewhere and renamed, so that no process reads half an index.
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.index-", dir=path.absolute().parent) as folder:
            say(f"indexing {path.name} (once)")
            new_fai, new_gzi = Path(folder) / fai.name, Path(folder) / gzi.name
            pyfaidx.Faidx(str(path), indexname=str(new_fai), gzi_indexname=str(new_gzi)).close()
            if new_gzi.exists():
                os.replace(new_gzi, gzi)
            os.replace(new_fai, fai)
    except pyfaidx.FastaIndexingError as error:
        raise InputError(f"{path} is not a FASTA file that can be indexed: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a FASTA file: it contains bytes that are not text.") from error
    except (zlib.error, EOFError, struct.error) as error:
        raise InputError(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
    except ValueError as error:
        _refuse_repeated_name(path, error)
        raise InputError(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
    except RuntimeError as error:
        # pyfaidx has no other error for blank lines between the lines of a sequence.
        raise InputError(
            f"{path} cannot be indexed: it has blank lines, or lines of different lengths, within a sequence. Give all its lines "
            "one length: `seqkit seq --line-width 60 IN.fa > OUT.fa`."
        ) from error
    except OSError as error:
        if "EOF marker" in str(error):
            raise InputError(f"{path} was cut short: bgzip's end-of-file mark is missing. Fetch the FASTA again.") from error
        state = "does not fit the FASTA" if fai.exists() else "is missing"
        raise IndexNotWritten(
            f"The index {fai} {state}, and cannot be written there ({error.strerror or error}). Run `samtools faidx {path}` "
            "as a user who can write there, or copy or link the FASTA into a folder that you can write to."
        ) from error


def _refuse_repeated_name(path: Path, error: Exception) -> None:
    """Raise InputError if this is pyfaidx's error for a name that repeats."""
    if "Duplicate key" in str(error):
        name = str(error).split('"')[1]
        raise InputError(f"{path} has two chromosomes named {name}. Names must be distinct.") from error
