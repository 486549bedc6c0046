"""`scbasset-zoo publish`: put a package into a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def publish(
    package: Annotated[Path, typer.Argument(help="Folder of the package.")],
    destination: Annotated[str, typer.Argument(help="A source: a folder, an s3:// or hf:// URL, or a name of zoo.yaml.")],
) -> None:
    """Verify a package, copy it to a source, and enter it in the source's index."""
    from scbasset_zoo.zoo.publishing import publish as publish_package

    entry = publish_package(package, destination)
    typer.echo(f"{entry.name}: {entry.bytes:,} bytes in {len(entry.files)} files at {destination}")
