"""Compare the files of a package with the hashes in its card."""

from __future__ import annotations

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.reading import Package


def changed_files(package: Package) -> list[str]:
    """Return the names of the files whose SHA-256 is not that of the card."""
    return [name for name, file in package.card.files.items() if files.sha256(package.folder / name) != file.sha256]


def require_unchanged(package: Package) -> None:
    """Raise a PackageError if a file's SHA-256 is not that of the card."""
    changed = changed_files(package)
    if changed:
        raise PackageError(
            f"{package.folder}: not the files that the card describes: {', '.join(changed)}. Download or export the package again."
        )
