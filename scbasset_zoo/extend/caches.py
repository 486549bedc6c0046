"""Arrays that are computed once and kept in the user's cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.files import new_file
from scbasset_zoo.user_folders import cache_folder, make_cache_folder


def cached_arrays(kind: str, digest: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return an array from the user's cache, or compute it and keep it there.

    Parameters
    ----------
    kind : str
        Folder within the cache, such as the name of the analysis.
    digest : str
        Hash of all that the array depends on, as hexadecimal digits.
    compute : callable
        Returns the array.

    Returns
    -------
    array
        What `compute` returned, now or before. A file that is damaged is made again.

    Raises
    ------
    InputError
        The cache cannot be written.
    """
    folder = make_cache_folder(cache_folder() / "arrays" / kind)
    path = folder / f"{digest}.npy"
    if path.is_file() and not path.is_symlink():
        try:
            return np.asarray(np.load(path, allow_pickle=False))
        except (ValueError, OSError, EOFError):
            os.unlink(path)
    values = compute()
    with new_file(path) as partial, partial.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    return values
