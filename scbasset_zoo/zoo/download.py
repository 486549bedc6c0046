"""Download large files: a download that broke off goes on where it stopped, and each file's hash is checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scbasset_zoo.errors import InputError, PackageError, ScbassetZooError, SourceError
from scbasset_zoo.files import open_plain
from scbasset_zoo.progress import progress
from scbasset_zoo.zoo import remote

# A server that sends less than this must not keep a download open for ever.
RATE_SECONDS, MIN_BYTES_PER_SECOND = 600.0, 1024


@dataclass(frozen=True)
class Download:
    """A file to download: its URL, where it is written, its size in bytes, and its hash in hexadecimal digits."""

    url: str
    path: Path
    size: int
    digest: str
    algorithm: str = "sha256"


# pooch does not serve here: it starts a broken download again from the beginning, and does not read hf:// or s3://.
def download_all(downloads: Sequence[Download], description: str) -> None:
    """Download files, with one progress bar for the bytes of all. Each goes on where an earlier call stopped.

    Raises
    ------
    SourceError
        A file cannot be reached, or arrives too slowly. The bytes that arrived stay for the next call.
    PackageError
        A file does not have the expected hash. It is deleted.
    InputError
        The disk does not have enough space.
    """
    missing = sum(file.size - _size_on_disk(file.path) for file in downloads)
    rate = _Rate()
    with progress(description, sum(file.size for file in downloads)) as advance:
        for file in downloads:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            _check_free_space(file.path.parent, missing)
            _download(file, advance, rate)
            missing -= file.size


class _Rate:
    """How fast the bytes of a download arrive, over all its files and connections."""

    def __init__(self) -> None:
        self._start, self._n_bytes = time.monotonic(), 0

    def add(self, n_bytes: int, url: str) -> None:
        """Count bytes that arrived. Raise SourceError if there were too few in the last `RATE_SECONDS`."""
        self._n_bytes += n_bytes
        seconds = time.monotonic() - self._start
        if seconds < RATE_SECONDS:
            return
        if self._n_bytes < MIN_BYTES_PER_SECOND * RATE_SECONDS:
            raise SourceError(
                f"{url}: only {self._n_bytes:,} bytes arrived within {seconds:,.0f} seconds. What arrived is kept: try again later."
            )
        self._start, self._n_bytes = time.monotonic(), 0


def _download(file: Download, advance: Callable[[int], None], rate: _Rate) -> None:
    n_old_bytes = _size_on_disk(file.path)
    if n_old_bytes > file.size:
        file.path.unlink()
        n_old_bytes = 0
    _complete(file, advance, rate)
    digest = _digest(file)
    if digest != file.digest and n_old_bytes:
        # The old bytes may be of an earlier version or damaged. Download the whole file once more.
        file.path.unlink()
        _complete(file, lambda n_bytes: None, rate)
        digest = _digest(file)
    if digest != file.digest:
        file.path.unlink()
        raise PackageError(
            f"{file.path.name} of {file.url} does not have the expected hash, and was deleted: expected {file.algorithm} "
            f"{file.digest}, found {digest}. The file is damaged or was changed. Tell the source's maintainer."
        )


def _complete(file: Download, advance: Callable[[int], None], rate: _Rate) -> None:
    """Append to `file.path` until it has its full size. Connect again as long as connections bring new bytes."""
    with open(file.path, "ab", opener=open_plain) as out:
        furthest = out.tell()
        advance(furthest)

        def connect() -> None:
            nonlocal furthest
            before = furthest
            try:
                with remote.stream(file.url, out.tell()) as (start, chunks):
                    out.truncate(start)
                    out.seek(start)
                    while out.tell() < file.size and (chunk := next(chunks, b"")):
                        _write(out, chunk[: file.size - out.tell()], file.path)
                        n_new_bytes = max(out.tell() - furthest, 0)
                        advance(n_new_bytes)
                        furthest += n_new_bytes
                        rate.add(n_new_bytes, file.url)
                if out.tell() < file.size:
                    raise ConnectionError(f"the connection ended after {out.tell():,} of {file.size:,} bytes")
            except ScbassetZooError:
                raise
            except Exception:
                # A connection that brought new bytes does not count as a failed attempt.
                if furthest == before:
                    raise
                time.sleep(remote.FIRST_PAUSE)

        while out.tell() < file.size:
            remote.with_retries(file.url, connect)
        out.flush()
        os.fsync(out.fileno())


def _write(out: BinaryIO, chunk: bytes, path: Path) -> None:
    try:
        out.write(chunk)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Free some space, or set SCBASSET_ZOO_CACHE to another folder."
        ) from error


def _check_free_space(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise InputError(
            f"The download has {n_bytes:,} bytes, and the disk of {folder} has {free:,} bytes free. "
            "Free some space, or set SCBASSET_ZOO_CACHE to another folder."
        )


def _size_on_disk(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(file: Download) -> str:
    with open(file.path, "rb", opener=open_plain) as stream:
        return hashlib.file_digest(stream, file.algorithm).hexdigest()
