"""Loads the installed plugins. A plugin that fails is reported by name, and the others are still used."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pluggy

from scbasset_zoo.errors import PluginError
from scbasset_zoo.extend import hookspecs
from scbasset_zoo.plugin_manager.plugin import IN_PROCESS, RESTRICTION, Plugin
from scbasset_zoo.progress import say

GROUP = "scbasset_zoo"
OWN_DISTRIBUTION = "scbasset-zoo"
HOOKS = tuple(name for name, member in vars(hookspecs).items() if hasattr(member, f"{GROUP}_spec"))


@dataclass(frozen=True)
class Contribution:
    """What one plugin registers with one hook: names with their objects, and problems."""

    entries: tuple[tuple[str, Any], ...] = ()
    problems: tuple[str, ...] = ()


class LoadedPlugins:
    """The plugins of this process, and the results of their hooks.

    Attributes
    ----------
    plugins : dict of str to Plugin
        Installed plugins. Those that failed or are left out by SCBASSET_ZOO_PLUGINS have problems and no hooks.
    problems : list of str
        Problems that belong to no single plugin.
    """

    def __init__(self) -> None:
        self.plugins: dict[str, Plugin] = {}
        self.problems: list[str] = []
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._contributions: dict[tuple[str, str], Contribution] = {}
        self._load_all()

    def add(self, implementation: Any, plugin: Plugin) -> None:
        """Register a module or object that implements hooks.

        Raises
        ------
        PluginError
            It implements no hook, breaks a hook's signature, or has the name of another plugin.
        """
        other = self.plugins.get(plugin.name)
        if other is not None:
            raise PluginError(f"{other} has the same name")
        marked = [hook for hook in HOOKS if self._manager.parse_hookimpl_opts(implementation, hook) is not None]
        unmarked = [hook for hook in HOOKS if hook not in marked and hasattr(implementation, hook)]
        if unmarked:
            raise PluginError(f"{unmarked[0]} lacks the decorator @hookimpl of scbasset_zoo")
        try:
            self._manager.register(implementation, plugin.name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._manager.get_plugin(plugin.name) is implementation:
                self._manager.unregister(implementation)
            raise PluginError(" ".join(str(error).split())) from error
        if not marked:
            self._manager.unregister(implementation)
            raise PluginError(f"it implements none of the hooks {', '.join(HOOKS)}")
        self.plugins[plugin.name] = replace(plugin, hooks=tuple(marked))

    def remove(self, name: str) -> None:
        """Unregister a plugin, and forget the results of its hooks."""
        self._manager.unregister(name=name)
        del self.plugins[name]
        self._contributions = {key: value for key, value in self._contributions.items() if key[0] != name}

    def module(self, name: str) -> Any:
        """Return the module or object of a plugin; None if the plugin is not in use."""
        return self._manager.get_plugin(name)

    def call(self, plugin: Plugin, hook: str, **arguments: Any) -> Any:
        """Call one plugin's implementation of a hook, and return its result.

        Raises
        ------
        PluginError
            The implementation failed.
        """
        others = self._manager.get_plugins() - {self._manager.get_plugin(plugin.name)}
        try:
            results = self._manager.subset_hook_caller(hook, others)(**arguments)
        except (Exception, SystemExit) as error:  # a plugin may raise anything, and the others must go on working
            raise PluginError(f"{hook} failed: {type(error).__name__}: {error}") from error
        return results[0] if results else None

    def contribution(self, plugin: Plugin, hook: str, read: Callable[[Plugin], Contribution]) -> Contribution:
        """Return what a plugin registers with a hook. `read` calls the hook, once; its problems are printed then."""
        key = plugin.name, hook
        if key not in self._contributions:
            try:
                contribution = read(plugin)
            except PluginError as error:
                contribution = Contribution(problems=(str(error),))
            self._contributions[key] = contribution
            for problem in contribution.problems:
                say(f"{plugin}: {problem}; it is left out.")
        return self._contributions[key]

    def _load_all(self) -> None:
        """Load the installed plugins: those of this project first, then by name."""
        requested = _requested_names()
        entry_points = sorted(
            importlib.metadata.entry_points(group=GROUP), key=lambda entry: (not _is_own(entry), entry.name, _distribution(entry))
        )
        for entry_point in entry_points:
            plugin = Plugin(entry_point.name, _distribution(entry_point))
            if requested is None or entry_point.name in requested or _is_own(entry_point):
                self._load(entry_point, plugin)
            else:
                self._add_unused(plugin, f"left out by {RESTRICTION}")
        missing = (requested or set()) - {entry_point.name for entry_point in entry_points}
        if missing:
            self.problems.append(f"{RESTRICTION} names plugins that are not installed: {', '.join(sorted(missing))}.")
            say(self.problems[-1])

    def _load(self, entry_point: importlib.metadata.EntryPoint, plugin: Plugin) -> None:
        try:
            self.add(entry_point.load(), plugin)
        except (Exception, SystemExit) as error:  # importing a plugin may raise anything, and the others must go on working
            problem = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            self._add_unused(plugin, problem)
            say(f"{plugin} is not used: {problem}")

    def _add_unused(self, plugin: Plugin, problem: str) -> None:
        key = plugin.name if plugin.name not in self.plugins else f"{plugin.name} of {plugin.distribution}"
        self.plugins[key] = replace(plugin, problems=(problem,))


@functools.cache
def loaded() -> LoadedPlugins:
    """Return the plugins of this process. They are loaded at the first call."""
    return LoadedPlugins()


def module(name: str) -> Any:
    """Return the module of an installed plugin.

    Raises
    ------
    PluginError
        There is no such plugin, or it could not be loaded. The message says why.
    """
    plugin_module = loaded().module(name)
    if plugin_module is None:
        problems = [problem for plugin in loaded().plugins.values() if plugin.name == name for problem in plugin.problems]
        raise PluginError(f"The plugin {name!r} is not in use: {'; '.join(problems) or 'it is not installed'}.")
    return plugin_module


def register(plugin: Any, name: str) -> None:
    """Register a plugin that is not installed, such as a module or an object in a notebook.

    Parameters
    ----------
    plugin : module or object
        Its functions or methods with the decorator `@hookimpl` implement hooks. Each is called at most once.
    name : str
        A name that no other plugin has.

    Raises
    ------
    PluginError
        It implements no hook, breaks a hook's signature, or has the name of another plugin.
    """
    loaded().add(plugin, Plugin(name, IN_PROCESS))


def unregister(name: str) -> None:
    """Unregister a plugin that :func:`register` registered."""
    loaded().remove(name)


def _requested_names() -> set[str] | None:
    """Return the names in SCBASSET_ZOO_PLUGINS; None if it is not set."""
    value = os.environ.get(RESTRICTION)
    return None if value is None else {name.strip() for name in value.split(",") if name.strip()}


def _is_own(entry_point: importlib.metadata.EntryPoint) -> bool:
    return entry_point.dist is not None and entry_point.dist.name == OWN_DISTRIBUTION


def _distribution(entry_point: importlib.metadata.EntryPoint) -> str:
    return f"{entry_point.dist.name} {entry_point.dist.version}" if entry_point.dist else "an unknown distribution"
