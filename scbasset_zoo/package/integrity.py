"""Whether the files of a package are those of its card: present, plain, and of the right size and hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import MAX_BYTES, Card
from scbasset_zoo.package.finding import Finding


def read_card_bytes(folder: Path) -> bytes:
    path = folder / "card.yaml"
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder. Give the folder of a model package, in which card.yaml lies.")
    if not path.is_file():
        raise PackageError(f"{folder} is not a model package: it has no card.yaml.")
    if path.is_symlink():
        raise PackageError(f"{path} is a symbolic link; a package holds plain files only.")
    if path.stat().st_size > MAX_BYTES:
        raise PackageError(f"{path} has {path.stat().st_size:,} bytes; a model card has at most {MAX_BYTES:,}.")
    return path.read_bytes()


def parse_card(folder: Path, text: str) -> Card:
    try:
        return Card.from_yaml(text)
    except PackageError as error:
        raise PackageError(f"{folder / 'card.yaml'}: {error}") from None


def file_hash_findings(folder: Path, card: Card) -> Iterator[Finding]:
    wrong = list(file_size_findings(folder, card))
    yield from wrong
    spoilt = {finding.file for finding in wrong}
    for name, entry in card.files.items():
        if name not in spoilt and files.sha256(folder / name) != entry.sha256:
            yield Finding(name, "SHA-256 is not the card's: the file was changed or damaged")


def file_size_findings(folder: Path, card: Card) -> Iterator[Finding]:
    for name, entry in card.files.items():
        path = folder / name
        if any(part.is_symlink() for part in (path, *path.parents[: len(Path(name).parts) - 1])):
            yield Finding(name, "is a symbolic link; a package holds plain files only")
        elif not path.is_file():
            yield Finding(name, "is missing")
        elif path.stat().st_size != entry.bytes:
            yield Finding(name, f"has {path.stat().st_size:,} bytes; the card says {entry.bytes:,}")


def unexpected_file_findings(folder: Path, card: Card) -> Iterator[Finding]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name != "card.yaml" and name not in card.files:
            yield Finding(name, "is not listed in the card; remove it")
