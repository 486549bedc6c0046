"""Finds, loads and checks plugins when they are first needed, and returns what they register."""

from scbasset_zoo.plugin_manager.loading import HOOKS, module, register, unregister
from scbasset_zoo.plugin_manager.plugin import Plugin
from scbasset_zoo.plugin_manager.registrations import (
    analyses,
    check,
    commands,
    distribution_of,
    embedding_metrics,
    importers,
    integration_methods,
    motif_collections,
    plugins,
    zoo_sources,
)
from scbasset_zoo.plugin_manager.registry import Registry

__all__ = [
    "HOOKS",
    "Plugin",
    "Registry",
    "analyses",
    "check",
    "commands",
    "distribution_of",
    "embedding_metrics",
    "importers",
    "integration_methods",
    "module",
    "motif_collections",
    "plugins",
    "register",
    "unregister",
    "zoo_sources",
]
