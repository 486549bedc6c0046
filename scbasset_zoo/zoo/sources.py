"""Where models come from: the sources of zoo.yaml, of the project and of plugins, and the index of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from scbasset_zoo.errors import InputError, SourceError
from scbasset_zoo.zoo import cache, remote
from scbasset_zoo.zoo.bundled import bundled_folder
from scbasset_zoo.zoo.index import FILE, MAX_BYTES, Index
from scbasset_zoo.zoo.schema import Section, from_yaml

VARIABLE = "SCBASSET_ZOO_CONFIG"
BUNDLED = "bundled"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")]


@dataclass(frozen=True)
class Source:
    """A place with an index: a local folder or a URL."""

    name: str
    location: str

    @property
    def is_remote(self) -> bool:
        """Whether models have to be downloaded from it."""
        return remote.is_url(self.location)

    def index(self) -> tuple[Index, bool]:
        """Its index, and whether that is an old one because the source cannot be reached now.

        Raises
        ------
        SourceError
            The source cannot be reached, or has no index.
        PackageError
            The index cannot be used.
        InputError
            The location is of a kind that models are not read from.
        """
        if self.is_remote:
            url = self._index_url()
            return cache.fetched(url, MAX_BYTES, lambda raw: Index.parse(raw, url))
        path = Path(self.location) / FILE
        if not path.is_file():
            raise SourceError(f"{path} is missing. Make it with `scbasset-zoo index {self.location}`, or correct {config_path()}.")
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path} has {path.stat().st_size:,} bytes; an index has at most {MAX_BYTES:,}.")
        return Index.parse(path.read_bytes(), str(path)), False

    def last_index(self) -> Index | None:
        """Its index as it was when last read, without the network; None where that never was. Errors as for :meth:`index`."""
        if not self.is_remote:
            return self.index()[0]
        url = self._index_url()
        raw = cache.last_fetched(url)
        return None if raw is None else Index.parse(raw, url)

    def _index_url(self) -> str:
        return f"{remote.folder_url(self.location)}/{FILE}"


def sources() -> list[Source]:
    """All sources, in the order in which names are looked up: the project's own, zoo.yaml's, plugins'.

    Raises
    ------
    PackageError
        zoo.yaml cannot be used.
    """
    from scbasset_zoo import plugin_manager

    folder = bundled_folder()
    found = {BUNDLED: str(folder)} if (folder / FILE).is_file() else {}
    found |= _configured()
    for name, location in plugin_manager.zoo_sources().items():
        found.setdefault(name, location)
    return [Source(name, location) for name, location in found.items()]


def named(name: str) -> Source:
    """The source of a name.

    Raises
    ------
    InputError
        There is none.
    """
    known = sources()
    for source in known:
        if source.name == name:
            return source
    raise InputError(
        f"There is no source {name!r}; known are {', '.join(s.name for s in known) or 'none'}. Add it to {config_path()}."
    )


def config_path() -> Path:
    """Where zoo.yaml is looked for: SCBASSET_ZOO_CONFIG, or the platform's place for settings."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("scbasset-zoo") / "zoo.yaml"


class _Location(Section):
    location: Annotated[str, Field(min_length=1)]


class _Config(Section):
    sources: dict[Name, _Location] = {}


def _configured() -> dict[str, str]:
    path = config_path()
    if not path.is_file():
        if os.environ.get(VARIABLE):
            raise InputError(f"{VARIABLE} names {path}, and there is no such file. Make it, or unset the variable.")
        return {}
    config = from_yaml(_Config, path.read_bytes(), str(path))
    return {name: _location(entry.location, path.parent) for name, entry in config.sources.items()}


def _location(text: str, folder: Path) -> str:
    return text if remote.is_url(text) else str(folder / Path(text).expanduser())
