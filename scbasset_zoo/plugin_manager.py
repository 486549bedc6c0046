"""Finds and loads plugins when they are first needed; one that fails is reported by name and does not harm the others."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pluggy

from scbasset_zoo.errors import PluginError
from scbasset_zoo.extend import hookspecs
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from scbasset_zoo.extend.analysis import Analysis
    from scbasset_zoo.extend.embedding import EmbeddingMetric, IntegrationMethod
    from scbasset_zoo.extend.importer import Importer

GROUP = "scbasset_zoo"
OWN_DISTRIBUTION = "scbasset-zoo"
RESTRICTION = "SCBASSET_ZOO_PLUGINS"
IN_PROCESS = "this process"
HOOKS = tuple(name for name, member in vars(hookspecs).items() if hasattr(member, f"{GROUP}_spec"))


@dataclass(frozen=True)
class Plugin:
    """A plugin that is installed.

    Attributes
    ----------
    name : str
        Name of its entry point.
    distribution : str
        The distribution that brings it, with its version.
    hooks : tuple of str
        Hooks that it implements; none when it is not in use.
    problems : tuple of str
        Why it is not in use, or what of it is left out.
    """

    name: str
    distribution: str
    hooks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"plugin {self.name} of {self.distribution}"


def plugins() -> list[Plugin]:
    """Every installed plugin, those that failed or are left out by SCBASSET_ZOO_PLUGINS included.

    Problems that only show when a hook is called are known once it has been called.
    """
    return list(_loaded().plugins.values())


def analyses() -> dict[str, type[Analysis]]:
    """Analyses by name."""
    from scbasset_zoo.extend.analysis import Analysis

    return _classes("register_analyses", Analysis)


def importers() -> dict[str, type[Importer]]:
    """Importers by name."""
    from scbasset_zoo.extend.importer import Importer

    return _classes("register_importers", Importer)


def embedding_metrics() -> dict[str, type[EmbeddingMetric]]:
    """Scores of embeddings by name."""
    from scbasset_zoo.extend.embedding import EmbeddingMetric

    return _classes("register_embedding_metrics", EmbeddingMetric)


def integration_methods() -> dict[str, type[IntegrationMethod]]:
    """Corrections of batches by name."""
    from scbasset_zoo.extend.embedding import IntegrationMethod

    return _classes("register_integration_methods", IntegrationMethod)


def motif_collections() -> dict[str, Callable[[], Mapping[str, ArrayLike]]]:
    """Functions that give collections of motifs, by the collections' names."""
    found = Registered("motif collection")
    for plugin, collections in _results("register_motif_collections"):
        if isinstance(collections, dict) and all(isinstance(name, str) and callable(read) for name, read in collections.items()):
            for name, read in collections.items():
                found.add(plugin, name, functools.partial(_read_collection, plugin, name, read))
        else:
            _report(plugin, f"register_motif_collections must return functions by name; found {collections!r}")
    return found


def zoo_sources() -> dict[str, str]:
    """Sources of models by name, each a folder or URL, in the order of the plugins."""
    found = Registered("source")
    for plugin, sources in _results("register_zoo_sources"):
        if isinstance(sources, dict) and all(isinstance(part, str) for pair in sources.items() for part in pair):
            for name, location in sources.items():
                found.add(plugin, name, location)
        else:
            _report(plugin, f"register_zoo_sources must return names and locations as texts; found {sources!r}")
    return found


def commands(taken: Collection[str] = ()) -> dict[str, Any]:
    """Commands that plugins add to the command line, by name; those whose name is among `taken` are reported and left out."""
    import typer
    from typer.core import TyperGroup

    found = Registered("command")
    for plugin in _implementing("register_commands"):
        # The callback makes one command a group like several.
        app = typer.Typer(callback=lambda: None)
        _call(plugin, "register_commands", app=app)
        try:
            group = typer.main.get_command(app)
        except Exception as error:  # noqa: BLE001  whatever a stranger's signature makes typer raise
            _report(plugin, f"register_commands: {error}")
            continue
        assert isinstance(group, TyperGroup)
        for name, command in group.commands.items():
            if name in taken:
                _report(plugin, f"register_commands: there is a command {name!r} already")
            else:
                found.add(plugin, name, command)
    return found


