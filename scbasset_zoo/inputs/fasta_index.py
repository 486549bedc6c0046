"""The index of a FASTA file: reads .fai and .gzi, and makes them where they are missing."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pyfaidx
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say


def is_bgzip(path: Path) -> bool:
    """Whether the file is bgzip; InputError when it can be no FASTA at all."""
    try:
        with path.open("rb") as file:
            head = file.read(18)
    except FileNotFoundError as error:
        raise InputError(f"There is no FASTA file {path}.") from error
    except OSError as error:
        raise InputError(f"The FASTA {path} cannot be read: {error.strerror}.") from error
    named_gz = path.name.lower().endswith((".gz", ".bgz"))
    if head[:2] == b"\x1f\x8b":
        # BGZF (SAM specification, 4.1): a gzip member with an extra field whose subfield is BC.
        if not (head[3] & 4 and head[12:14] == b"BC"):
            raise InputError(
                f"{path} is gzip but not bgzip, so it cannot be read by coordinates. Compress it with bgzip: "
                f"`gunzip {path.name} && bgzip {path.name.removesuffix('.gz')}`."
            )
        if not named_gz:
            raise InputError(f"{path} is bgzip, but its name does not end in .gz. Rename it to {path.name}.gz.")
        return True
    if not head:
        raise InputError(f"The FASTA {path} is empty.")
    if head[:1] not in (b">", b";", b"\n", b"\r"):
        raise InputError(f"{path} is not a FASTA file: it must begin with '>' (plain or bgzip).")
    if named_gz:
        raise InputError(f"{path} is plain text although its name says gzip. Rename it, or compress it with `bgzip`.")
    return False


def read_index(
    path: Path, compressed: bool
) -> tuple[dict[str, pyfaidx.IndexRecord], tuple[NDArray[np.int64], NDArray[np.int64]] | None]:
    fai, gzi = path.with_name(f"{path.name}.fai"), path.with_name(f"{path.name}.gzi")
    changed = path.stat().st_mtime
    if any(not file.exists() or file.stat().st_mtime < changed for file in [fai, gzi][: 1 + compressed]):
        _build_index(path, fai, gzi)
    try:
        with pyfaidx.Faidx(str(path), rebuild=False, build_index=False) as index:
            records = dict(index.index)
            blocks = [(block.ustart, block.cstart) for block in index.gzi_index] if compressed else None
    except (ValueError, OSError, struct.error, pyfaidx.FastaIndexingError, pyfaidx.IndexNotFoundError) as error:
        if "Duplicate key" in str(error):
            name = str(error).split('"')[1]
            raise InputError(f"{path} has two chromosomes named {name}. Each must have its own name.") from error
        raise InputError(f"The index of {path} is damaged ({error}). Delete {fai.name} and {gzi.name}.") from error
    if blocks is None:
        return records, None
    starts, positions = np.array(blocks, dtype=np.int64).reshape(-1, 2).T
    return records, (starts, positions)


def _build_index(path: Path, fai: Path, gzi: Path) -> None:
    # pyfaidx writes an index in place; made aside and renamed, another process never reads half of one.
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.index-", dir=path.absolute().parent) as aside:
            say(f"indexing {path.name} (once)")
            new_fai, new_gzi = Path(aside) / fai.name, Path(aside) / gzi.name
            pyfaidx.Faidx(str(path), indexname=str(new_fai), gzi_indexname=str(new_gzi)).close()
            if new_gzi.exists():
                os.replace(new_gzi, gzi)
            os.replace(new_fai, fai)
    except pyfaidx.FastaIndexingError as error:
        raise InputError(f"{path} is not a FASTA file that can be indexed: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a FASTA file: it holds bytes that are no text.") from error
    except (zlib.error, EOFError, struct.error) as error:
        raise InputError(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
    except ValueError as error:
        if "Duplicate key" in str(error):
            name = str(error).split('"')[1]
            raise InputError(f"{path} has two chromosomes named {name}. Each must have its own name.") from error
        raise InputError(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
    except OSError as error:
        if "EOF marker" in str(error):
            raise InputError(f"{path} was cut short: bgzip's end-of-file mark is missing. Fetch the FASTA again.") from error
        state = "is older than the FASTA" if fai.exists() else "is missing"
        raise InputError(
            f"The index {fai} {state}, and cannot be made there ({error.strerror or error}). Run `samtools faidx {path}` "
            "where you may write, or copy or link the FASTA into a folder of yours."
        ) from error
