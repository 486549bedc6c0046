"""Make the index of a folder of packages and recipes."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.files import remove_leftovers
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import progress
from scbasset_zoo.zoo.hashes import require_unchanged
from scbasset_zoo.zoo.index import FILE, Entry, Index, check_id, package_entry
from scbasset_zoo.zoo.recipes import read_recipe
from scbasset_zoo.zoo.schema import from_fields


def build_index(folder: str | os.PathLike[str]) -> Index:
    """Write index.json for all packages and recipes in a folder.

    Parameters
    ----------
    folder : path
        The folder of a source. Packages (folders with a card.yaml) and recipes (recipe.yaml) may be at any depth. Folders whose
        names start with a dot are skipped.

    Returns
    -------
    Index
        The index that was written.

    Raises
    ------
    PackageError
        Packages are incomplete or changed, two have the same name, or there are symbolic links. The message lists all of
        them. The old index stays.
    InputError
        The folder does not exist or cannot be written.
    """
    folder = files.checked_path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that contains the packages.")
    if (folder / "card.yaml").is_file():
        raise InputError(f"{folder} is itself a package. Give the folder that contains it.")
    files.check_destination(folder / FILE, overwrite=True)
    with index_lock(folder):
        entries: list[Entry] = []
        problems: list[str] = []
        paths = [*_walk(folder)]
        with progress("hashing packages", len(paths)) as advance:
            for path in paths:
                try:
                    entries.append(_entry(folder, path))
                except PackageError as error:
                    problems.append(str(error))
                advance(1)
        problems += _repeated_names(entries)
        if problems:
            raise PackageError("\n  ".join([f"{folder} was not indexed:", *problems]))
        index = Index.of_entries(entries, str(folder / FILE))
        index.write(folder)
    return index


@contextlib.contextmanager
def index_lock(folder: Path) -> Iterator[None]:
    """Hold the lock on the index of `folder`. Remove the unfinished files of processes that were killed.

    Raises
    ------
    InputError
        The folder has no lock: for one, because a link or a folder is in its place.
    """
    from filelock import FileLock

    lock = FileLock(folder / ".index.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise InputError(f"{folder / '.index.lock'} cannot be locked: {error.strerror or error}. Remove it.") from error
    try:
        remove_leftovers(folder / FILE)
        yield
    finally:
        lock.release()


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the folders of packages, the recipes and the symbolic links, sorted by name."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_symlink() or path.name == "recipe.yaml" or (path / "card.yaml").is_file():
            yield path
        elif path.is_dir():
            yield from _walk(path)


def _entry(folder: Path, path: Path) -> Entry:
    relative = path.relative_to(folder).as_posix()
    if path.is_symlink():
        raise PackageError(f"{path} is a symbolic link. Replace it by the file or folder that it points to.")
    if path.name == "recipe.yaml":
        return _recipe_entry(path, relative)
    package = Package.open(path)
    require_unchanged(package)
    return package_entry(package.card, (path / "card.yaml").read_bytes(), relative)


def _recipe_entry(path: Path, relative: str) -> Entry:
    recipe, raw = read_recipe(path)
    about = recipe.about
    check_id(about.id)
    fields = {
        "id": about.id,
        "version": about.version,
        "recipe": {"path": relative, "sha256": hashlib.sha256(raw).hexdigest()},
        "assembly": about.assembly,
        "description": about.description,
        "license": about.license,
        "tags": about.tags,
        "created": about.created,
    }
    return from_fields(Entry, fields, str(path))


def _repeated_names(entries: Iterable[Entry]) -> Iterator[str]:
    paths: dict[str, str] = {}
    for entry in entries:
        path = entry.recipe.path if entry.recipe else str(entry.path)
        if entry.name in paths:
            yield f"{entry.name} is in both {paths[entry.name]} and {path}. Give one of them another version."
        paths.setdefault(entry.name, path)
