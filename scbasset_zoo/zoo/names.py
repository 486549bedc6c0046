"""From a name to an entry: which source has a model, which version is meant, and what to say when there is none."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

from scbasset_zoo.errors import InputError, PackageError, ScbassetZooError, SourceError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say
from scbasset_zoo.zoo import cache
from scbasset_zoo.zoo.index import Entry, checked, version_order
from scbasset_zoo.zoo.pulling import is_here, package_of
from scbasset_zoo.zoo.sources import Source, config_path, named, sources

NAME = re.compile(r"(?P<id>[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*)(@(?P<version>[0-9A-Za-z.-]+))?")


@dataclass
class Survey:
    """What the sources have: entries with their source, in order; the sources that failed, with why."""

    found: list[tuple[Source, Entry]] = field(default_factory=list)
    looked_in: list[Source] = field(default_factory=list)
    failed: dict[str, ScbassetZooError] = field(default_factory=dict)
    old: set[str] = field(default_factory=set)


def survey(only: str | None = None) -> Survey:
    """Read the index of every source, or of the one named; a source that fails does not hide the others."""
    result = Survey()
    for source in [named(only)] if only else sources():
        result.looked_in.append(source)
        try:
            index, old = source.index()
        except (SourceError, PackageError, InputError) as error:
            result.failed[source.name] = error
            continue
        if old:
            result.old.add(source.name)
        result.found += [(source, entry) for entry in index.models]
    return result


def package_named(name: str, *, check_hashes: bool = False) -> Package:
    """The package of `ID` or `ID@VERSION`; see :func:`scbasset_zoo.zoo.find_package`."""
    match = NAME.fullmatch(name)
    if not match:
        raise InputError(f"{name!r} is not the name of a model. A name is like scbasset/demo or scbasset/demo@0.1.0.")
    model_id, version = match["id"], match["version"]
    here = _here(model_id, version) if version else None
    if here:
        return package_of(*here, check_hashes=check_hashes)
    known = survey()
    choices = [(source, entry) for source, entry in known.found if entry.id == model_id and version in (None, entry.version)]
    if choices:
        first = choices[0][0]
        for source in known.looked_in[: known.looked_in.index(first)]:
            if source.name in known.failed:
                say(f"{name} is taken from source {first.name}: {source.name} could not be looked in: {known.failed[source.name]}")
        entries = [entry for source, entry in choices if source is first]
        return package_of(first, _choose(entries, prefer_cached=first.name in known.old), check_hashes=check_hashes)
    kept = _newest([package for package in cache.pulled(model_id) if version in (None, package.card.version)])
    if kept:
        say(f"{name}: no source that can be reached has it; using version {kept.card.version} from the cache")
        return checked(kept) if check_hashes else kept
    raise _unknown(name, model_id, known)


def _here(model_id: str, version: str) -> tuple[Source, Entry] | None:
    """The version that the first source has, if it is on this machine: versions never change, so no source is asked again."""
    for source in sources():
        try:
            index = source.last_index()
        except (SourceError, PackageError, InputError):
            return None
        if index is None:
            return None
        entry = next((entry for entry in index.models if (entry.id, entry.version) == (model_id, version)), None)
        if entry:
            return (source, entry) if is_here(source, entry) else None
    return None


def _newest(packages: list[Package]) -> Package | None:
    """The newest; None where that could be one of several."""
    newest = max((package.card.version for package in packages), key=version_order, default=None)
    found = [package for package in packages if package.card.version == newest]
    return found[0] if len(found) == 1 else None


def _choose(entries: list[Entry], *, prefer_cached: bool) -> Entry:
    entries = sorted(entries, key=lambda entry: version_order(entry.version), reverse=True)
    cached = [entry for entry in entries if prefer_cached and cache.opened(entry)]
    return (cached or entries)[0]


def _unknown(name: str, model_id: str, known: Survey) -> ScbassetZooError:
    versions = [entry.version for _, entry in known.found if entry.id == model_id]
    if versions:
        lines = [
            f"{model_id} has no version {name.partition('@')[2]}; there are {', '.join(sorted(set(versions), key=version_order))}."
        ]
    else:
        lines = [f"There is no model {name!r}, and no package in a folder of that name."]
        ids = {entry.id for _, entry in known.found}
        by_last = {i.rpartition("/")[2]: i for i in ids}
        near = difflib.get_close_matches(model_id, ids, n=3)
        near += [by_last[last] for last in difflib.get_close_matches(model_id.rpartition("/")[2], by_last, n=3)]
        if near:
            lines.append(f"Did you mean {', '.join(dict.fromkeys(near))}?")
    read = [f"{source.name} ({source.location})" for source in known.looked_in if source.name not in known.failed]
    lines.append(f"Looked in: {', '.join(read) or f'no source (add one to {config_path()})'}.")
    lines += [f"Could not look in {source}: {error}" for source, error in known.failed.items()]
    return (SourceError if known.failed and not versions else InputError)("\n  ".join(lines))
