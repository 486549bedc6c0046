"""Add the zoo to the sources in Kipoi's config.yaml, and remove it again."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import remove, rewritten
from scbasset_zoo.kipoi.folder import registered_folder, write_source
from scbasset_zoo.wording import install_command

SOURCE = "scbasset_zoo"
DEFAULT = "kipoi"
REPLACED = "kipoi-before-scbasset_zoo"


def register(*, as_default: bool = False) -> Path:
    """Make the zoo a source of Kipoi. The rest of Kipoi's config.yaml stays, with its comments.

    Before the first change, config.yaml is copied to config.yaml.bak.

    Parameters
    ----------
    as_default : bool
        Also make the zoo Kipoi's default source. The earlier default stays, under another name.

    Returns
    -------
    Path
        The folder of the source.

    Raises
    ------
    InputError
        kipoi is not installed, or its config.yaml cannot be used. Nothing is changed then.
    """
    if importlib.util.find_spec("kipoi") is None:
        raise InputError(f"kipoi is not installed. Run {install_command('kipoi')}.")
    folder = registered_folder()
    with _edited_sources() as sources:
        zoo = {"type": "local", "local_path": str(folder)}
        old_zoo, default = sources.get(SOURCE), sources.get(DEFAULT)
        default_is_zoo = default is not None and default == old_zoo
        if as_default and default not in (None, old_zoo, zoo):
            if REPLACED in sources:
                raise InputError(
                    f"{_config_path()} already has a source {REPLACED!r}, so the source {DEFAULT!r} cannot get that name. "
                    "Rename or remove one of them."
                )
            sources[REPLACED] = default
        if as_default or default_is_zoo:
            sources[DEFAULT] = dict(zoo)
        if old_zoo is None:
            # At the first place: comments after the last source would be removed together with it.
            sources.insert(0, SOURCE, zoo)
        else:
            sources[SOURCE] = zoo
        write_source(folder)
    return folder


def unregister() -> bool:
    """Remove the zoo from Kipoi's sources, put back the earlier default source, and remove the zoo's source folder.

    Returns
    -------
    bool
        Whether the zoo was registered.

    Raises
    ------
    InputError
        Kipoi's config.yaml cannot be used. Nothing is changed then.
    """
    if not _config_path().exists():
        return False
    with _edited_sources() as sources:
        zoo = sources.pop(SOURCE, None)
        if zoo is not None and sources.get(DEFAULT) == zoo:
            if REPLACED in sources:
                sources[DEFAULT] = sources.pop(REPLACED)
            else:
                del sources[DEFAULT]
    remove(registered_folder())
    return zoo is not None


def _config_path() -> Path:
    try:
        return Path.home() / ".kipoi" / "config.yaml"
    except RuntimeError as error:
        raise InputError("Kipoi keeps its settings in the user's home, and this user has none. Set HOME to a folder.") from error


@contextlib.contextmanager
def _edited_sources() -> Iterator[Any]:
    """Yield the section model_sources of config.yaml. Write the file if the block succeeds and has changed the section."""
    path = _config_path()
    if not path.exists():
        # Kipoi writes its default sources there when it is first imported.
        importlib.import_module("kipoi")
    config = _read_config(path)
    sources = config["model_sources"]
    before = list(sources.items())
    yield sources
    if list(sources.items()) == before:
        return
    if not sources:
        # Written as {}: kipoi cannot read a section without a value, and ruamel.yaml puts a comment in the wrong place.
        sources.fa.set_flow_style()
    # A symbolic link stays a link: the file that it points to is replaced.
    target = path.resolve()
    backup = path.with_name("config.yaml.bak")
    if target.exists() and not backup.exists():
        shutil.copy(target, backup)
    with rewritten(target) as partial:
        with partial.open("w", encoding="utf-8") as file:
            _yaml().dump(config, file)
        if target.exists():
            shutil.copymode(target, partial)


def _read_config(path: Path) -> Any:
    """Return config.yaml as a mapping. Its section model_sources is added if it is missing."""
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        config = _yaml().load(text)
        if config is None:
            # Comments belong to the key that follows them, and would be lost without one.
            config = _yaml().load(f"{text.strip()}\nmodel_sources:\n".lstrip())
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML, and was not changed: {error} Correct it, or remove it.") from error
    if isinstance(config, dict) and config.get("model_sources") is None:
        config["model_sources"] = CommentedMap()
    if not isinstance(config, dict) or not isinstance(config["model_sources"], dict):
        raise InputError(f"{path} must be a mapping that contains a mapping model_sources. Correct it, or remove it.")
    return config


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.indent(mapping=4)
    yaml.preserve_quotes, yaml.width = True, 10_000
    return yaml
