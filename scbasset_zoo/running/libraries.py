"""Lets the libraries of analyses run whatever the user's home, environment and settings are."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from platformdirs import user_cache_path

from scbasset_zoo.user_folders import temporary_folder


def prepare_libraries() -> None:
    """Make sure that numba and matplotlib can be imported.

    numba needs a place for the cache of functions of scanpy and UMAP. If the home cannot be written, it is a temporary folder.
    matplotlib cannot be imported if MPLBACKEND is wrong, so it is imported without it; no window is opened.
    """
    _use_writable_caches()
    if "MPLBACKEND" in os.environ and find_spec("matplotlib") is not None:
        _import_matplotlib()


def _use_writable_caches() -> None:
    try:
        caches = user_cache_path()
        caches.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(caches, os.W_OK)
    except (OSError, RuntimeError):
        is_writable = False
    if not is_writable:
        folder = temporary_folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        for variable, name in (("NUMBA_CACHE_DIR", "numba"), ("MPLCONFIGDIR", "matplotlib")):
            os.environ.setdefault(variable, str(folder / name))


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Draw during the block with matplotlib's defaults: the user's settings may need LaTeX or fonts that this machine lacks.

    Texts are shown as they are. Names of groups, such as "$CD4_+$", are no formulas.
    """
    matplotlib = _import_matplotlib()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")  # it is drawn as a box
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        yield


def _import_matplotlib() -> Any:
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        return importlib.import_module("matplotlib")
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
