"""Find the package that a name means: the source that has the model, and the version."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

from scbasset_zoo.errors import InputError, PackageError, ScbassetZooError, SourceError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say
from scbasset_zoo.zoo import cache
from scbasset_zoo.zoo.hashes import require_unchanged
from scbasset_zoo.zoo.index import Entry
from scbasset_zoo.zoo.pulling import is_on_this_machine, package_of_entry
from scbasset_zoo.zoo.sources import Source, config_path, source_named, sources
from scbasset_zoo.zoo.versions import version_order

NAME = re.compile(r"(?P<id>[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*)(@(?P<version>[0-9A-Za-z.-]+))?")


@dataclass
class SourceContents:
    """The entries of all sources that were read.

    Attributes
    ----------
    entries : list of (Source, Entry)
        In the order of the sources.
    sources : list of Source
        All sources, also those that could not be read.
    errors : dict of str to ScbassetZooError
        Why a source could not be read, by its name.
    outdated : set of str
        The names of the sources whose last copy was used, because they cannot be reached.
    """

    entries: list[tuple[Source, Entry]] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    errors: dict[str, ScbassetZooError] = field(default_factory=dict)
    outdated: set[str] = field(default_factory=set)


def read_sources(only: str | None = None) -> SourceContents:
    """Read the indexes of all sources, or of the one with the name `only`. The errors of sources are collected, not raised."""
    contents = SourceContents()
    for source in [source_named(only)] if only else sources():
        contents.sources.append(source)
        try:
            index, is_old = source.read_index()
        except (SourceError, PackageError, InputError) as error:
            contents.errors[source.name] = error
            continue
        if is_old:
            contents.outdated.add(source.name)
        contents.entries += [(source, entry) for entry in index.models]
    return contents


def package_named(name: str, *, check_hashes: bool = False) -> Package:
    """Return the package of `ID` or `ID@VERSION`. See :func:`scbasset_zoo.zoo.models.find_package`."""
    found = package_or_entry(name, check_hashes=check_hashes)
    return found if isinstance(found, Package) else package_of_entry(*found, check_hashes=check_hashes)


def package_or_entry(name: str, *, check_hashes: bool = False) -> Package | tuple[Source, Entry]:
    """Return the entry of `ID` or `ID@VERSION` with its source, or its package if the cache alone has it."""
    match = NAME.fullmatch(name)
    if not match:
        raise InputError(f"{name!r} is not the name of a model. A name is like scbasset/demo or scbasset/demo@0.1.0.")
    model_id, version = match["id"], match["version"]
    local = _version_on_this_machine(model_id, version) if version else None
    if local:
        return local
    contents = read_sources()
    matches = [(source, entry) for source, entry in contents.entries if entry.id == model_id and version in (None, entry.version)]
    if matches:
        first = matches[0][0]
        _report_unread_sources(name, first, contents)
        entries = [entry for source, entry in matches if source is first]
        return first, _newest_entry(entries, prefer_cached=first.name in contents.outdated)
    cached = _newest_package([package for package in cache.named_packages(model_id) if version in (None, package.card.version)])
    if cached:
        say(f"{name}: no source that can be reached has it; using version {cached.card.version} from the cache")
        if check_hashes:
            require_unchanged(cached)
        return cached
    raise _unknown_name(name, model_id, contents)


def _version_on_this_machine(model_id: str, version: str) -> tuple[Source, Entry] | None:
    """Return the entry of the first source that has a version, if it is on this machine.

    Only the last copies of indexes are read: a version never changes, so no source has to be read again.
    """
    for source in sources():
        try:
            index = source.last_index()
        except (SourceError, PackageError, InputError):
            return None
        if index is None:
            return None
        entry = next((entry for entry in index.models if (entry.id, entry.version) == (model_id, version)), None)
        if entry:
            return (source, entry) if is_on_this_machine(source, entry) else None
    return None


def _report_unread_sources(name: str, used: Source, contents: SourceContents) -> None:
    """Say which earlier sources could not be read, since they may have another model of this name."""
    for source in contents.sources[: contents.sources.index(used)]:
        if source.name in contents.errors:
            say(f"{name} is taken from source {used.name}: {source.name} could not be read: {contents.errors[source.name]}")


def _newest_entry(entries: list[Entry], *, prefer_cached: bool) -> Entry:
    entries = sorted(entries, key=lambda entry: version_order(entry.version), reverse=True)
    cached = [entry for entry in entries if prefer_cached and cache.cached_package(entry)]
    return (cached or entries)[0]


def _newest_package(packages: list[Package]) -> Package | None:
    """Return the newest package, or None if there is none, or if several packages have the newest version."""
    newest = max((package.card.version for package in packages), key=version_order, default=None)
    matches = [package for package in packages if package.card.version == newest]
    return matches[0] if len(matches) == 1 else None


def _unknown_name(name: str, model_id: str, contents: SourceContents) -> ScbassetZooError:
    versions = {entry.version for _, entry in contents.entries if entry.id == model_id}
    if versions:
        listed = ", ".join(sorted(versions, key=version_order))
        lines = [f"{model_id} has no version {name.partition('@')[2]}. Its versions are {listed}."]
    else:
        lines = [f"There is no model {name!r}, and no package in a folder of that name."]
        similar = _similar_ids(model_id, {entry.id for _, entry in contents.entries})
        if similar:
            lines.append(f"Did you mean {', '.join(similar)}?")
    readable = [f"{source.name} ({source.location})" for source in contents.sources if source.name not in contents.errors]
    lines.append(f"Sources that were read: {', '.join(readable) or f'none (add one to {config_path()})'}.")
    lines += [f"Source {source} could not be read: {error}" for source, error in contents.errors.items()]
    return (SourceError if contents.errors and not versions else InputError)("\n  ".join(lines))


def _similar_ids(model_id: str, ids: set[str]) -> list[str]:
    """Return ids that are similar as a whole, or in the part after the last slash."""
    by_last_part = {other.rpartition("/")[2]: other for other in ids}
    similar = difflib.get_close_matches(model_id, ids, n=3)
    similar += [by_last_part[part] for part in difflib.get_close_matches(model_id.rpartition("/")[2], by_last_part, n=3)]
    return list(dict.fromkeys(similar))
