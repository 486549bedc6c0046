"""Names to models: find, list, pull and publish packages in local folders and at URLs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from scbasset_zoo.runtime.devices import DeviceName
    from scbasset_zoo.runtime.model import Model


@dataclass(frozen=True)
class Listing:
    """One version of a model in one source; `bytes` is 0, and `n_cells` None, for a model that a recipe makes."""

    source: str
    id: str
    version: str
    assembly: str | None
    n_cells: int | None
    description: str
    license: str
    tags: tuple[str, ...]
    created: date | None
    bytes: int
    on_this_machine: bool


def open_model(name_or_folder_or_url: str | os.PathLike[str], device: DeviceName = "auto") -> Model:
    """Open a model for prediction, pulling it on first use.

    Parameters
    ----------
    name_or_folder_or_url : str or path
        A name of the zoo, as `scbasset/demo` (its newest version) or `scbasset/demo@0.1.0`; or the folder of a model
        package; or the URL of one (https://, s3:// or hf://).
    device : "auto", "cpu" or "cuda"
        Where to run; ``auto`` takes an NVIDIA GPU where there is a usable one.

    Raises
    ------
    InputError
        No source has a model of that name.
    SourceError
        It is not in the cache, and its source cannot be reached.
    PackageError
        There is no such folder, or the package is not complete or not what its index says.
    DeviceError
        The device cannot be had, or no ONNX Runtime is installed.
    """
    from scbasset_zoo.runtime.model import Model

    return Model(find_package(name_or_folder_or_url), device)


def find_package(name_or_folder_or_url: str | os.PathLike[str]) -> Package:
    """The package of a name, folder or URL, pulled into the cache if it is not on this machine; errors as :func:`open_model`."""
    return Package.open(find_folder(name_or_folder_or_url))


def find_folder(name_or_folder_or_url: str | os.PathLike[str]) -> Path:
    """As :func:`find_package`, without opening a folder that is given, so that a damaged package can be looked at."""
    return _find(name_or_folder_or_url) or Path(name_or_folder_or_url)


def pull(name_or_url: str | os.PathLike[str]) -> Package:
    """Have a model on this machine, with the hash of every file checked.

    A model of a local folder is checked where it lies; others are downloaded into the cache, once, and again if damaged there.

    Raises
    ------
    InputError, SourceError, PackageError
        As for :func:`open_model`.
    """
    from scbasset_zoo.zoo.index import checked

    found = _find(name_or_url, check_hashes=True)
    return Package.open(found) if found else checked(Package.open(name_or_url))


def list_models(source: str | None = None, tag: str | None = None, assembly: str | None = None) -> list[Listing]:
    """All models of all sources; a source that cannot be read is named on standard error.

    Parameters
    ----------
    source : str, optional
        Only this source.
    tag : str, optional
        Only models with this tag.
    assembly : str, optional
        Only models of this assembly, as hg38.

    Raises
    ------
    InputError
        There is no such source.
    SourceError, PackageError
        The source asked for, or every source, cannot be read.
    """
    from scbasset_zoo.zoo.names import survey

    known = survey(source)
    if known.failed and len(known.failed) == len(known.looked_in):
        raise next(iter(known.failed.values()))
    for name, error in known.failed.items():
        say(f"source {name} is left out: {error}")
    return [
        _listing(place, entry)
        for place, entry in known.found
        if (tag is None or tag in entry.tags) and (assembly is None or assembly == entry.assembly)
    ]


def search_models(words: str | Iterable[str]) -> list[Listing]:
    """Models that have every word, in any letter case, in their id, description, tags, assembly or licence."""
    wanted = [word.casefold() for word in (words.split() if isinstance(words, str) else words)]
    return [model for model in list_models() if all(word in _text(model) for word in wanted)]


def _find(given: str | os.PathLike[str], *, check_hashes: bool = False) -> Path | None:
    """The folder of a name or URL; None where a folder is given."""
    text, path = os.fspath(given), Path(given)
    if "://" in text:
        from scbasset_zoo.zoo.pulling import package_at

        return package_at(text, check_hashes=check_hashes).folder
    if isinstance(given, os.PathLike) or path.is_absolute() or text.startswith(".") or (path / "card.yaml").is_file():
        return None
    from scbasset_zoo.zoo.names import package_named

    return package_named(text, check_hashes=check_hashes).folder


def _listing(source: Any, entry: Any) -> Listing:
    from scbasset_zoo.zoo.pulling import is_here

    shared = ("id", "version", "assembly", "n_cells", "description", "license", "tags", "created", "bytes")
    return Listing(source=source.name, on_this_machine=is_here(source, entry), **{name: getattr(entry, name) for name in shared})


def _text(model: Listing) -> str:
    parts = (model.id, model.description, *model.tags, model.assembly or "", model.license)
    return "\n".join(parts).casefold()
