"""The record of an installed plugin: its distribution, what it registers, and its problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RESTRICTION = "SCBASSET_ZOO_PLUGINS"
IN_PROCESS = "this process"


@dataclass(frozen=True)
class Plugin:
    """A plugin that is installed, or that this process registered.

    Attributes
    ----------
    name : str
        Name of its entry point.
    distribution : str
        The distribution that it belongs to, with the version.
    hooks : tuple of str
        Hooks that it implements. Empty if the plugin is not in use.
    registered : mapping of str to tuple of str
        Names that it registers, by what they name: "analyses", "importers", "embedding metrics", "integration methods",
        "motif collections", "zoo sources" or "commands".
    problems : tuple of str
        Why the plugin is not in use, or why parts of it are left out.
    """

    name: str
    distribution: str
    hooks: tuple[str, ...] = ()
    registered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"plugin {self.name} of {self.distribution}"
