"""Publishing: a verified package is copied to a source, and enters its index last."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.package.card import MAX_BYTES
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.progress import progress, say
from scbasset_zoo.zoo import index, remote
from scbasset_zoo.zoo.index import Entry, Index, package_entry


def publish(package: str | os.PathLike[str], destination: str | os.PathLike[str]) -> Entry:
    """Verify a package, copy it to a source and enter it in the source's index.

    Parameters
    ----------
    package : path
        Folder of the package.
    destination : path or str
        The source: its name, which goes before a folder of that name; a local folder, which is made if it is not there and
        given as ./NAME or a Path; or an s3:// or hf:// URL.

    Returns
    -------
    Entry
        The package's entry in the index.

    Raises
    ------
    PackageError
        The package has findings, all of which are listed, or another package of its id and version is published there.
    InputError
        The destination is no source, of a kind that cannot be written, or inside the package.
    SourceError
        The destination cannot be reached.
    """
    place = _place(destination)
    if not remote.is_url(place) and Path(place).resolve().is_relative_to(Path(package).resolve()):
        raise InputError(f"{place} lies inside the package {package}. Publish to a folder outside of it.")
    opened = _verified(Path(package))
    path = f"{opened.card.id}/{opened.card.version}"
    entry = package_entry(opened.card, (opened.folder / "card.yaml").read_bytes(), path)
    if remote.is_url(place):
        _publish_remotely(opened, place, entry)
    else:
        _publish_locally(opened, Path(place), entry)
    return entry


def _verified(folder: Path) -> Package:
    findings = verify_package(folder)
    if findings:
        raise PackageError("\n  ".join([f"{folder} was not published, because of what is wrong with it:", *map(str, findings)]))
    return Package.open(folder)


def _place(given: str | os.PathLike[str]) -> str:
    """A folder or URL from what may also be a source's name."""
    destination = os.fspath(given)
    if isinstance(given, str) and Path(given).name == given:
        destination = _source_or_folder(given)
    if remote.is_url(destination):
        destination = remote.folder_url(destination)
        if destination.partition("://")[0] not in remote.WRITABLE:
            kinds = " and ".join(f"{kind}://" for kind in remote.WRITABLE)
            raise InputError(f"{destination} cannot be written: packages are published to local folders, {kinds}.")
    return destination


def _source_or_folder(word: str) -> str:
    from scbasset_zoo.zoo.sources import config_path, sources

    known = {source.name: source.location for source in sources()}
    if word in known:
        if os.path.isdir(word):
            say(f"{word} is taken for the source at {known[word]}; for the folder of that name, give ./{word}")
        return known[word]
    if not os.path.isdir(word):
        raise InputError(
            f"There is no source {word!r} and no folder of that name; known are {', '.join(known) or 'no sources'}. "
            f"Give ./{word} to make a folder, or add the source to {config_path()}."
        )
    return word


def _publish_locally(package: Package, root: Path, entry: Entry) -> None:
    target = root / str(entry.path)
    files.check_destination(root / index.FILE, overwrite=True)
    with index.writing(root):
        known = Index.parse((root / index.FILE).read_bytes(), str(root / index.FILE)) if (root / index.FILE).is_file() else Index()
        if _is_listed(known, entry, str(root)):
            return
        if not _same_card(target / "card.yaml", entry):
            for stale in target.parent.glob(f".{target.name}.partial-*"):
                files.remove(stale)
            with files.new_folder(target) as partial, progress(f"copying {entry.name}", entry.bytes) as advance:
                for name, file in _card_last(entry):
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(package.folder / name, partial / name)
                    if files.sha256(partial / name) != file.sha256:
                        raise PackageError(f"{package.folder / name} changed while it was copied; nothing was published.")
                    advance(file.bytes)
        Index(models=(*known.models, entry)).write(root)


def _publish_remotely(package: Package, root: str, entry: Entry) -> None:
    place = f"{root}/{index.FILE}"
    raw = _read_if_there(place, index.MAX_BYTES)
    known = Index() if raw is None else Index.parse(raw, place)
    if _is_listed(known, entry, root):
        return
    base = f"{root}/{entry.path}"
    there = _read_if_there(f"{base}/card.yaml", MAX_BYTES)
    if there is not None and hashlib.sha256(there).hexdigest() != entry.card_sha256:
        raise _other_content(entry, root)
    with progress(f"uploading {entry.name}", entry.bytes) as advance:
        for name, file in _card_last(entry):
            remote.put(package.folder / name, f"{base}/{name}")
            advance(file.bytes)
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / index.FILE
        new.write_text(Index(models=(*known.models, entry)).to_json(), encoding="utf-8")
        remote.put(new, place)


def _is_listed(known: Index, entry: Entry, root: str) -> bool:
    """Whether the same package is there already; versions never change, so that what was pulled stays what is published."""
    for other in known.models:
        if other.name == entry.name:
            if other.key != entry.key:
                raise _other_content(entry, root)
            say(f"{entry.name} is in {root} already, with the same content; nothing to do")
            return True
    return False


def _same_card(path: Path, entry: Entry) -> bool:
    if not path.exists():
        return False
    if files.sha256(path) != entry.card_sha256:
        raise _other_content(entry, str(path.parent))
    return True


def _other_content(entry: Entry, root: str) -> PackageError:
    return PackageError(f"{root} has another package as {entry.name}; a published version never changes. Give yours a new version.")


def _read_if_there(url: str, limit: int) -> bytes | None:
    try:
        return remote.read(url, limit)
    except SourceError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _card_last(entry: Entry) -> list[tuple[str, index.FileEntry]]:
    return sorted(entry.files.items(), key=lambda item: item[0] == "card.yaml")
