"""The importers that come with the project."""

from __future__ import annotations

from scbasset_zoo.hookspecs import hookimpl
from scbasset_zoo.importer import Importer


@hookimpl
def register_importers() -> list[type[Importer]]:
    """The published trainer's weights."""
    from scbasset_zoo_export.calico import Calico

    return [Calico]
