"""Get the package of an index entry: open it in its local source, download it, or make it with its recipe."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import MAX_BYTES, Card
from scbasset_zoo.package.digests import unseal
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say
from scbasset_zoo.user_folders import make_cache_folder
from scbasset_zoo.zoo import cache, recipes, remote
from scbasset_zoo.zoo.download import Download, download_all
from scbasset_zoo.zoo.hashes import changed_files
from scbasset_zoo.zoo.index import Entry, package_entry
from scbasset_zoo.zoo.schema import from_yaml
from scbasset_zoo.zoo.sources import Source
from scbasset_zoo.zoo.urls import folder_url


def package_of_entry(source: Source, entry: Entry, *, check_hashes: bool = False) -> Package:
    """Return the package of an entry.

    A package of a local source is opened in the source's folder. Any other package is opened in the cache, and pulled first if
    it is not there.

    Parameters
    ----------
    source : Source
    entry : Entry
    check_hashes : bool
        Check the hash of every file. A package of a local source must have the hashes in the index. A damaged package of the
        cache is pulled again.

    Raises
    ------
    PackageError
        The package is not the one in the index.
    SourceError
        The package is not in the cache and cannot be downloaded.
    InputError
        The disk does not have enough space, or the importer of a recipe cannot read its file.
    """
    if entry.recipe is not None:
        return _cached(entry, lambda folder: _build_from_recipe(source, entry, folder), check_hashes=check_hashes)
    if not source.is_remote:
        return _open_in_source(source, entry, check_hashes)
    base = f"{folder_url(source.location)}/{entry.path}"
    return _cached(entry, lambda folder: _download(base, entry, folder), check_hashes=check_hashes)


def package_at_url(url: str, *, check_hashes: bool = False) -> Package:
    """Return the package in the folder at a URL, pulled first if it is not in the cache.

    `check_hashes` and errors are those of :func:`package_of_entry`.
    """
    url = folder_url(url)
    card_url = f"{url}/card.yaml"
    entry, _ = cache.fetch(card_url, MAX_BYTES, lambda raw: _entry_of_card(raw, card_url))
    return _cached(entry, lambda folder: _download(url, entry, folder), check_hashes=check_hashes, by_url=True)


def is_on_this_machine(source: Source, entry: Entry) -> bool:
    """Return whether the package of an entry can be opened without a download."""
    return not (source.is_remote or entry.recipe) or cache.cached_package(entry) is not None


def _open_in_source(source: Source, entry: Entry, check_hashes: bool) -> Package:
    root = Path(source.location)
    folder = _path_without_links(root, str(entry.path))
    package = Package.open(folder)
    changed = [] if package.card_sha256 == entry.card_sha256 else ["card.yaml"]
    if check_hashes:
        changed += changed_files(package)
    if changed:
        raise PackageError(
            f"{folder}: {', '.join(changed)} changed after {root / 'index.json'} was written. "
            f"If the change is intended, run `scbasset-zoo index {root}`. Otherwise get the package again."
        )
    return package


def _path_without_links(root: Path, relative: str) -> Path:
    """Return `root / relative`. Symbolic links are refused, because they may lead out of the source."""
    path = root
    for part in relative.split("/"):
        path = path / part
        if path.is_symlink():
            raise PackageError(
                f"{path} is a symbolic link, which a source must not contain. Replace it by the file or folder that it points to."
            )
    return path


def _cached(entry: Entry, make: Callable[[Path], Path], *, check_hashes: bool, by_url: bool = False) -> Package:
    """Return the package in the cache. If it is missing, `make` builds it in a given folder, and it is then renamed into place."""
    package = cache.cached_package(entry, by_url=by_url)
    if package is not None and not (check_hashes and changed_files(package)):
        return package
    target = cache.package_folder(entry, by_url=by_url)
    with cache.lock(entry):
        # Another process may have pulled the package in the meantime.
        package = cache.cached_package(entry, by_url=by_url)
        changed = changed_files(package) if package is not None and check_hashes else []
        if package is not None and not changed:
            return package
        if changed:
            say(f"{target}: {', '.join(changed)} was damaged or changed; the package is removed and pulled again")
            files.remove(target)
        folder = make_cache_folder(cache.download_folder(entry))
        complete = make(folder)
        make_cache_folder(target.parent)
        files.remove(target)
        os.rename(complete, target)
        files.remove(folder)
    return Package.open(target)


def _download(base: str, entry: Entry, folder: Path) -> Path:
    package = folder / "package"
    for name in entry.files:
        make_cache_folder((package / name).parent)
    downloads = [Download(f"{base}/{name}", package / name, file.bytes, file.sha256) for name, file in entry.files.items()]
    # The card is checked before the other files are downloaded.
    downloads.sort(key=lambda file: file.path != package / "card.yaml")
    download_all(downloads[:1], f"pulling the card of {entry.name}")
    from_card = _entry_of_card((package / "card.yaml").read_bytes(), downloads[0].url)
    if (from_card.id, from_card.version, from_card.files) != (entry.id, entry.version, entry.files):
        raise PackageError(
            f"{base} is {from_card.name}, and its card lists other files than the index does for {entry.name}. "
            "Nothing was pulled. The source's maintainer should run `scbasset-zoo index`."
        )
    download_all(downloads, f"pulling {entry.name}")
    Package.open(package)
    return package


def _build_from_recipe(source: Source, entry: Entry, folder: Path) -> Path:
    assert entry.recipe is not None
    if source.is_remote:
        where = f"{folder_url(source.location)}/{entry.recipe.path}"
        raw = remote.read(where, recipes.MAX_BYTES)
    else:
        path = _path_without_links(Path(source.location), entry.recipe.path)
        where, raw = str(path), recipes.read_recipe(path)[1]
    if hashlib.sha256(raw).hexdigest() != entry.recipe.sha256:
        raise PackageError(
            f"{where} does not have the SHA-256 in the index. The source's maintainer should run `scbasset-zoo index`."
        )
    recipe = from_yaml(recipes.Recipe, raw, where)
    if (recipe.about.id, recipe.about.version) != (entry.id, entry.version):
        raise PackageError(f"{where} makes {recipe.about.id}@{recipe.about.version}, but the index has {entry.name}.")
    package = recipe.build_package(folder, folder / "package")
    if (package.card.id, package.card.version) != (entry.id, entry.version):
        raise PackageError(
            f"{where}: the importer {recipe.importer} made {package.card.id}@{package.card.version}, not {entry.name}."
        )
    return package.folder


def _entry_of_card(raw: bytes, where: str) -> Entry:
    text, problem = unseal(raw)
    if problem:
        raise PackageError(f"{where}: {problem}")
    try:
        card = Card.from_yaml(text)
    except PackageError as error:
        raise PackageError(f"{where}: {error}") from None
    return package_entry(card, raw, "package")
