"""The user's folders for settings, data and caches, also for users who have no home."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from platformdirs import user_cache_path, user_config_path, user_data_path

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import checked_path
from scbasset_zoo.progress import say

CACHE_VARIABLE = "SCBASSET_ZOO_CACHE"
LOCK_MESSAGE_SECONDS = 2.0
_NAME = "scbasset-zoo"


def cache_folder() -> Path:
    """Return the cache's folder: SCBASSET_ZOO_CACHE, or the platform's folder for caches."""
    given = os.environ.get(CACHE_VARIABLE)
    return expanded(given, CACHE_VARIABLE).absolute() if given else default_cache_folder()


def make_cache_folder(path: Path) -> Path:
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


@contextlib.contextmanager
def cache_lock(name: str, waiting: str) -> Iterator[None]:
    """Hold a lock of the cache. If another process holds it, wait, and show the line `waiting`."""
    from filelock import FileLock, Timeout

    path = cache_folder() / "locks" / f"{name}.lock"
    file_lock = FileLock(path)
    try:
        make_cache_folder(path.parent)
        file_lock.acquire(timeout=LOCK_MESSAGE_SECONDS)
    except Timeout:
        say(waiting)
        file_lock.acquire()
    except OSError as error:
        raise _not_writable(error) from error
    try:
        yield
    finally:
        file_lock.release()


def config_folder() -> Path:
    """Return the platform's folder for settings."""
    return _or_temporary(user_config_path)


def default_cache_folder() -> Path:
    """Return the platform's folder for caches."""
    return _or_temporary(user_cache_path)


def data_folder() -> Path:
    """Return the platform's folder for data of programs."""
    return _or_temporary(user_data_path)


def expanded(text: str, where: str) -> Path:
    """Return a path that a user wrote, with `~` replaced by the user's home.

    Raises
    ------
    InputError
        The path begins with `~` and there is no such home, or it is no path. `where` says in the message who gives the path.
    """
    try:
        return checked_path(Path(text).expanduser())
    except RuntimeError as error:
        raise InputError(f"{where} is {text!r}, but there is no such home. Write the whole path.") from error


def temporary_folder() -> Path:
    """Return a folder for a user without a home: HOME is not set, and no list of users has this user, as in some containers.

    Raises
    ------
    InputError
        The folder belongs to another user.
    """
    folder = Path(tempfile.gettempdir()) / f"{_NAME}-{os.getuid()}"
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
        raise InputError(f"{folder} belongs to another user. Set HOME, or SCBASSET_ZOO_CACHE and SCBASSET_ZOO_CONFIG.")
    return folder


def _or_temporary(platform_path: Callable[[str], Path]) -> Path:
    try:
        return platform_path(_NAME)
    except RuntimeError:  # the user has no home
        return temporary_folder()


def _not_writable(error: OSError) -> InputError:
    return InputError(
        f"The cache {cache_folder()} cannot be written: {error.strerror or error}. "
        f"Set {CACHE_VARIABLE} to a folder that you may write to."
    )
