"""The cache on disk: complete models by id, version and hash; downloads under way; what sources said when last asked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.package import Package
from scbasset_zoo.progress import say
from scbasset_zoo.zoo import remote

if TYPE_CHECKING:
    from scbasset_zoo.zoo.index import Entry

VARIABLE = "SCBASSET_ZOO_CACHE"
KEY_DIGITS = 12
PATIENCE_SECONDS = 2.0
T = TypeVar("T")
_VERSION_FOLDER = re.compile(rf"(?P<version>.+)-[0-9a-f]{{{KEY_DIGITS}}}")


def root() -> Path:
    """The cache's folder: SCBASSET_ZOO_CACHE, or the platform's place for caches."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("scbasset-zoo")


def folder(entry: Entry) -> Path:
    """Where a model lies once it is complete."""
    return root() / "models" / entry.id / f"{entry.version}-{entry.key[:KEY_DIGITS]}"


def partial(entry: Entry) -> Path:
    """Where its files lie until then; the same for all processes, so that one goes on where another broke off."""
    return root() / "partial" / entry.key


def opened(entry: Entry) -> Package | None:
    """The model if it is in the cache and complete."""
    try:
        package = Package.open(folder(entry))
    except PackageError:
        return None
    same = (package.card.id, package.card.version) == (entry.id, entry.version)
    return package if same and (entry.recipe or package.card_sha256 == entry.card_sha256) else None


def versions(model_id: str) -> dict[str, list[Package]]:
    """Complete packages of a model by version."""
    found: dict[str, list[Package]] = {}
    parent = root() / "models" / model_id
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        match = _VERSION_FOLDER.fullmatch(path.name)
        if match:
            with contextlib.suppress(PackageError):
                found.setdefault(match["version"], []).append(Package.open(path))
    return found


@contextlib.contextmanager
def lock(entry: Entry) -> Iterator[None]:
    """Hold one model of the cache alone; says so when another process holds it."""
    from filelock import FileLock, Timeout

    path = root() / "locks" / f"{entry.key}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path)
    try:
        held.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        say(f"{entry.name}: waiting for another process that is pulling it")
        held.acquire()
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
    kept = root() / "fetched" / hashlib.sha256(url.encode()).hexdigest()
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
