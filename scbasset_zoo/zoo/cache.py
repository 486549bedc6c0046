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
from scbasset_zoo.zoo import remote

if TYPE_CHECKING:
    from scbasset_zoo.zoo.index import Entry

VARIABLE = "SCBASSET_ZOO_CACHE"
KEY_DIGITS = 12
LOCK_MESSAGE_SECONDS = 2.0
T = TypeVar("T")


def cache_folder() -> Path:
    """Return the cache's folder: SCBASSET_ZOO_CACHE, or the platform's folder for caches."""
    from scbasset_zoo.zoo.user_folders import default_cache_folder, expanded

    given = os.environ.get(VARIABLE)
    return expanded(given, VARIABLE).absolute() if given else default_cache_folder()


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


def make_folder(path: Path) -> Path:
    """Make a folder of the cache and return it. Below the cache's own folder, links are not followed, since others may make them.

    Raises
    ------
    InputError
        The folder cannot be made, or it or a folder that contains it is a link.
    """
    root = cache_folder()
    steps = [folder for folder in (path, *path.parents) if folder.is_relative_to(root) and folder != root]
    try:
        root.mkdir(parents=True, exist_ok=True)
        for folder in reversed(steps):
            if folder.is_symlink():
                raise InputError(f"{folder} in the cache is a link, and is not followed. Remove it.")
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _not_writable(error) from error
    return path


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


@contextlib.contextmanager
def lock(entry: Entry) -> Iterator[None]:
    """Hold the lock on an entry's package. A line tells the user if another process holds it."""
    from filelock import FileLock, Timeout

    path = cache_folder() / "locks" / f"{entry.key}.lock"
    file_lock = FileLock(path)
    try:
        make_folder(path.parent)
        file_lock.acquire(timeout=LOCK_MESSAGE_SECONDS)
    except Timeout:
        say(f"{entry.name}: waiting for another process that is pulling it")
        file_lock.acquire()
    except OSError as error:
        raise _not_writable(error) from error
    try:
        yield
    finally:
        file_lock.release()


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
        make_folder(path.parent)
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


def _not_writable(error: OSError) -> InputError:
    return InputError(
        f"The cache {cache_folder()} cannot be written: {error.strerror or error}. "
        f"Set {VARIABLE} to a folder that you may write to."
    )
