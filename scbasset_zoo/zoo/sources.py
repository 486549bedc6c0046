"""The sources of models: the bundled one, those of zoo.yaml and those of plugins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from scbasset_zoo.errors import InputError, SourceError
from scbasset_zoo.package.card_fields import Text
from scbasset_zoo.zoo import cache
from scbasset_zoo.zoo.bundled import bundled_folder
from scbasset_zoo.zoo.index import FILE, MAX_BYTES, Index
from scbasset_zoo.zoo.schema import StrictModel, from_yaml
from scbasset_zoo.zoo.urls import folder_url, is_url

VARIABLE = "SCBASSET_ZOO_CONFIG"
BUNDLED = "bundled"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")]


@dataclass(frozen=True)
class Source:
    """A local folder or a URL that has an index of models."""

    name: str
    location: str

    @property
    def is_remote(self) -> bool:
        """Whether the source is at a URL."""
        return is_url(self.location)

    def read_index(self) -> tuple[Index, bool]:
        """Read the index. If the source cannot be reached, use the last copy.

        Returns
        -------
        index : Index
        is_old : bool
            Whether the index is the last copy.

        Raises
        ------
        SourceError
            The source cannot be reached and there is no copy, or it has no index.
        PackageError
            The index cannot be used.
        InputError
            Models are not read from locations of this kind.
        """
        if self.is_remote:
            url = self._index_url()
            return cache.fetch(url, MAX_BYTES, lambda raw: Index.parse(raw, url))
        path = Path(self.location) / FILE
        if not path.is_file():
            raise SourceError(
                f"{path} does not exist. Write it with `scbasset-zoo index {self.location}`, or correct {config_path()}."
            )
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path} has {path.stat().st_size:,} bytes; an index has at most {MAX_BYTES:,}.")
        return Index.parse(path.read_bytes(), str(path)), False

    def last_index(self) -> Index | None:
        """Return the index as it was last read, without the network, or None if it was never read. Errors: :meth:`read_index`."""
        if not self.is_remote:
            return self.read_index()[0]
        url = self._index_url()
        raw = cache.last_copy(url, MAX_BYTES)
        return None if raw is None else Index.parse(raw, url)

    def _index_url(self) -> str:
        return f"{folder_url(self.location)}/{FILE}"


def sources() -> list[Source]:
    """Return all sources in the order in which names are looked up: the bundled one, those of zoo.yaml, those of plugins.

    Raises
    ------
    PackageError
        zoo.yaml cannot be used.
    """
    from scbasset_zoo import plugin_manager

    folder = bundled_folder()
    locations = {BUNDLED: str(folder)} if (folder / FILE).is_file() else {}
    locations |= _configured_locations()
    for name, location in plugin_manager.zoo_sources().as_dict().items():
        locations.setdefault(name, location)
    return [Source(name, location) for name, location in locations.items()]


def source_named(name: str) -> Source:
    """Return the source with this name.

    Raises
    ------
    InputError
        There is no such source.
    """
    by_name = {source.name: source for source in sources()}
    if name not in by_name:
        raise InputError(f"There is no source {name!r}. Sources: {', '.join(by_name) or 'none'}. Add it to {config_path()}.")
    return by_name[name]


def config_path() -> Path:
    """Return the path of zoo.yaml: SCBASSET_ZOO_CONFIG, or a file in the platform's folder for settings."""
    from scbasset_zoo.user_folders import config_folder, expanded

    given = os.environ.get(VARIABLE)
    return expanded(given, VARIABLE).absolute() if given else config_folder() / "zoo.yaml"


class _Location(StrictModel):
    location: Text


class _Config(StrictModel):
    sources: dict[Name, _Location] = {}


def _configured_locations() -> dict[str, str]:
    path = config_path()
    if not path.is_file():
        if os.environ.get(VARIABLE):
            raise InputError(f"{VARIABLE} is {path}, which does not exist. Make this file, or unset the variable.")
        return {}
    config = from_yaml(_Config, path.read_bytes(), str(path))
    return {name: _location(entry.location, path, name) for name, entry in config.sources.items()}


def _location(text: str, config: Path, name: str) -> str:
    from scbasset_zoo.user_folders import expanded

    return text if is_url(text) else str(config.parent / expanded(text, f"{config}: the location of {name}"))
