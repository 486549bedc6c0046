"""Names that plugins register, and the object behind each name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from scbasset_zoo.errors import InputError, PluginError
from scbasset_zoo.plugin_manager.plugin import RESTRICTION, Plugin
from scbasset_zoo.wording import did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """An object that a plugin registers under a name."""

    plugin: Plugin
    name: str
    value: T


class Registry(Generic[T]):
    """What plugins register with one hook. It does not change.

    A name that is registered twice is a clash: :meth:`names` leaves it out, and :meth:`get` raises an error.

    Parameters
    ----------
    kind : str
        What the entries are, in messages: "analysis".
    entries : iterable of Entry
        In the order of the plugins.

    Attributes
    ----------
    entries : tuple of Entry
        All entries, with those that clash.
    clashes : dict of str to str
        Names that are registered twice, each with a message that names the plugins.
    """

    def __init__(self, kind: str, entries: Iterable[Entry[T]]) -> None:
        self.kind = kind
        self.entries = tuple(entries)
        by_name: dict[str, list[Entry[T]]] = {}
        for entry in self.entries:
            by_name.setdefault(entry.name, []).append(entry)
        self._values = {name: same[0].value for name, same in by_name.items() if len(same) == 1}
        self.clashes = {name: self._clash(name, same) for name, same in by_name.items() if len(same) > 1}

    def names(self) -> list[str]:
        """Return the names in the order of the plugins, without clashes."""
        return list(self._values)

    def as_dict(self) -> dict[str, T]:
        """Return the objects by name, without clashes."""
        return dict(self._values)

    def get(self, name: str) -> T:
        """Return the object of a name.

        Raises
        ------
        PluginError
            The name is registered twice. The message names the plugins.
        InputError
            No plugin registers the name. The message lists the names.
        """
        if name in self.clashes:
            raise PluginError(self.clashes[name])
        if name not in self._values:
            installed = ", ".join(sorted(self._values)) or "none"
            raise InputError(f"There is no {self.kind} {name!r}.{did_you_mean(name, self._values)} Installed are {installed}.")
        return self._values[name]

    def _clash(self, name: str, entries: list[Entry[T]]) -> str:
        plugins = list(dict.fromkeys(str(entry.plugin) for entry in entries))
        if len(plugins) == 1:
            return f"{plugins[0]} registers the {self.kind} {name!r} twice."
        return (
            f"Several plugins register the {self.kind} {name!r}: {' and '.join(plugins)}. Uninstall all but one, or choose with "
            f"{RESTRICTION}=NAME,NAME."
        )
