"""Publish a package: verify it, copy it to a source, and then add it to the source's index."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.package.card import MAX_BYTES, FileEntry
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.progress import progress, say
from scbasset_zoo.zoo import index, remote
from scbasset_zoo.zoo.index import Entry, Index, package_entry
from scbasset_zoo.zoo.indexing import index_lock
from scbasset_zoo.zoo.schema import from_json
from scbasset_zoo.zoo.urls import WRITABLE, folder_url, is_url


def publish(package: str | os.PathLike[str], destination: str | os.PathLike[str]) -> Entry:
    """Verify a package, copy it to a source and add it to the source's index.

    Parameters
    ----------
    package : path
        Folder of the package.
    destination : path or str
        The source: its name, a local folder, or an s3:// or hf:// URL. A text without a slash is the name of a source, or else
        an existing folder. Give a new folder as ./NAME or as a Path.

    Returns
    -------
    Entry
        The new entry in the index.

    Raises
    ------
    PackageError
        Verifying the package finds problems, all of which are listed, or another package has the same id and version there.
    InputError
        The destination is not a source, cannot be written, or is inside the package.
    SourceError
        The destination cannot be reached.
    """
    location, folder = _location(destination), files.checked_path(package)
    if not is_url(location) and files.checked_path(location).resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{location} is inside the package {package}. Publish to a folder outside of it.")
    opened = _verified(folder)
    path = f"{opened.card.id}/{opened.card.version}"
    entry = package_entry(opened.card, (opened.folder / "card.yaml").read_bytes(), path)
    if is_url(location):
        _publish_remotely(opened, location, entry)
    else:
        _publish_locally(opened, Path(location), entry)
    return entry


def _verified(folder: Path) -> Package:
    findings = verify_package(folder)
    if findings:
        raise PackageError("\n  ".join([f"{folder} was not published. Its problems:", *map(str, findings)]))
    return Package.open(folder)


def _location(given: str | os.PathLike[str]) -> str:
    """Return the folder or URL of a destination, which may be the name of a source."""
    destination = os.fspath(given)
    if isinstance(given, str) and Path(given).name == given:
        destination = _source_or_folder(given)
    if is_url(destination):
        destination = folder_url(destination)
        if destination.partition("://")[0] not in WRITABLE:
            kinds = " and ".join(f"{kind}://" for kind in WRITABLE)
            raise InputError(f"{destination} cannot be written. Packages are published to local folders, {kinds}.")
    return destination


def _source_or_folder(name: str) -> str:
    from scbasset_zoo.zoo.sources import config_path, sources

    locations = {source.name: source.location for source in sources()}
    if name in locations:
        if os.path.isdir(name):
            say(f"{name} is the source at {locations[name]}; to publish to the folder of that name, give ./{name}")
        return locations[name]
    if not os.path.isdir(name):
        raise InputError(
            f"There is no source {name!r} and no folder of that name. Sources: {', '.join(locations) or 'none'}. "
            f"Give ./{name} to make a folder, or add the source to {config_path()}."
        )
    return name


def _publish_locally(package: Package, root: Path, entry: Entry) -> None:
    target = root / str(entry.path)
    files.check_destination(root / index.FILE, overwrite=True)
    with index_lock(root):
        path = root / index.FILE
        old_entries = _entries(path.read_bytes(), str(path)) if path.is_file() else ()
        if _is_listed(old_entries, entry, str(root)):
            return
        new_index = Index.of_entries((*old_entries, entry), str(path))
        if not _same_card(target / "card.yaml", entry):
            with files.new_folder(target) as partial, progress(f"copying {entry.name}", entry.bytes) as advance:
                for name, file in _card_last(entry):
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(package.folder / name, partial / name)
                    if files.sha256(partial / name) != file.sha256:
                        raise PackageError(f"{package.folder / name} changed while it was copied; nothing was published.")
                    advance(file.bytes)
        new_index.write(root)


def _publish_remotely(package: Package, root: str, entry: Entry) -> None:
    index_url = f"{root}/{index.FILE}"
    raw = _read_if_exists(index_url, index.MAX_BYTES)
    old_entries = () if raw is None else _entries(raw, index_url)
    if _is_listed(old_entries, entry, root):
        return
    new_index = Index.of_entries((*old_entries, entry), index_url)
    base = f"{root}/{entry.path}"
    old_card = _read_if_exists(f"{base}/card.yaml", MAX_BYTES)
    if old_card is not None and hashlib.sha256(old_card).hexdigest() != entry.card_sha256:
        raise _other_content(entry, root)
    with progress(f"uploading {entry.name}", entry.bytes) as advance:
        for name, file in _card_last(entry):
            remote.upload(package.folder / name, f"{base}/{name}")
            advance(file.bytes)
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / index.FILE
        new.write_text(new_index.to_json(), encoding="utf-8")
        remote.upload(new, index_url)


def _entries(raw: bytes, where: str) -> tuple[Entry, ...]:
    """Return all entries of an index, also those that readers leave out, so that none is lost when it is written again."""
    return from_json(Index, raw, where).models


def _is_listed(old_entries: Iterable[Entry], entry: Entry, root: str) -> bool:
    """Return whether the index has the package. Another package of the same version is an error: a version never changes."""
    for other in old_entries:
        if other.name == entry.name:
            if other.key != entry.key:
                raise _other_content(entry, root)
            say(f"{entry.name} is already in {root}, with the same content; nothing to do")
            return True
    return False


def _same_card(path: Path, entry: Entry) -> bool:
    if not path.exists():
        return False
    if files.sha256(path) != entry.card_sha256:
        raise _other_content(entry, str(path.parent))
    return True


def _other_content(entry: Entry, root: str) -> PackageError:
    return PackageError(
        f"{root} has another package as {entry.name}, and a published version never changes. Give your package a new version."
    )


def _read_if_exists(url: str, limit: int) -> bytes | None:
    try:
        return remote.read(url, limit)
    except SourceError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _card_last(entry: Entry) -> list[tuple[str, FileEntry]]:
    return sorted(entry.files.items(), key=lambda item: item[0] == "card.yaml")
