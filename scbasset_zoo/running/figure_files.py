"""Writes figures into a folder, as PNG and PDF."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination, new_folder, rewritten
from scbasset_zoo.wording import install_command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INSTALL_ANALYSES = f"run {install_command('analyses')} for all that the built-in analyses need"
FIGURE_SUFFIXES = (".png", ".pdf")


def require_matplotlib() -> None:
    """Raise InputError if figures cannot be drawn."""
    if find_spec("matplotlib") is None:
        raise InputError(f"Figures need matplotlib: {INSTALL_ANALYSES}.")


def figure_folder(folder: Path, *, overwrite: bool, inputs: Sequence[Any]) -> AbstractContextManager[Any]:
    """Hold a folder for figures; raise InputError if it cannot be written. With `overwrite`, other files in it stay."""
    return destination(folder, overwrite=overwrite, replaceable=_entries_of_folder if overwrite else None, inputs=inputs)


def write_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure by its name. The folder is made whole; in one that exists, figures of the same name are replaced."""
    if not folder.exists():
        with new_folder(folder) as partial:
            _save(figures, partial)
        return
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        _save(figures, Path(partial))
        for file in Path(partial).iterdir():
            with rewritten(folder / file.name) as new:
                file.rename(new)


def _save(figures: Mapping[str, Figure], folder: Path) -> None:
    for name, figure in figures.items():
        for suffix in FIGURE_SUFFIXES:
            figure.savefig(folder / f"{name}{suffix}", dpi=150, bbox_inches="tight")


def _entries_of_folder(folder: Path) -> list[str]:
    return os.listdir(folder)
