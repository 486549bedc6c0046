"""An entry of an index becomes a package on this machine: used where it lies, downloaded, or made by its recipe."""

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
from scbasset_zoo.zoo import cache, recipes, remote
from scbasset_zoo.zoo.index import Entry, changed_files, package_entry
from scbasset_zoo.zoo.schema import from_yaml
from scbasset_zoo.zoo.sources import Source


def package_of(source: Source, entry: Entry, *, check_hashes: bool = False) -> Package:
    """The package of an entry; of a local source the folder itself, of any other the cache's, pulled if it is not there.

    With `check_hashes`, a package of a local source must have the hashes of its index, and one of the cache that is damaged is
    pulled again.

    Raises
    ------
    PackageError
        The package is not what the index says.
    SourceError
        It is not in the cache and cannot be downloaded.
    InputError
        There is no room, or a recipe's importer cannot use its file.
    """
    if entry.recipe is None and not source.is_remote:
        return _in_place(source, entry, check_hashes)
    if entry.recipe is not None:
        return _cached(entry, lambda folder: _cook(source, entry, folder), check_hashes=check_hashes)
    base = f"{remote.folder_url(source.location)}/{entry.path}"
    return _cached(entry, lambda folder: _download(base, entry, folder), check_hashes=check_hashes)


def is_here(source: Source, entry: Entry) -> bool:
    """Whether the package of an entry is on this machine."""
    return not (source.is_remote or entry.recipe) or cache.opened(entry) is not None


def package_at(url: str, *, check_hashes: bool = False) -> Package:
    """The package in the folder at a URL, from the cache if it is there; `check_hashes` as for :func:`package_of`.

    Raises
    ------
    PackageError, SourceError, InputError
        As for :func:`package_of`.
    """
    url = remote.folder_url(url)
    place = f"{url}/card.yaml"
    entry, _ = cache.fetched(place, MAX_BYTES, lambda raw: _entry_of_card(raw, place))
    return _cached(entry, lambda folder: _download(url, entry, folder), check_hashes=check_hashes, by_url=True)


def _in_place(source: Source, entry: Entry, check_hashes: bool) -> Package:
    root = Path(source.location)
    folder = _inside(root, str(entry.path))
    package = Package.open(folder)
    changed = [] if package.card_sha256 == entry.card_sha256 else ["card.yaml"]
    if check_hashes:
        changed += changed_files(package)
    if changed:
        raise PackageError(
            f"{folder}: {', '.join(changed)} changed since {root / 'index.json'} was made. "
            f"If that is meant, run `scbasset-zoo index {root}`; otherwise fetch the package again."
        )
    return package


def _inside(root: Path, relative: str) -> Path:
    """`relative` in `root`, reached without symbolic links, which could lead anywhere."""
    path = root
    for part in relative.split("/"):
        path = path / part
        if path.is_symlink():
            raise PackageError(f"{path} is a symbolic link, which a source must not hold: put there what it points to.")
    return path


def _cached(entry: Entry, make: Callable[[Path], Path], *, check_hashes: bool, by_url: bool = False) -> Package:
    """The cache's package; if it is not there, `make` builds it in a folder of the cache, and it comes there as a whole."""
    package = cache.opened(entry, by_url=by_url)
    if package is not None and not (check_hashes and changed_files(package)):
        return package
    target = cache.folder(entry, by_url=by_url)
    with cache.lock(entry):
        # Another process may have pulled it meanwhile.
        package = cache.opened(entry, by_url=by_url)
        changed = changed_files(package) if package is not None and check_hashes else []
        if package is not None and not changed:
            return package
        if changed:
            say(f"{target}: {', '.join(changed)} was damaged or changed; removed, to be pulled again")
            files.remove(target)
        partial = cache.partial(entry)
        partial.mkdir(parents=True, exist_ok=True)
        made = make(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        files.remove(target)
        os.rename(made, target)
        files.remove(partial)
    return Package.open(target)


def _download(base: str, entry: Entry, folder: Path) -> Path:
    made = folder / "package"
    wanted = [remote.Wanted(f"{base}/{name}", made / name, file.bytes, file.sha256) for name, file in entry.files.items()]
    # The card comes first: what it says decides whether the rest is worth a download.
    wanted.sort(key=lambda file: file.path != made / "card.yaml")
    remote.download_all(wanted[:1], f"pulling the card of {entry.name}")
    found = _entry_of_card((made / "card.yaml").read_bytes(), wanted[0].url)
    if (found.id, found.version, found.files) != (entry.id, entry.version, entry.files):
        raise PackageError(
            f"{base} is {found.name}, and its card lists other files than the index does for {entry.name}; "
            "nothing was pulled. The source's keeper should run `scbasset-zoo index`."
        )
    remote.download_all(wanted, f"pulling {entry.name}")
    Package.open(made)
    return made


def _cook(source: Source, entry: Entry, folder: Path) -> Path:
    assert entry.recipe is not None
    if source.is_remote:
        where = f"{remote.folder_url(source.location)}/{entry.recipe.path}"
        raw = remote.read(where, recipes.MAX_BYTES)
    else:
        path = _inside(Path(source.location), entry.recipe.path)
        where, raw = str(path), path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != entry.recipe.sha256:
        raise PackageError(f"{where} is not the recipe that the index names. The source's keeper should run `scbasset-zoo index`.")
    recipe = from_yaml(recipes.Recipe, raw, where)
    if (recipe.about.id, recipe.about.version) != (entry.id, entry.version):
        raise PackageError(f"{where} makes {recipe.about.id}@{recipe.about.version}; the index says {entry.name}.")
    package = recipe.cook(folder, folder / "package")
    if (package.card.id, package.card.version) != (entry.id, entry.version):
        raise PackageError(
            f"{where}: the importer {recipe.importer} made {package.card.id}@{package.card.version}, not {entry.name}."
        )
    return package.folder


def _entry_of_card(raw: bytes, where: str) -> Entry:
    text, broken = unseal(raw)
    if broken:
        raise PackageError(f"{where}: {broken}")
    try:
        card = Card.from_yaml(text)
    except PackageError as error:
        raise PackageError(f"{where}: {error}") from None
    return package_entry(card, raw, "package")
