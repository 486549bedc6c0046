"""`scbasset-zoo publish`: add a package to a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer


def publish(
    package: Annotated[Path, typer.Argument(help="Folder of the package.")],
    destination: Annotated[str, typer.Argument(help="The source: a folder, an s3:// or hf:// URL, or a name in zoo.yaml.")],
) -> None:
    """Verify a package, copy it to a source and add it to the source's index."""
    from scbasset_zoo.zoo.publishing import publish as publish_package

    entry = publish_package(package, destination)
    answer(f"{entry.name}: {entry.bytes:,} bytes in {len(entry.files)} files at {destination}")