def check(taken: Collection[str] = ()) -> list[str]:
    """Call every hook, so that :func:`plugins` knows all problems; what is no problem of one plugin alone is returned.

    Parameters
    ----------
    taken : collection of str
        Names of our own commands.
    """
    everything: list[Callable[[], Any]] = [
        analyses, importers, embedding_metrics, integration_methods, motif_collections, zoo_sources, lambda: commands(taken)
    ]  # fmt: skip
    clashes = [clash for call in everything for clash in call().clashes.values()]
    return [*_loaded().remarks, *clashes]


def distribution_of(kind: type) -> str:
    """The distribution, with its version, of the plugin that registered a class."""
    plugin = _loaded().origins.get(kind)
    return plugin.distribution if plugin else IN_PROCESS


def module(name: str) -> Any:
    """The module of an installed plugin.

    Raises
    ------
    PluginError
        There is no such plugin, or it could not be loaded; the message says why.
    """
    found = _loaded().manager.get_plugin(name)
    if found is None:
        problems = [problem for plugin in plugins() if plugin.name == name for problem in plugin.problems]
        raise PluginError(f"The plugin {name!r} is not in use: {'; '.join(problems) or 'it is not installed'}.")
    return found


def register(plugin: Any, name: str) -> None:
    """Add a plugin that is not installed, such as a module or an object of a notebook.

    Raises
    ------
    PluginError
        It implements no hook, breaks a hook's signature, or has the name of another plugin.
    """
    _loaded().add(plugin, Plugin(name, IN_PROCESS))


def unregister(name: str) -> None:
    """Take out a plugin that :func:`register` added."""
    _loaded().remove(name)


