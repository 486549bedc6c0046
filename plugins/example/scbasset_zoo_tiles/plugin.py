"""The hooks that scbasset_zoo calls. They import an analysis when they are called, so that loading the plugin stays quick."""

from __future__ import annotations

from scbasset_zoo import Analysis, hookimpl


@hookimpl
def register_analyses() -> list[type[Analysis]]:
    """Return the analysis of tiles."""
    from scbasset_zoo_tiles.tiles import Tiles

    return [Tiles]
