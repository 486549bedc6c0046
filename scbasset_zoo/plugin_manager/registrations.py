"""What the plugins register with each hook, and all plugins with their problems."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import PluginError
from scbasset_zoo.plugin_manager.loading import Contribution, loaded
from scbasset_zoo.plugin_manager.plugin import IN_PROCESS, Plugin
from scbasset_zoo.plugin_manager.registry import Entry, Registry
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from scbasset_zoo.extend.analysis import Analysis
    from scbasset_zoo.extend.embedding import EmbeddingMetric, IntegrationMethod
    from scbasset_zoo.extend.importer import Importer


def analyses() -> Registry[type[Analysis]]:
    """Return the registered analyses."""
    return _registry("register_analyses", "analysis")


def importers() -> Registry[type[Importer]]:
    """Return the registered importers."""
    return _registry("register_importers", "importer")


def embedding_metrics() -> Registry[type[EmbeddingMetric]]:
    """Return the registered metrics of embeddings."""
    return _registry("register_embedding_metrics", "embedding metric")


def integration_methods() -> Registry[type[IntegrationMethod]]:
    """Return the registered methods that correct embeddings for batches."""
    return _registry("register_integration_methods", "integration method")


def motif_collections() -> Registry[Callable[[], Mapping[str, ArrayLike]]]:
    """Return the registered motif collections: functions that return motifs by name.

    A function raises PluginError if its plugin fails.
    """
    return _registry("register_motif_collections", "motif collection")


def zoo_sources() -> Registry[str]:
    """Return the registered sources of models, each a folder or URL."""
    return _registry("register_zoo_sources", "zoo source")


def commands(own_commands: Collection[str] = ()) -> Registry[Any]:
    """Return the commands that plugins add to the command line.

    Parameters
    ----------
    own_commands : collection of str
        Names of the project's own commands. A plugin's command of such a name is reported and left out.
    """
    registry: Registry[Any] = _registry("register_commands", "command")
    for entry in registry.entries:
        if entry.name in own_commands:
            _say_once(f"{entry.plugin}: {_taken(entry.name)}; it is left out.")
    return Registry("command", [entry for entry in registry.entries if entry.name not in own_commands])


def plugins(own_commands: Collection[str] = ()) -> list[Plugin]:
    """Return every installed plugin with what it registers and with its problems.

    All hooks are called. Plugins that failed and plugins that are left out by SCBASSET_ZOO_PLUGINS are among the plugins.

    Parameters
    ----------
    own_commands : collection of str
        Names of the project's own commands, which plugins cannot use.
    """
    return [_with_contributions(plugin, own_commands) for plugin in loaded().plugins.values()]


def check(own_commands: Collection[str] = ()) -> list[str]:
    """Return problems that belong to no single plugin.

    These are names that are registered twice, and unknown plugins in SCBASSET_ZOO_PLUGINS. All hooks are called.

    Parameters
    ----------
    own_commands : collection of str
        Names of the project's own commands.
    """
    registries: list[Registry[Any]] = [
        analyses(),
        importers(),
        embedding_metrics(),
        integration_methods(),
        motif_collections(),
        zoo_sources(),
        commands(own_commands),
    ]
    return [*loaded().problems, *(clash for registry in registries for clash in registry.clashes.values())]


def distribution_of(kind: type) -> str:
    """Return the distribution, with its version, of the plugin that registers a class."""
    from scbasset_zoo.plugin_manager.contracts import BASES

    for hook, base in BASES.items():
        if issubclass(kind, base):
            for plugin in _implementing(hook):
                if any(value is kind for _, value in _contribution(plugin, hook).entries):
                    return plugin.distribution
    return IN_PROCESS


def _registry(hook: str, kind: str) -> Registry[Any]:
    entries = [Entry(plugin, name, value) for plugin in _implementing(hook) for name, value in _contribution(plugin, hook).entries]
    registry: Registry[Any] = Registry(kind, entries)
    for clash in registry.clashes.values():
        _say_once(clash)
    return registry


def _implementing(hook: str) -> list[Plugin]:
    return [plugin for plugin in loaded().plugins.values() if hook in plugin.hooks]


def _with_contributions(plugin: Plugin, own_commands: Collection[str]) -> Plugin:
    registered: dict[str, tuple[str, ...]] = {}
    problems = list(plugin.problems)
    for hook in plugin.hooks:
        contribution = _contribution(plugin, hook)
        problems += contribution.problems
        names = [name for name, _ in contribution.entries]
        if hook == "register_commands":
            problems += [_taken(name) for name in names if name in own_commands]
            names = [name for name in names if name not in own_commands]
        if names:
            registered[hook.removeprefix("register_").replace("_", " ")] = tuple(names)
    return replace(plugin, registered=registered, problems=tuple(problems))


def _taken(command: str) -> str:
    return f"register_commands: scbasset-zoo has a command {command!r} already"


def _contribution(plugin: Plugin, hook: str) -> Contribution:
    readers: dict[str, Callable[[Plugin], Contribution]] = {
        "register_motif_collections": _read_motif_collections,
        "register_zoo_sources": _read_zoo_sources,
        "register_commands": _read_commands,
    }
    return loaded().contribution(plugin, hook, readers.get(hook) or functools.partial(_read_classes, hook=hook))


def _read_classes(plugin: Plugin, hook: str) -> Contribution:
    from scbasset_zoo.plugin_manager.contracts import BASES, contract_problem

    result = loaded().call(plugin, hook)
    classes = [] if result is None else result if isinstance(result, list | tuple) else [result]
    problems = [contract_problem(kind, BASES[hook]) for kind in classes]
    return Contribution(
        entries=tuple((kind.name, kind) for kind, problem in zip(classes, problems, strict=True) if not problem),
        problems=tuple(f"{hook}: {problem}" for problem in problems if problem),
    )


def _read_motif_collections(plugin: Plugin) -> Contribution:
    result = loaded().call(plugin, "register_motif_collections")
    if result is None:
        return Contribution()
    if not isinstance(result, Mapping) or not all(isinstance(name, str) and callable(read) for name, read in result.items()):
        raise PluginError(f"register_motif_collections must return functions by name; found {result!r}")
    return Contribution(tuple((name, functools.partial(_read_collection, plugin, name, read)) for name, read in result.items()))


def _read_collection(plugin: Plugin, name: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        raise PluginError(f"The motif collection {name!r} of {plugin} failed: {type(error).__name__}: {error}") from error


def _read_zoo_sources(plugin: Plugin) -> Contribution:
    result = loaded().call(plugin, "register_zoo_sources")
    if result is None:
        return Contribution()
    if not isinstance(result, Mapping) or not all(isinstance(text, str) for pair in result.items() for text in pair):
        raise PluginError(f"register_zoo_sources must return names and locations as texts; found {result!r}")
    return Contribution(tuple(result.items()))


def _read_commands(plugin: Plugin) -> Contribution:
    import typer
    from typer.core import TyperGroup

    # With a callback, Typer makes a group even of a single command.
    app = typer.Typer(callback=lambda: None)
    loaded().call(plugin, "register_commands", app=app)
    try:
        group = typer.main.get_command(app)
    except Exception as error:  # Typer raises many kinds of errors on a signature that it cannot use
        raise PluginError(f"register_commands: {error}") from error
    assert isinstance(group, TyperGroup)
    return Contribution(tuple(group.commands.items()))


@functools.cache
def _say_once(text: str) -> None:
    say(text)