class _Loaded:
    """The plugins of this process, and pluggy's manager that calls them."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        self.origins: dict[type, Plugin] = {}
        self.remarks: list[str] = []
        asked = os.environ.get(RESTRICTION)
        wanted = None if asked is None else {name.strip() for name in asked.split(",") if name.strip()}
        entries = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: (not _is_own(e), e.name, _distribution(e)))
        for entry in entries:
            plugin = Plugin(entry.name, _distribution(entry))
            if wanted is None or entry.name in wanted or _is_own(entry):
                self._load(entry, plugin)
            else:
                self._note(replace(plugin, problems=(f"left out by {RESTRICTION}",)))
        unknown = (wanted or set()) - {entry.name for entry in entries}
        if unknown:
            self.remarks.append(f"{RESTRICTION} names plugins that are not installed: {', '.join(sorted(unknown))}.")
            say(self.remarks[-1])

    def _load(self, entry: importlib.metadata.EntryPoint, plugin: Plugin) -> None:
        try:
            self.add(entry.load(), plugin)
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a stranger's module raises must not harm the others
            problem = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            self._note(replace(plugin, problems=(problem,)))
            say(f"{plugin} is not used: {problem}")

    def _note(self, plugin: Plugin) -> None:
        key = plugin.name if plugin.name not in self.plugins else f"{plugin.name} of {plugin.distribution}"
        self.plugins[key] = plugin

    def add(self, implementation: Any, plugin: Plugin) -> None:
        other = self.plugins.get(plugin.name)
        if other is not None:
            raise PluginError(f"{other} has the same name")
        marked = [hook for hook in HOOKS if self.manager.parse_hookimpl_opts(implementation, hook) is not None]
        unmarked = [hook for hook in HOOKS if hook not in marked and hasattr(implementation, hook)]
        if unmarked:
            raise PluginError(f"{unmarked[0]} lacks the decorator @hookimpl of scbasset_zoo")
        try:
            self.manager.register(implementation, plugin.name)
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self.manager.get_plugin(plugin.name) is implementation:
                self.manager.unregister(implementation)
            raise PluginError(" ".join(str(error).split())) from error
        if not marked:
            self.manager.unregister(implementation)
            raise PluginError(f"it implements none of the hooks {', '.join(HOOKS)}")
        self.plugins[plugin.name] = replace(plugin, hooks=tuple(marked))

    def remove(self, name: str) -> None:
        self.manager.unregister(name=name)
        del self.plugins[name]


class Registered(dict[str, Any]):
    """What plugins register, by name. A name that two of them register is not listed; to ask for it is a PluginError.

    Attributes
    ----------
    clashes : dict
        Such names, and what is wrong with them.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._owners: dict[str, Plugin] = {}
        self.clashes: dict[str, str] = {}

    def add(self, plugin: Plugin, name: str, value: Any) -> None:
        """Enter what a plugin registers."""
        owner = self._owners.setdefault(name, plugin)
        if name not in self:
            self[name] = value
            return
        self.clashes[name] = (
            f"Two plugins register the {self._what} {name!r}: {owner} and {plugin}. Uninstall one, or choose with "
            f"{RESTRICTION}=NAME,NAME."
            if owner is not plugin
            else f"{plugin} registers the {self._what} {name!r} twice."
        )
        self.pop(name, None)
        _say_once(self.clashes[name])

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.clashes

    def __missing__(self, name: str) -> Any:
        raise PluginError(self.clashes[name]) if name in self.clashes else KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default where no plugin registers one."""
        try:
            return self[name]
        except KeyError:
            return default


@functools.cache
def _say_once(text: str) -> None:
    say(text)


@functools.cache
def _loaded() -> _Loaded:
    return _Loaded()


def _implementing(hook: str) -> list[Plugin]:
    return [plugin for plugin in plugins() if hook in plugin.hooks]


def _results(hook: str) -> Iterator[tuple[Plugin, Any]]:
    """(plugin, result) of each plugin that implements a hook; own ones first."""
    for plugin in _implementing(hook):
        for result in _call(plugin, hook):
            yield plugin, result


def _call(plugin: Plugin, hook: str, **arguments: Any) -> list[Any]:
    """What one plugin's implementation returns, alone in a list; nothing, and a report, where it fails."""
    manager = _loaded().manager
    others = manager.get_plugins() - {manager.get_plugin(plugin.name)}
    try:
        return list(manager.subset_hook_caller(hook, others)(**arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001  as above
        _report(plugin, f"{hook} failed: {type(error).__name__}: {error}")
        return []


def _classes(hook: str, base: type) -> dict[str, Any]:
    found = Registered(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", base.__name__).lower())
    for plugin, registered in _results(hook):
        for kind in registered if isinstance(registered, list | tuple) else [registered]:
            problem = _contract_problem(kind, base)
            if problem:
                _report(plugin, f"{hook}: {problem}")
            else:
                found.add(plugin, kind.name, kind)
                _loaded().origins[kind] = plugin
    return found


def _read_collection(plugin: Plugin, name: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        raise PluginError(f"The motif collection {name!r} of {plugin} failed: {type(error).__name__}: {error}") from error


def _contract_problem(kind: Any, base: type) -> str:
    from pydantic import BaseModel

    if not _is_subclass(kind, base):
        return f"{kind!r} is not a subclass of scbasset_zoo.{base.__name__}"
    if not isinstance(getattr(kind, "name", None), str) or not kind.name:
        return f"{kind.__name__} has no name"
    if not _is_subclass(getattr(kind, "Options", BaseModel), BaseModel):
        return f"{kind.__name__}.Options is not a pydantic model"
    if inspect.isabstract(kind):
        return f"{kind.__name__} does not define {', '.join(sorted(kind.__abstractmethods__))}"
    return ""


def _is_subclass(kind: Any, base: type) -> bool:
    return inspect.isclass(kind) and issubclass(kind, base)


def _report(plugin: Plugin, problem: str) -> None:
    """Say a problem, and keep it for the list of plugins; once."""
    known = _loaded().plugins
    current = known.get(plugin.name, plugin)
    if problem not in current.problems:
        known[plugin.name] = replace(current, problems=(*current.problems, problem))
        say(f"{plugin}: {problem}; it is left out.")


def _is_own(entry: importlib.metadata.EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name == OWN_DISTRIBUTION


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
