"""The cache on disk: complete models by name or, from URLs, by hash; downloads under way; what sources said when last asked."""

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
PATIENCE_SECONDS = 2.0
T = TypeVar("T")


def root() -> Path:
    """The cache's folder: SCBASSET_ZOO_CACHE, or the platform's place for caches."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("scbasset-zoo")


def folder(entry: Entry, *, by_url: bool = False) -> Path:
    """Where a model lies once it is complete.

    What was opened by its URL lies apart: its id is what its own card says, and must not decide what a name means.
    """
    if by_url:
        return root() / "urls" / entry.key
    return root() / "models" / entry.id / f"{entry.version}-{entry.key[:KEY_DIGITS]}"


def partial(entry: Entry) -> Path:
    """Where its files lie until then; the same for all processes, so that one goes on where another broke off."""
    return root() / "partial" / entry.key


def opened(entry: Entry, *, by_url: bool = False) -> Package | None:
    """The model if it is in the cache and complete."""
    try:
        package = Package.open(folder(entry, by_url=by_url))
    except PackageError:
        return None
    same = (package.card.id, package.card.version) == (entry.id, entry.version)
    return package if same and (entry.recipe or package.card_sha256 == entry.card_sha256) else None


def pulled(model_id: str = "**") -> Iterator[Package]:
    """Complete packages that were pulled by name, of one model or of all."""
    models = root() / "models"
    for path in sorted(models.glob(f"{model_id}/*/card.yaml")):
        with contextlib.suppress(PackageError):
            package = Package.open(path.parent)
            # A file of a package may be called card.yaml too.
            place = models / package.card.id, package.card.version
            if (path.parents[1], path.parent.name.rpartition("-")[0]) == place:
                yield package


@contextlib.contextmanager
def lock(entry: Entry) -> Iterator[None]:
    """Hold one model of the cache alone; says so when another process holds it."""
    from filelock import FileLock, Timeout

    path = root() / "locks" / f"{entry.key}.lock"
    held = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        say(f"{entry.name}: waiting for another process that is pulling it")
        held.acquire()
    except OSError as error:
        raise InputError(
            f"The cache {root()} cannot be written: {error.strerror or error}. Set {VARIABLE} to a folder that you may write to."
        ) from error
    try:
        yield
    finally:
        held.release()


def fetched(url: str, limit: int, parse: Callable[[bytes], T]) -> tuple[T, bool]:
    """A small file from its URL, or, where that cannot be reached, as it was when last fetched: (parsed, whether it is old).

    Raises
    ------
    SourceError
        It cannot be reached now and was never fetched.
    PackageError
        As for :func:`scbasset_zoo.zoo.remote.read` and `parse`.
    """
    kept = _kept(url)
    try:
        raw = remote.read(url, limit, attempts=2)
    except SourceError as error:
        if isinstance(error.__cause__, FileNotFoundError) or not kept.is_file():
            raise
        when = datetime.fromtimestamp(kept.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        say(f"{error}; going by what it was on {when}")
        return parse(kept.read_bytes()), True
    parsed = parse(raw)
    with contextlib.suppress(OSError, InputError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with files.new_file(kept) as new:
            new.write_bytes(raw)
    return parsed, False


def last_fetched(url: str) -> bytes | None:
    """A small file as it was when :func:`fetched` last read it; None if it never did."""
    kept = _kept(url)
    return kept.read_bytes() if kept.is_file() else None


def _kept(url: str) -> Path:
    return root() / "fetched" / hashlib.sha256(url.encode()).hexdigest()
