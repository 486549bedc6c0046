"""Checks the files of a package against its card: that they exist, are plain files, and have the right size and hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import MAX_BYTES, Card
from scbasset_zoo.package.digests import unseal
from scbasset_zoo.package.finding import Finding


def read_card_bytes(folder: Path) -> bytes:
    """Read the bytes of card.yaml.

    Raises
    ------
    PackageError
        The folder or the card is missing, or the card is a symbolic link or too large.
    InputError
        The folder is no path.
    """
    path = files.checked_path(folder) / "card.yaml"
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder. Give the folder of a model package, which contains card.yaml.")
    if not path.is_file():
        raise PackageError(f"{folder} is not a model package: it has no card.yaml.")
    if path.is_symlink():
        raise PackageError(f"{path} is a symbolic link; a package holds plain files only.")
    if path.stat().st_size > MAX_BYTES:
        raise PackageError(f"{path} has {path.stat().st_size:,} bytes; a model card has at most {MAX_BYTES:,}.")
    return path.read_bytes()


def files_of_package(folder: Path) -> list[str] | None:
    """Return the names of the files of a package, or None if a folder is none."""
    try:
        card = parse_card(folder, unseal(read_card_bytes(folder))[0])
    except PackageError:
        return None
    return ["card.yaml", *card.files]


def parse_card(folder: Path, text: str) -> Card:
    """Read a card from YAML; errors name the file in `folder`."""
    try:
        return Card.from_yaml(text)
    except PackageError as error:
        raise PackageError(f"{folder / 'card.yaml'}: {error}") from None


def file_hash_findings(folder: Path, card: Card) -> Iterator[Finding]:
    """Find files that are missing, are symbolic links, or have another size or hash than the card says."""
    wrong = {finding.file: finding for finding in file_size_findings(folder, card)}
    yield from wrong.values()
    for name, entry in card.files.items():
        if name not in wrong and files.sha256(folder / name) != entry.sha256:
            yield Finding(name, "SHA-256 is not the card's: the file was changed or damaged")


def file_size_findings(folder: Path, card: Card) -> Iterator[Finding]:
    """Find files that are missing, are symbolic links, or have another size than the card says."""
    for name, entry in card.files.items():
        path = folder / name
        if any(part.is_symlink() for part in (path, *path.parents[: len(Path(name).parts) - 1])):
            yield Finding(name, "is a symbolic link; a package holds plain files only")
        elif not path.is_file():
            yield Finding(name, "is missing")
        elif path.stat().st_size != entry.bytes:
            yield Finding(name, f"has {path.stat().st_size:,} bytes; the card says {entry.bytes:,}")


def unexpected_file_findings(folder: Path, card: Card) -> Iterator[Finding]:
    """Find files that the card does not list."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name != "card.yaml" and name not in card.files:
            yield Finding(name, "is not listed in the card; remove it")
