"""The exporter and the importers that come with the project, as a plugin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from scbasset_zoo.extend.hookspecs import hookimpl
from scbasset_zoo.extend.importer import Importer

if TYPE_CHECKING:
    from scbasset_zoo.package.reading import Package


@hookimpl
def register_importers() -> list[type[Importer]]:
    """Return the importer of weights that the published trainer saved."""
    from scbasset_zoo_export.calico import Calico

    return [Calico]


def export(run: str | os.PathLike[str], **options: Any) -> Package:
    """Make a model package of a training run; see :func:`scbasset_zoo.export`."""
    from scbasset_zoo_export.export import export

    return export(run, **options)
