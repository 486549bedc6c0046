"""Open, pull, list and search the models of the zoo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scbasset_zoo import files
from scbasset_zoo.inputs.assemblies import same_assembly
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from scbasset_zoo.runtime.model import Model
    from scbasset_zoo.runtime.models import Models
    from scbasset_zoo.runtime.options import DeviceName, Precision

    Given: TypeAlias = Model | Models | str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Listing:
    """One version of a model in one source. For a model that a recipe makes, `bytes` is 0 and `n_cells` is None."""

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


def open_model(
    name_or_folder_or_url: str | os.PathLike[str],
    device: DeviceName = "auto",
    *,
    threads: int | None = None,
    precision: Precision = "float32",
) -> Model:
    """Open a model for prediction. Pull it first if it is not on this machine.

    Parameters
    ----------
    name_or_folder_or_url : str or path
        The name of a model in the zoo: `scbasset/demo` for its newest version, or `scbasset/demo@0.1.0`. Or the folder or URL
        (`https://`, `s3://` or `hf://`) of a model package.
    device : "auto", "cpu", "openvino", "cuda" or "tensorrt"
        The device to run on. ``auto`` takes an NVIDIA GPU if one can be used. ``openvino`` is Intel's provider, for processors.
    threads : int, optional
        Threads that compute on the CPU. By default the variable SCBASSET_ZOO_THREADS, or else the cores that this process may use.
    precision : "float32", "bfloat16", "float16" or "tf32"
        What the factors of products are rounded to. ``openvino`` has float32 and bfloat16, ``cuda`` float32, tf32 and float16. With
        ``auto``, the first device that has it is taken; without one, float32. The numbers of another setting than float32 on
        ``cpu`` or ``cuda`` are compared with the package's test outputs; the difference is said, and refused if it is large.

    Raises
    ------
    InputError
        No source has a model of that name.
    SourceError
        The model is not in the cache, and its source cannot be reached.
    PackageError
        The folder does not exist, or the package is incomplete or not the one in the index.
    DeviceError
        The device cannot be used, or no ONNX Runtime is installed.
    """
    from scbasset_zoo.runtime.model import Model

    return Model(find_package(name_or_folder_or_url), device, threads, precision=precision)


def open_models(
    names_or_folders: Sequence[str | os.PathLike[str]],
    device: DeviceName = "auto",
    *,
    threads: int | None = None,
    common_cells: bool = False,
    precision: Precision = "float32",
) -> Models:
    """Open several models of the same cells, such as fits with other seeds, to combine their results.

    Parameters
    ----------
    names_or_folders : sequence of str or path
        Names, folders or URLs, as for :func:`open_model`. Cells are matched by barcode, in whatever order the packages have them.
    device, threads, precision
        As for :func:`open_model`.
    common_cells : bool
        Keep the cells that all models have. Otherwise different sets of cells are an error.

    Raises
    ------
    InputError
        A package is given twice, or the packages differ in their assembly, sequence length or cells; raised before a network is
        loaded. Or as for :func:`open_model`.
    SourceError, PackageError, DeviceError
        As for :func:`open_model`.
    """
    from scbasset_zoo.runtime.models import Models

    if isinstance(names_or_folders, str | os.PathLike):
        names_or_folders = [names_or_folders]
    return Models(
        [find_package(name) for name in names_or_folders], device, threads, common_cells=common_cells, precision=precision
    )


def opened(
    given: Given,
    device: DeviceName,
    *,
    threads: int | None = None,
    common_cells: bool = False,
    precision: Precision = "float32",
) -> Model | Models:
    """Return an open model, or several, of what is given: open already, a name, folder or URL, or several of these.

    One model is opened as by :func:`open_model`, and several as by :func:`open_models`.
    """
    if isinstance(given, str | os.PathLike):
        return open_model(given, device, threads=threads, precision=precision)
    if isinstance(given, Sequence):
        if len(given) == 1:
            return opened(given[0], device, threads=threads, precision=precision)
        return open_models(given, device, threads=threads, common_cells=common_cells, precision=precision)
    return given


def find_package(name_or_folder_or_url: str | os.PathLike[str]) -> Package:
    """Return the package of a name, folder or URL. Pull it first if it is not on this machine. Errors: :func:`open_model`."""
    return Package.open(find_folder(name_or_folder_or_url))


def find_folder(name_or_folder_or_url: str | os.PathLike[str]) -> Path:
    """Return the folder of a package. A given folder is returned as it is, so that a damaged package can be verified."""
    return _folder_of_name_or_url(name_or_folder_or_url) or Path(name_or_folder_or_url)


def pull(name_or_url: str | os.PathLike[str]) -> Package:
    """Download a model into the cache and check the hash of every file.

    A model in a local folder is checked there and not copied. A damaged model in the cache is downloaded again.

    Raises
    ------
    InputError, SourceError, PackageError
        See :func:`open_model`.
    """
    from scbasset_zoo.zoo.hashes import require_unchanged

    folder = _folder_of_name_or_url(name_or_url, check_hashes=True)
    if folder:
        return Package.open(folder)
    package = Package.open(name_or_url)
    require_unchanged(package)
    return package


def list_models(source: str | None = None, tag: str | None = None, assembly: str | None = None) -> list[Listing]:
    """List the models of all sources. A message on standard error names each source that cannot be read.

    Parameters
    ----------
    source : str, optional
        Only this source.
    tag : str, optional
        Only models with this tag.
    assembly : str, optional
        Only models of this assembly, for example hg38.

    Raises
    ------
    InputError
        There is no such source.
    SourceError, PackageError
        The requested source cannot be read, or no source can.
    """
    from scbasset_zoo.zoo.lookup import read_sources

    contents = read_sources(source)
    if contents.errors and len(contents.errors) == len(contents.sources):
        raise next(iter(contents.errors.values()))
    for name, error in contents.errors.items():
        say(f"source {name} is left out: {error}")
    return [
        _listing(source_of_entry, entry)
        for source_of_entry, entry in contents.entries
        if (tag is None or tag in entry.tags)
        and (assembly is None or (entry.assembly is not None and same_assembly(assembly, entry.assembly)))
    ]


def search_models(words: str | Iterable[str]) -> list[Listing]:
    """List the models whose id, description, tags, assembly or licence contain every word, in any letter case."""
    words = [word.casefold() for word in (words.split() if isinstance(words, str) else words)]
    return [model for model in list_models() if all(word in _searched_text(model) for word in words)]


def package_or_listing(given: str) -> Package | Listing:
    """Return a package as :func:`find_package` does, but what its source says of it if a recipe would have to make it first."""
    if "://" in given or is_folder(given):
        return find_package(given)
    from scbasset_zoo.zoo.lookup import package_or_entry
    from scbasset_zoo.zoo.pulling import is_on_this_machine, package_of_entry

    found = package_or_entry(given)
    if isinstance(found, Package):
        return found
    return _listing(*found) if found[1].recipe and not is_on_this_machine(*found) else package_of_entry(*found)


def is_folder(given: str | os.PathLike[str]) -> bool:
    """Return whether the folder of a package is given, and not a name or URL."""
    path, text = files.checked_path(given), os.fspath(given)
    return isinstance(given, os.PathLike) or path.is_absolute() or text.startswith(".") or (path / "card.yaml").is_file()


def _folder_of_name_or_url(given: str | os.PathLike[str], *, check_hashes: bool = False) -> Path | None:
    """Return the package's folder of a name or URL, or None if `given` is itself a folder."""
    text = os.fspath(given)
    if "://" in text:
        from scbasset_zoo.zoo.pulling import package_at_url

        return package_at_url(text, check_hashes=check_hashes).folder
    if is_folder(given):
        return None
    from scbasset_zoo.zoo.lookup import package_named

    return package_named(text, check_hashes=check_hashes).folder


def _listing(source: Any, entry: Any) -> Listing:
    from scbasset_zoo.zoo.pulling import is_on_this_machine

    shared = ("id", "version", "assembly", "n_cells", "description", "license", "tags", "created", "bytes")
    fields = {name: getattr(entry, name) for name in shared}
    return Listing(source=source.name, on_this_machine=is_on_this_machine(source, entry), **fields)


def _searched_text(model: Listing) -> str:
    parts = (model.id, model.description, *model.tags, model.assembly or "", model.license)
    return "\n".join(parts).casefold()
