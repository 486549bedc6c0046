"""The cache on disk: complete packages, unfinished downloads, and the last copies of indexes and cards."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say
from scbasset_zoo.user_folders import cache_folder, cache_lock, make_cache_folder
from scbasset_zoo.zoo import remote

if TYPE_CHECKING:
    from scbasset_zoo.zoo.index import Entry

KEY_DIGITS = 12
T = TypeVar("T")


def package_folder(entry: Entry, *, by_url: bool = False) -> Path:
    """Return the folder of an entry's complete package.

    Packages that were opened by URL have a folder of their own. Their id is what their own card says, so it must not decide
    which package a name means.
    """
    if by_url:
        return cache_folder() / "urls" / entry.key
    return cache_folder() / "models" / entry.id / f"{entry.version}-{entry.key[:KEY_DIGITS]}"


def download_folder(entry: Entry) -> Path:
    """Return the folder of an unfinished download. All processes use the same one, so any of them can go on with it."""
    return cache_folder() / "partial" / entry.key


def cached_package(entry: Entry, *, by_url: bool = False) -> Package | None:
    """Return an entry's package, or None if it is not in the cache or not complete."""
    try:
        package = Package.open(package_folder(entry, by_url=by_url))
    except PackageError:
        return None
    is_same_model = (package.card.id, package.card.version) == (entry.id, entry.version)
    return package if is_same_model and (entry.recipe or package.card_sha256 == entry.card_sha256) else None


def named_packages(model_id: str = "**") -> Iterator[Package]:
    """Yield the complete packages that were pulled by name: those of one model, or all."""
    models = cache_folder() / "models"
    for path in sorted(models.glob(f"{model_id}/*/card.yaml")):
        with contextlib.suppress(PackageError):
            package = Package.open(path.parent)
            # A package may contain another file named card.yaml.
            if (path.parents[1], path.parent.name.rpartition("-")[0]) == (models / package.card.id, package.card.version):
                yield package


def lock(entry: Entry) -> contextlib.AbstractContextManager[None]:
    """Hold the lock on an entry's package. A line tells the user if another process holds it."""
    return cache_lock(entry.key, f"{entry.name}: waiting for another process that is pulling it")


def fetch(url: str, limit: int, parse: Callable[[bytes], T]) -> tuple[T, bool]:
    """Read a small file from its URL, or from its last copy if the URL cannot be reached.

    Parameters
    ----------
    url : str
    limit : int
        The largest number of bytes that is read.
    parse : callable
        Returns the value for the file's bytes.

    Returns
    -------
    value
        What `parse` returned.
    is_old : bool
        Whether the value is that of the last copy.

    Raises
    ------
    SourceError
        The URL cannot be reached and there is no copy.
    PackageError
        See :func:`scbasset_zoo.zoo.remote.read` and `parse`.
    """
    path = _copy_path(url)
    try:
        raw = remote.read(url, limit, attempts=2)
    except SourceError as error:
        copy = None if isinstance(error.__cause__, FileNotFoundError) else _read_copy(path, limit)
        if copy is None:
            raise
        raw, when = copy
        say(f"{error}; using the copy of {when:%Y-%m-%d %H:%M}")
        return parse(raw), True
    value = parse(raw)
    with contextlib.suppress(OSError, InputError):
        make_cache_folder(path.parent)
        with files.rewritten(path, through_links=False) as new:
            new.write_bytes(raw)
    return value, False


def last_copy(url: str, limit: int) -> bytes | None:
    """Return a small file as :func:`fetch` last read it, or None if it never did."""
    copy = _read_copy(_copy_path(url), limit)
    return copy[0] if copy else None


def _read_copy(path: Path, limit: int) -> tuple[bytes, datetime] | None:
    """Return the bytes and the time of a copy; None if there is none, or no plain file of at most `limit` bytes."""
    try:
        with open(path, "rb", opener=files.open_plain) as file:
            raw, when = file.read(limit + 1), datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime)
    except (OSError, InputError):
        return None
    return (raw, when) if len(raw) <= limit else None


def _copy_path(url: str) -> Path:
    return cache_folder() / "fetched" / hashlib.sha256(url.encode()).hexdigest()
