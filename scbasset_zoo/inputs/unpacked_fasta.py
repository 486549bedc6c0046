"""Unpack a gzip FASTA once into the user's cache, where it can be read by coordinates."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import new_folder
from scbasset_zoo.inputs.fasta_index import require_fasta
from scbasset_zoo.inputs.file_kinds import START
from scbasset_zoo.progress import progress, say
from scbasset_zoo.user_folders import CACHE_VARIABLE, cache_folder, cache_lock, make_cache_folder

_SOURCE = "source.json"
_CHUNK = 1 << 22
_KEY_DIGITS = 16


def unpacked(path: Path) -> Path:
    """Return the unpacked copy of a gzip FASTA in the cache. It is made if there is none of the file as it is now.

    The copy has the path of its source as a key, and is made again when the size or time of the source changed.

    Raises
    ------
    InputError
        The file is damaged or not a FASTA, or the cache cannot be written or is full. Nothing half-written stays.
    """
    source = path.resolve()
    state = source.stat()
    about = {"path": str(source), "bytes": state.st_size, "time_ns": state.st_mtime_ns}
    key = hashlib.sha256(str(source).encode(errors="surrogateescape")).hexdigest()[:_KEY_DIGITS]
    folder = cache_folder() / "genomes" / "unpacked" / key
    copy = folder / (path.name[: -len(path.suffix)] if path.suffix.lower() in (".gz", ".gzip", ".bgz") else f"{path.name}.fa")
    if _is_copy(folder, copy, about):
        return copy
    _require_gzip_fasta(path)
    hint = f"Set {CACHE_VARIABLE} to a folder on a disk with space, or unpack the file yourself: `gunzip --keep {path.name}`."
    try:
        make_cache_folder(folder.parent)
        with cache_lock(f"genome-{key}", f"{path.name}: waiting for another process that is unpacking it"):
            if not _is_copy(folder, copy, about):
                with new_folder(folder, overwrite=True) as new:
                    _unpack(path, new / copy.name)
                    (new / _SOURCE).write_text(json.dumps(about))
                n_bytes = copy.stat().st_size
                say(f"{path.name} is gzip, not bgzip: it was unpacked once into {copy} ({n_bytes:,} bytes)")
    except _Damaged as error:
        raise InputError(str(error)) from error.__cause__
    except InputError as error:
        raise InputError(f"{path} is gzip and must be unpacked to be read by coordinates. {error} {hint}") from error
    return copy


class _Damaged(InputError):
    """The gzip file is at fault, not the cache."""


def _is_copy(folder: Path, copy: Path, about: dict[str, object]) -> bool:
    try:
        return copy.is_file() and json.loads((folder / _SOURCE).read_text()) == about
    except (OSError, ValueError):
        return False


def _require_gzip_fasta(path: Path) -> None:
    try:
        with gzip.open(path) as file:
            start = file.read(START)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
    require_fasta(path, start)


def _unpack(path: Path, copy: Path) -> None:
    n_bytes = path.stat().st_size
    with path.open("rb") as packed, copy.open("wb") as out, progress(f"unpacking {path.name}, bytes", n_bytes) as advance:
        file, at = gzip.GzipFile(fileobj=packed), 0
        while chunk := _read(file, path):
            out.write(chunk)
            advance(packed.tell() - at)
            at = packed.tell()


def _read(file: gzip.GzipFile, path: Path) -> bytes:
    try:
        return file.read(_CHUNK)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _Damaged(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
