"""The user's folders for settings and caches, also for users who have no home."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path, user_config_path, user_data_path

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import checked_path

_NAME = "scbasset-zoo"


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
