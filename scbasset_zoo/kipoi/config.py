"""Adding the zoo to the sources in Kipoi's config.yaml, and taking it out again."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import new_file, remove
from scbasset_zoo.kipoi.folder import registered_folder, write_source

SOURCE = "scbasset_zoo"
DEFAULT = "kipoi"
REPLACED = "kipoi-before-scbasset_zoo"


def register(*, as_default: bool = False) -> Path:
    """Make the zoo a source of Kipoi; whatever else Kipoi's config.yaml holds stays.

    Parameters
    ----------
    as_default : bool
        Also make it the source that Kipoi takes where none is named. The one that was stays, under another name.

    Returns
    -------
    Path
        The source's folder.

    Raises
    ------
    InputError
        kipoi is not installed, or its config.yaml is not what it should be; then nothing is changed.
    """
    if importlib.util.find_spec("kipoi") is None:
        raise InputError("kipoi is not installed here. Install it with: pip install 'scbasset-zoo[kipoi]'")
    folder = registered_folder()
    with _sources() as sources:
        before, ours = sources.get(SOURCE), {"type": "local", "local_path": str(folder)}
        default = sources.get(DEFAULT)
        if as_default and default not in (None, before, ours):
            if REPLACED in sources:
                raise InputError(
                    f"{_config_path()} already keeps a source {REPLACED!r}, so the source {DEFAULT!r} cannot be kept under that "
                    "name. Rename or remove one of them."
                )
            sources[REPLACED] = default
        if as_default or (default is not None and default == before):
            sources[DEFAULT] = dict(ours)
        sources[SOURCE] = ours
        write_source(folder)
    return folder


def unregister() -> bool:
    """Take the zoo out of Kipoi's sources and put back the default that was; the source's folder is removed.

    Returns
    -------
    bool
        Whether the zoo was registered.

    Raises
    ------
    InputError
        Kipoi's config.yaml is not what it should be; then nothing is changed.
    """
    if not _config_path().exists():
        return False
    with _sources() as sources:
        ours = sources.pop(SOURCE, None)
        if ours is not None and sources.get(DEFAULT) == ours:
            if REPLACED in sources:
                sources[DEFAULT] = sources.pop(REPLACED)
            else:
                del sources[DEFAULT]
    remove(registered_folder())
    return ours is not None


def _config_path() -> Path:
    return Path.home() / ".kipoi" / "config.yaml"


@contextlib.contextmanager
def _sources() -> Iterator[Any]:
    """The section model_sources of config.yaml, written back as a whole if the block ends well and has changed it."""
    from ruamel.yaml import YAML, YAMLError
    from ruamel.yaml.comments import CommentedMap

    path = _config_path()
    if not path.exists():
        # Kipoi writes its own sources there when it is first imported.
        importlib.import_module("kipoi")
    yaml = YAML()
    yaml.indent(mapping=4)
    yaml.preserve_quotes, yaml.width = True, 10_000
    try:
        config = yaml.load(path.read_bytes()) if path.exists() else None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML, and was left as it is: {error} Mend it, or remove it.") from error
    config = CommentedMap() if config is None else config
    sources = config.setdefault("model_sources", CommentedMap()) if isinstance(config, dict) else None
    if not isinstance(sources, dict):
        raise InputError(f"{path} must be a mapping with a mapping model_sources. Mend it, or remove it.")
    before = list(sources.items())
    yield sources
    if list(sources.items()) != before:
        # What a link points at is written, not the link replaced.
        target = path.resolve()
        with new_file(target) as partial:
            yaml.dump(config, partial)
            if target.exists():
                shutil.copymode(target, partial)
